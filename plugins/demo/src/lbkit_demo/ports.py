"""Ports of this machine for those of the guide: the same where that can be, so that the site is recognised."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lbkit.errors import CannotRun

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

LOWEST = 1024  # below, only root may listen
ABOVE = 10000
NAME = "\0lbkit-demo"  # of a socket that is no file: it goes with its process
STARTS_WITHIN = 30.0  # seconds
ATTEMPTS = 20  # at a port that is free at all addresses that want it


@contextmanager
def alone(timeout: float = STARTS_WITHIN) -> Iterator[None]:
    """While the block runs no other demo on this machine is in it. Raises CannotRun after so many seconds.

    From finding its ports free to listening there: a HAProxy shares its ports with another one without a word.
    """
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX) as place:
        while True:
            try:
                place.bind(NAME)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise CannotRun(
                        f"another demo has been starting for {timeout:g} s. Wait for it, or end it."
                    ) from None
                time.sleep(0.05)
        yield


def ports_for(wanted: Mapping[int, Collection[str]]) -> dict[int, int]:
    """For each port of the guide, one that is free at all of its addresses. Raises CannotRun.

    That is the port itself, 10000 more where only root has it, and any other where that is taken. One number stays one
    number, since layer 4 can't translate ports.
    """
    with ExitStack() as held:  # until all are found, so that none is found twice
        return {port: _free(port, addresses, held) for port, addresses in sorted(wanted.items())}


def _free(port: int, addresses: Collection[str], held: ExitStack) -> int:
    failure: OSError | None = None
    for candidate in (port if port >= LOWEST else port + ABOVE, *[0] * ATTEMPTS):
        with ExitStack() as sockets:
            found = candidate
            try:
                for address in addresses:
                    bound = sockets.enter_context(socket.create_server((address, found)))
                    found = bound.getsockname()[1]
            except OSError as e:
                failure = e
                continue
            held.push(sockets.pop_all())
            return found
    raise CannotRun(
        f"no port for {port} is free at {', '.join(addresses)}: {failure and failure.strerror}. The demo needs Linux, where "
        "all of 127.0.0.0/8 is this machine; end other demos."
    )
