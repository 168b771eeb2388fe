"""A real server that takes its time with TLS is drained while a client is on the way to it."""

from __future__ import annotations

import socketserver
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.applied import servers as servers
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.operated import HOST, Named, Operated, operated, own_port
from interop.three import until
from unit.site_text import server, vip

from lbkit.operate import tables
from lbkit.operate.drain import drain
from lbkit.operate.overview import overview
from lbkit.testing import ThrowawayCA

CHECK = {"kind": "connect", "interval": "1s", "timeout": "900ms", "rise": 1, "fall": 3}


class Slow(Named):
    """Re-encrypted to; its handshake begins `waits` seconds after the connection."""

    def __init__(self, name: str, context: ssl.SSLContext) -> None:
        self.waits, self._context = 0.0, context
        super().__init__(name)

    def rise(self) -> None:
        named = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                time.sleep(named.waits)
                try:
                    with named._context.wrap_socket(self.request, server_side=True) as secured:
                        secured.sendall(f"{named.name}\n".encode())
                        secured.recv(4096)
                except OSError:
                    pass

        self._serve(Handler)


@contextmanager
def slow(short: Path, mode: str) -> Iterator[tuple[Operated, Slow]]:
    """V in front of the servers one and two, its client on one; and that one."""
    context = ThrowawayCA(short).server_context()
    one, two = Slow("one", context), Slow("two", context)
    both = [server(each.name, f"{HOST}:{each.port}", re_encrypt=True) for each in (one, two)]
    balanced = vip("V", f"{HOST}:{own_port()}", *both, check=CHECK, scheduler="first", persistence={"mode": mode})
    with operated(short, balanced, servers={"one": one, "two": two}) as site:
        assert site.named("V") == "one"
        yield site, one


@pytest.mark.parametrize("seconds", [0.2, 2.0])
@pytest.mark.parametrize("mode", ["source-ip", "last-successful"])
def test_a_client_who_is_on_the_way_to_it_does_not_stick_to_a_server_that_he_was_moved_away_from(
    short: Path, servers: dict[str, Named], mode: str, seconds: float
) -> None:
    """HAProxy writes the entry once it is connected there, TLS and all: after lbkit has looked."""
    with slow(short, mode) as (site, one):
        one.waits = seconds
        with site.connect("V") as late:
            time.sleep(0.05)  # it is on the way
            drain(site.site, site.asked("V", "one"), move_sticky=True)
            assert late.recv(64) == b"one\n"
        one.waits = 0.0
        assert [site.named("V") for _ in range(3)] == ["two"] * 3


def test_a_client_who_is_on_the_way_undoes_no_pin(short: Path, servers: dict[str, Named]) -> None:
    with slow(short, "last-successful") as (site, one):
        until(lambda: all(each.health == "up" for view in overview(site.site) for each in view.servers))
        one.waits = 1.0
        with site.connect("V") as late:
            time.sleep(0.05)
            tables.pin(site.site, "V", "two")
            assert late.recv(64) == b"one\n"
        assert [site.named("V") for _ in range(3)] == ["two"] * 3


def test_where_nobody_is_on_the_way_nothing_is_waited_for(short: Path, servers: dict[str, Named]) -> None:
    with slow(short, "last-successful") as (site, _), site.connect("V") as there:
        assert there.recv(64) == b"one\n"
        begun = time.monotonic()
        drain(site.site, site.asked("V", "one"))
        assert time.monotonic() - begun < 0.4
        assert site.named("V") == "two"


def test_a_client_who_waits_for_a_server_that_hangs_holds_a_drain_up_no_longer_than_he_may_wait(
    short: Path, servers: dict[str, Named]
) -> None:
    """Four seconds: `timeout connect`. Then HAProxy takes him to the other one."""
    with slow(short, "last-successful") as (site, one):
        one.waits = 30.0
        with site.connect("V") as late:
            time.sleep(0.05)
            begun = time.monotonic()
            drain(site.site, site.asked("V", "one"))
            assert 2.0 < time.monotonic() - begun < 6.0
            assert late.recv(64) == b"two\n"
        assert site.named("V") == "two"
