"""Whether another machine has one of this machine's IPv4 addresses too: it answers who-has (RFC 826, RFC 5227)."""

from __future__ import annotations

import fcntl
import socket
import struct

from lbkit.errors import CannotRun

_ARP = 0x0806
_ETHERNET = struct.Struct("!6s6sH")
_MESSAGE = struct.Struct("!HHBBH6s4s6s4s")
_OVER_ETHERNET = (1, 0x0800, 6, 4)
_EVERYBODY = b"\xff" * 6
_NOBODY = bytes(4)  # the sender of a probe: whoever hears it learns nothing
_READS = 64  # at once
_HARDWARE = 0x8927  # SIOCGIFHWADDR


def probe(address: str, mac: bytes) -> bytes:
    """The frame that asks who has an address."""
    message = _MESSAGE.pack(*_OVER_ETHERNET, 1, mac, _NOBODY, bytes(6), socket.inet_aton(address))
    return _ETHERNET.pack(_EVERYBODY, mac, _ARP) + message


def claimed(frame: bytes, address: str) -> bytes | None:
    """The MAC that a frame says an address is at, None: it says nothing of that."""
    if len(frame) < _ETHERNET.size + _MESSAGE.size:
        return None
    *over, _, mac, sender, _, _ = _MESSAGE.unpack_from(frame, _ETHERNET.size)
    return mac if tuple(over) == _OVER_ETHERNET and sender == socket.inet_aton(address) else None


class Doubles:
    """Of one address on one interface, from `open` to `close`. `socket`: to wait for."""

    def __init__(self, address: str, interface: str) -> None:
        self.address = address
        self._interface = interface

    def open(self) -> None:
        """Begin. Raises CannotRun."""
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        except OSError as e:
            raise CannotRun(
                f"whether {self.address} is on two machines can't be seen: {e.strerror}. Give this user CAP_NET_RAW."
            ) from None
        try:
            self.socket.bind((self._interface, _ARP))
        except OSError as e:
            self.socket.close()
            raise CannotRun(
                f"{self._interface}, where {self.address} belongs, can't be used: {e.strerror}. Is it the node's interface?"
            ) from None

    def close(self) -> None:
        """End."""
        self.socket.close()

    def ask(self) -> None:
        """Ask who has it. Raises OSError where the interface is down."""
        self.socket.send(probe(self.address, self.socket.getsockname()[4]))

    def read(self) -> str | None:
        """The MAC of another machine that has said since that the address is there."""
        found = None
        for _ in range(_READS):
            try:
                mac = claimed(self.socket.recv(128), self.address)
            except OSError:
                break
            if mac is not None and mac not in _own(self.socket):
                found = mac.hex(":")
        return found


def _own(asked: socket.socket) -> set[bytes]:
    """Those of all interfaces: where two are in one network, either may answer for this machine."""
    found = set()
    for _, name in socket.if_nameindex():
        try:
            request = struct.pack("16s24x", name.encode())
            found.add(fcntl.ioctl(asked, _HARDWARE, request)[18:24])
        except OSError:  # it has just gone
            continue
    return found
