"""The sockets: frames out of an interface and into it, and a port of this machine that is held while it is used.

Packet sockets see what the kernel drops: the answers of a real server carry the VIP as their source, which on the balancer
that holds the VIP is a martian. They need CAP_NET_RAW.
"""

from __future__ import annotations

import select
import socket
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

from lbkit.errors import CannotRun
from lbkit_direct_routing import frames

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_ETHERNET = 1  # ARPHRD_ETHER
_HEADERS = 256  # bytes of a frame that are read; no header that is of use here lies behind them
_LOOK_UP = 0.2  # seconds: so soon is it noticed that nobody waits for the verdict any more
_LATE = 64  # frames that had come in time, and are still to be read when it is up: this process may have been held up
_NOTHING = [(0x06, 0, 0, 0)]  # drop all


def _for_port(port: int) -> list[tuple[int, int, int, int]]:
    """ICMP, and TCP to that port: a busy balancer's own traffic must not crowd out the few frames that matter."""
    return [
        (0x30, 0, 0, 23),  # A = the protocol of the packet
        (0x15, 6, 0, frames.ICMP),  # if A is ICMP, take it
        (0x15, 0, 6, frames.TCP),  # if A is not TCP, drop it
        (0x28, 0, 0, 20),  # A = the place of a fragment
        (0x45, 4, 0, 0x1FFF),  # if it is not the first, drop it
        (0xB1, 0, 0, 14),  # X = the length of the IPv4 header
        (0x48, 0, 0, 16),  # A = the destination port
        (0x15, 0, 1, port),  # if A is not the port, drop it
        (0x06, 0, 0, 0x40000),  # take it
        (0x06, 0, 0, 0),  # drop it
    ]


def _attach(sock: socket.socket, program: Iterable[tuple[int, int, int, int]]) -> None:
    """Let the kernel filter what the socket gets (socket(7): SO_ATTACH_FILTER)."""
    steps = [struct.pack("=HBBI", *step) for step in program]
    code = array("B", b"".join(steps))
    place, _ = code.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HL", len(steps), place))


class HeldPort:
    """A TCP port of an address of this machine: nobody else gets it, and the kernel answers nothing that comes for it.

    It listens and its filter drops all: without it the kernel would send a reset of its own to whoever holds the VIP.
    """

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            _attach(self._socket, _NOTHING)
            self._socket.bind((address, 0))
            self._socket.listen(1)
        except OSError as e:
            self._socket.close()
            raise CannotRun(f"no port of {address} can be held: {e.strerror}.") from e
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()


class Wire:
    """An interface of this machine. Raises CannotRun without CAP_NET_RAW, and where it is no Ethernet."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._arp = _packet_socket(interface, frames.ARP)
        _, _, _, hardware, mac = self._arp.getsockname()
        if hardware != _ETHERNET:
            self._arp.close()
            raise CannotRun(
                f"{interface} is no Ethernet interface: direct routing works over Ethernet alone (guide 7.1)."
            )
        self.mac: str = mac.hex(":")
        self._tcp: socket.socket | None = None

    def watch(self, port: int) -> None:
        """From now on see the TCP segments to that port of this machine, and no other's, and ICMP."""
        self.ignore()
        self._tcp = _packet_socket(self.interface, frames.IPV4, _for_port(port))

    def ignore(self) -> None:
        """See ARP alone again."""
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None

    def send(self, frame: bytes) -> None:
        """Send a frame. Raises CannotRun where the interface takes none: it is down."""
        try:
            self._arp.send(frame)
        except OSError as e:
            raise CannotRun(f"{self.interface} sends nothing: {e.strerror}. Bring it up.") from e

    def sockets(self) -> list[socket.socket]:
        """Those that frames come from."""
        return [self._arp] if self._tcp is None else [self._arp, self._tcp]

    def close(self) -> None:
        """Leave the interface."""
        self.ignore()
        self._arp.close()


def listen(wires: Iterable[Wire], until: float, abandoned: Callable[[], bool]) -> Iterator[tuple[Wire, frames.Frame]]:
    """What comes in until that moment (monotonic clock), or until nobody waits for it any more."""
    of_file = {sock.fileno(): (wire, sock) for wire in wires for sock in wire.sockets()}
    poll = select.poll()
    for file in of_file:
        poll.register(file, select.POLLIN)
    late = _LATE
    while late and not abandoned():
        left = until - monotonic()
        ready = poll.poll(1000 * max(0.0, min(left, _LOOK_UP)))
        if left <= 0:
            late = late - 1 if ready else 0
        for file, _ in ready:
            wire, sock = of_file[file]
            try:
                frame = frames.read(sock.recv(_HEADERS))
            except OSError as e:
                raise CannotRun(f"{wire.interface} is heard no more: {e.strerror}.") from e
            if frame is not None:
                yield wire, frame


def _packet_socket(interface: str, kind: int, program: list[tuple[int, int, int, int]] | None = None) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing before it is bound
    except PermissionError:
        raise CannotRun("direct-routing sends frames of its own, which needs CAP_NET_RAW. Run it as root.") from None
    except OSError as e:
        raise CannotRun(f"frames can't be sent on {interface}: {e.strerror}.") from e
    try:
        if program is not None:
            _attach(sock, program)
        sock.bind((interface, kind))
    except OSError as e:
        sock.close()
        raise CannotRun(f"frames can't be sent on {interface}: {e.strerror}.") from e
    return sock
