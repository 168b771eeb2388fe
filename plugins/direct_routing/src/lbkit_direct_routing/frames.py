"""Ethernet frames: who-has of ARP (RFC 826), TCP in IPv4 (RFC 791, 9293), errors of ICMP (RFC 792). Bytes in, values out.

Addresses are text, as people write them: `192.32.40.210`, `00:50:56:aa:00:01`. Checksums are written and not verified: a
network card may fill them in after we have seen the frame.
"""

from __future__ import annotations

import struct
from socket import inet_aton, inet_ntoa
from typing import NamedTuple, TypeAlias

ARP, IPV4 = 0x0806, 0x0800  # the types of an Ethernet frame
ICMP, TCP = 1, 6  # the protocols of an IPv4 packet
SYN, RST, ACK = 0x02, 0x04, 0x10  # flags of TCP
UNREACHABLE, TIME_EXCEEDED = 3, 11  # the types of ICMP that tell us something

EVERYBODY = "ff:ff:ff:ff:ff:ff"
NOBODY = "0.0.0.0"  # noqa: S104 - no address to bind, but the sender of a probe (RFC 5227)

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIBBHHH")
_QUOTED = struct.Struct("!HHI")  # so much of the packet that it is about stands in an error of ICMP
_OVER_ETHERNET = (1, IPV4, 6, 4)
_MSS = b"\x02\x04\x05\xb4"  # the option maximum segment size, 1460 bytes: a SYN without it looks like a scan
_WINDOW = 0xFAF0


class Arp(NamedTuple):
    """Its sender says that `address` is at `mac`, and, in a request, that it looks for `wanted`."""

    request: bool
    mac: str
    address: str
    wanted: str


class Segment(NamedTuple):
    """A packet of TCP, without what it carries. `mac`: of its sender on this network."""

    mac: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    sequence: int
    acknowledged: int
    flags: int


class Rejection(NamedTuple):
    """An error of ICMP by `by`, about a packet of TCP that was sent from `source` to `destination`."""

    mac: str
    by: str
    type: int
    code: int
    source: str
    source_port: int
    destination: str
    destination_port: int


Frame: TypeAlias = Arp | Segment | Rejection


def who_has(wanted: str, mac: str, sender: str) -> bytes:
    """The question who has an address. `sender` and `mac` are what others may learn from it; NOBODY teaches nothing."""
    head = _ETHERNET.pack(_mac(EVERYBODY), _mac(mac), ARP)
    return head + _ARP.pack(*_OVER_ETHERNET, 1, _mac(mac), inet_aton(sender), bytes(6), inet_aton(wanted))


def segment(sent: Segment, to: str) -> bytes:
    """A segment that carries nothing, in a frame to the MAC `to`. No router passes it on: its time to live is 1."""
    source, destination = inet_aton(sent.source), inet_aton(sent.destination)
    options = _MSS if sent.flags == SYN else b""
    length = _TCP.size + len(options)

    def tcp(checksum: int) -> bytes:
        ports = (sent.source_port, sent.destination_port, sent.sequence, sent.acknowledged)
        return _TCP.pack(*ports, length << 2, sent.flags, _WINDOW, checksum, 0) + options

    def ip(checksum: int) -> bytes:
        return _IPV4.pack(0x45, 0, _IPV4.size + length, 0, 0x4000, 1, TCP, checksum, source, destination)

    pseudo = source + destination + struct.pack("!HH", TCP, length)
    head = _ETHERNET.pack(_mac(to), _mac(sent.mac), IPV4)
    return head + ip(checksum(ip(0))) + tcp(checksum(pseudo + tcp(0)))


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071). Over data that has its own checksum in it: 0."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def read(frame: bytes) -> Frame | None:
    """What a frame says, or None: nothing that is of use here, or it is broken."""
    try:
        _, mac, kind = _ETHERNET.unpack_from(frame)
        if kind == ARP:
            return _read_arp(frame)
        return _read_ipv4(frame, mac.hex(":")) if kind == IPV4 else None
    except struct.error:  # it is cut off
        return None


def _read_arp(frame: bytes) -> Arp | None:
    *over, operation, mac, address, _, wanted = _ARP.unpack_from(frame, _ETHERNET.size)
    if tuple(over) != _OVER_ETHERNET or operation not in (1, 2):
        return None
    return Arp(operation == 1, mac.hex(":"), inet_ntoa(address), inet_ntoa(wanted))


def _read_ipv4(frame: bytes, mac: str) -> Segment | Rejection | None:
    protocol, source, destination, after = _packet(frame, _ETHERNET.size)
    if protocol == TCP:
        source_port, destination_port, sequence, acknowledged, _, flags, *_ = _TCP.unpack_from(frame, after)
        return Segment(mac, source, source_port, destination, destination_port, sequence, acknowledged, flags)
    if protocol != ICMP:
        return None
    kind, code = struct.unpack_from("!BB", frame, after)
    if kind not in (UNREACHABLE, TIME_EXCEEDED):
        return None
    protocol, sent_from, sent_to, after = _packet(frame, after + 8)
    if protocol != TCP:
        return None
    from_port, to_port, _ = _QUOTED.unpack_from(frame, after)
    return Rejection(mac, source, kind, code, sent_from, from_port, sent_to, to_port)


def _packet(frame: bytes, start: int) -> tuple[int, str, str, int]:
    """Protocol, source, destination, where what it carries begins; protocol -1: a fragment, or no IPv4."""
    first, _, _, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(frame, start)
    size = (first & 0x0F) * 4
    if first >> 4 != 4 or size < _IPV4.size or fragment & 0x1FFF:
        protocol = -1
    return protocol, inet_ntoa(source), inet_ntoa(destination), start + size


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
