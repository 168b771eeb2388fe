"""What the network shows of the pair: adverts of either node, and another machine that answers for the pair's address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from lbkit.errors import CannotRun
from lbkit.pair.addresses import floating
from lbkit.pair.adverts import Adverts
from lbkit.pair.doubles import Doubles
from lbkit.site.model import Node, Site

_ASKS_EVERY = 2.0  # seconds between two questions who has the address


class Network:
    """From `start` to `stop`; `on_advert`: called after each of the other node's.

    `sees`: adverts can be seen. `sent`: this node's last advert, `heard`: the other node's, where the firewall lets them in;
    `heard_since`: the first
    of those without a gap, `double`: the last answer of another machine for the address; on the loop's clock, None: none.
    `trouble`: what can't be seen, and why.
    """

    def __init__(self, site: Site, node: Node, peer: Node, on_advert: Callable[[], None]) -> None:
        assert site.pair is not None  # noqa: S101
        self._router_id = site.pair.router_id
        self._gap = 3 * site.pair.advert_interval + 0.5
        self._peer = peer
        self._on_advert = on_advert
        self._loop = asyncio.get_running_loop()
        self._adverts = Adverts(socket.AF_INET6 if ":" in peer.address else socket.AF_INET)
        anchor = next((one for one in floating(site) if ":" not in one), None)  # IPv6 has no ARP; adverts are enough
        self._doubles = Doubles(anchor, node.interface_of(anchor)) if anchor else None
        self._asked = 0.0
        self.sees = False
        self.sent: float | None = None
        self.heard: float | None = None
        self.heard_since: float | None = None
        self.double: float | None = None
        self.trouble = ""

    def start(self) -> None:
        """Begin with what this user may see."""
        try:
            self._adverts.open()
            for one in self._adverts.sockets:
                self._loop.add_reader(one, self._read_adverts)
            self.sees = True
            if self._doubles is not None:
                self._open_doubles(self._doubles)
        except CannotRun as e:
            self.trouble = str(e)
            self._doubles = None

    def _open_doubles(self, doubles: Doubles) -> None:
        doubles.open()
        self._loop.add_reader(doubles.socket, self._read_doubles)

    def stop(self) -> None:
        """End."""
        if self.sees:
            for one in self._adverts.sockets:
                self._loop.remove_reader(one)
            self._adverts.close()
        if self._doubles is not None:
            self._loop.remove_reader(self._doubles.socket)
            self._doubles.close()

    def tick(self, has_it: bool) -> None:
        """Now and then ask who has the address, where this node does."""
        now = self._loop.time()
        if self._doubles is not None and has_it and now - self._asked >= _ASKS_EVERY:
            self._asked = now
            with suppress(OSError):  # the interface is down
                self._doubles.ask()

    def _read_adverts(self) -> None:
        now, heard = self._loop.time(), False
        for advert, outgoing in self._adverts.read():
            if advert.router_id != self._router_id:
                continue
            if outgoing:
                self.sent = now
            elif advert.source == self._peer.address:
                heard = True
                self._hear(now, advert.priority)
        if heard:
            self._on_advert()

    def _hear(self, now: float, priority: int) -> None:
        if priority == 0:  # it gives the addresses up
            self.heard = self.heard_since = None
            return
        if self.heard is None or now - self.heard > self._gap:
            self.heard_since = now
        self.heard = now

    def _read_doubles(self) -> None:
        if self._doubles is not None and self._doubles.read() is not None:
            self.double = self._loop.time()
