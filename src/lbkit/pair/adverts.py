"""VRRP's adverts as they leave this machine, and as they come in (RFC 5798: version 3, in IPv4 and in IPv6).

Bytes in, values out; and the sockets that see them. What comes in is taken where keepalived takes it, behind the firewall
(raw(7)): at the interface one would be heard that keepalived does not hear, and two masters would not be told from one pair.
What leaves is seen at the interface alone (packet(7)). Neither checksum nor hop limit is verified: that is keepalived's
part, builds of it differ in the first, and in unicast over IPv6 it sends 64 in the second.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

from lbkit.errors import CannotRun

PROTOCOL = 112
_ADVERTISEMENT = 0x31  # version 3, type 1
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_VRRP = struct.Struct("!BBBBHH")

_EVERYTHING = 0x0003  # ETH_P_ALL: what is sent from here is shown to no other kind
_OUTGOING = 4  # PACKET_OUTGOING
_READS = 32  # at once
_ATTACH = 26  # SO_ATTACH_FILTER
_FILTER = (  # classic BPF over the packet without its link header: IPv4 or IPv6 that carries protocol 112
    (0x28, 0, 0, 0xFFFFF000),  # ldh  the frame's type
    (0x15, 0, 2, 0x0800),  # jeq  IPv4, else 2 on
    (0x30, 0, 0, 9),  # ldb  its protocol
    (0x15, 3, 4, PROTOCOL),  # jeq  accept, else drop
    (0x15, 0, 3, 0x86DD),  # jeq  IPv6, else drop
    (0x30, 0, 0, 6),  # ldb  its next header
    (0x15, 0, 1, PROTOCOL),  # jeq  accept, else drop
    (0x06, 0, 0, 2048),  # ret  that many bytes
    (0x06, 0, 0, 0),  # ret  nothing
)


class Advert(NamedTuple):
    """`source`: who sends it. `priority`: 0: it gives the addresses up. `interval`: seconds between two."""

    source: str
    router_id: int
    priority: int
    interval: float
    addresses: tuple[str, ...]


class Passed(NamedTuple):
    """An advert that passed. `outgoing`: this machine sent it."""

    advert: Advert
    outgoing: bool


def read(packet: bytes) -> Advert | None:
    """What an IP packet says, None: that is no advert, or a broken one."""
    try:
        if packet[0] >> 4 == 4:
            return _read_ipv4(packet)
        return _read_ipv6(packet) if packet[0] >> 4 == 6 else None
    except (struct.error, IndexError):  # it is cut off
        return None


def _read_ipv4(packet: bytes) -> Advert | None:
    first, _, length, _, fragment, _, protocol, _, source, _ = _IPV4.unpack_from(packet)
    head = (first & 15) * 4
    if protocol != PROTOCOL or fragment & 0x3FFF or head < _IPV4.size or length > len(packet):
        return None
    return _read_advert(packet[head:length], socket.AF_INET, source)


def _read_ipv6(packet: bytes) -> Advert | None:
    _, length, follows, _, source, _ = _IPV6.unpack_from(packet)
    if follows != PROTOCOL or _IPV6.size + length > len(packet):
        return None
    return _read_advert(packet[_IPV6.size : _IPV6.size + length], socket.AF_INET6, source)


def _read_advert(message: bytes, family: socket.AddressFamily, source: bytes) -> Advert | None:
    kind, router_id, priority, count, interval, _ = _VRRP.unpack_from(message)
    size = len(source)
    if kind != _ADVERTISEMENT or router_id == 0 or len(message) < _VRRP.size + count * size:
        return None
    listed = tuple(
        socket.inet_ntop(family, message[at : at + size]) for at in range(_VRRP.size, _VRRP.size + count * size, size)
    )
    return Advert(socket.inet_ntop(family, source), router_id, priority, (interval & 0x0FFF) / 100, listed)


class Adverts:
    """All of one family, from `open` to `close`. `sockets`: to wait for, each of them."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self.sockets: tuple[socket.socket, ...] = ()
        self._family = family

    def open(self) -> None:
        """Begin. Raises CannotRun where this user may not."""
        with ExitStack() as opened:
            try:
                leaving = opened.enter_context(
                    socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_EVERYTHING))
                )
                coming = opened.enter_context(
                    socket.socket(self._family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, PROTOCOL)
                )
            except OSError as e:
                raise CannotRun(f"VRRP's adverts can't be seen: {e.strerror}. Give this user CAP_NET_RAW.") from None
            rules = (struct.pack("=HBBI", *rule) for rule in _FILTER)
            held = ctypes.create_string_buffer(b"".join(rules))
            leaving.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("@HP", len(_FILTER), ctypes.addressof(held)))
            opened.pop_all()
        self.sockets = leaving, coming

    def close(self) -> None:
        """End."""
        for one in self.sockets:
            one.close()

    def read(self) -> list[Passed]:
        """Those that have passed since."""
        leaving, coming = self.sockets
        sent = (read(packet) for packet, about in _received(leaving) if about[2] == _OUTGOING)
        heard = (self._read(packet, about[0]) for packet, about in _received(coming))
        return [Passed(one, True) for one in sent if one] + [Passed(one, False) for one in heard if one]

    def _read(self, packet: bytes, source: str) -> Advert | None:
        """A raw socket of IPv6 leaves the header away."""
        if self._family == socket.AF_INET:
            return read(packet)
        try:
            return _read_advert(packet, self._family, socket.inet_pton(self._family, source.partition("%")[0]))
        except struct.error:
            return None


def _received(asked: socket.socket) -> Iterator[tuple[bytes, Any]]:
    for _ in range(_READS):
        try:
            yield asked.recvfrom(2048)
        except OSError:  # no more, or an interface went down
            return
