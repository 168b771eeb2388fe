"""Remotes that no connection reaches."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lbkit_demo.place import ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lbkit_demo.place import Address, Place

FULL_AFTER = 0.2  # seconds that the kernel may take to complete a connection on the loopback
MOST_FILLERS = 64


@contextmanager
def refused(place: Place = ANYWHERE) -> Iterator[Address]:
    """A port on which nothing listens. It stays bound, so that nothing else gets it meanwhile."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place.address)
        yield bound.getsockname()


@contextmanager
def black_hole(place: Place = ANYWHERE) -> Iterator[Address]:
    """A port that answers nothing: nobody accepts, the accept queue is full, and the kernel drops every SYN."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(place.address, backlog=0))
        address: Address = listener.getsockname()
        for _ in range(MOST_FILLERS):
            filler = sockets.enter_context(socket.socket())
            filler.settimeout(FULL_AFTER)
            try:
                filler.connect(address)
            except TimeoutError:
                break
        yield address
