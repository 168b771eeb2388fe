"""The anchor: an address that answers pings as long as the balancer's own network works."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from lbkit.errors import CannotRun

_EVERY = 1.0  # seconds
_NOT_SOONER = 0.05  # after a ping, however many servers fail together
_ECHO = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}  # request and reply (RFC 792, RFC 4443)
_READS = 16  # at once, before others have their turn


class Anchor:
    """Pings from `start` to `stop`. `answered`: when it did last, on the loop's clock; None: never. `heard`: called then."""

    def __init__(self, address: str, heard: Callable[[], None]) -> None:
        self.address = address
        self.answered: float | None = None
        self._heard = heard
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0.0
        self._number = 0

    def start(self) -> None:
        """Ping at once, then every second. Raises CannotRun where this user may not."""
        self._socket = _open(self._family)
        self._is_raw = self._socket.type == socket.SOCK_RAW
        self._identity = os.getpid() & 0xFFFF  # of a raw socket alone: the kernel gives the other kind its own
        self._loop.add_reader(self._socket, self._read)
        self._tick()

    def stop(self) -> None:
        """Ping no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def ping(self) -> None:
        """Ask it now, unless it was asked a moment ago."""
        now = self._loop.time()
        if now - self._sent < _NOT_SOONER:
            return
        self._sent = now
        self._number = self._number + 1 & 0xFFFF
        header = struct.pack("!BBHHH", _ECHO[self._family][0], 0, 0, self._identity, self._number)
        if self._family == socket.AF_INET:
            header = header[:2] + struct.pack("!H", _checksum(header)) + header[4:]
        with suppress(OSError):  # no route: it does not answer, which is what we ask for
            self._socket.sendto(header, (self.address, 0))

    def _tick(self) -> None:
        self.ping()
        self._timer = self._loop.call_later(_EVERY, self._tick)

    def _read(self) -> None:
        for _ in range(_READS):
            try:
                packet, sender = self._socket.recvfrom(2048)
            except OSError:
                return
            if sender[0] == self.address and self._is_ours(packet):
                self.answered = self._loop.time()
                self._heard()

    def _is_ours(self, packet: bytes) -> bool:
        if self._is_raw and self._family == socket.AF_INET:
            packet = packet[(packet[0] & 15) * 4 :]  # an IPv4 raw socket reads the IP header too
        if len(packet) < 8 or packet[0] != _ECHO[self._family][1]:
            return False
        return not self._is_raw or struct.unpack_from("!H", packet, 4)[0] == self._identity


def _open(family: int) -> socket.socket:
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with suppress(OSError):
            return socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    raise CannotRun(
        "this user may not ping. Give it CAP_NET_RAW, or its group a place in the sysctl net.ipv4.ping_group_range."
    )


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
