"""What the kernel knows of this machine's network, over rtnetlink(7): the same as `ip route get`, without a process."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from lbkit.errors import CannotRun

_GET_ROUTE, _GET_ADDRESS = 26, 22
_REQUEST, _DUMP = 0x01, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=8BI")
_ADDRESS = struct.Struct("=4BI")
_DESTINATION, _INTERFACE, _ROUTER, _PREFERRED, _ROUTER_OF_ANOTHER_FAMILY = 1, 4, 5, 7, 18  # RTA_…
_ADDRESS_LOCAL = 2  # IFA_LOCAL
_LOCAL = 2  # the type of a route to an address of this machine
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES, errno.ENODEV}
_WITHIN = 2.0  # seconds; the kernel answers at once


class Route(NamedTuple):
    """The way to an address. `router` "": it is on the interface's own segment, or, where `local`, this machine's."""

    interface: str
    source: str
    router: str = ""
    local: bool = False


class Own(NamedTuple):
    """An address of this machine."""

    address: str
    interface: str


def route(address: str, interface: str | None = None) -> Route | None:
    """The way to an IPv4 address, over that interface if one is given; None: there is none. Raises CannotRun."""
    wanted = _attribute(_DESTINATION, socket.inet_aton(address))
    if interface is not None:
        wanted += _attribute(_INTERFACE, struct.pack("=I", index(interface)))
    try:
        (answer,) = _ask(_GET_ROUTE, 0, _ROUTE.pack(socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, 0) + wanted)
    except OSError as e:
        if e.errno in _NO_ROUTE:
            return None
        raise CannotRun(f"the kernel does not tell the route to {address}: {e.strerror}.") from e
    kind = _ROUTE.unpack_from(answer)[7]
    found = dict(_attributes(answer, _ROUTE.size))
    router = socket.inet_ntoa(found[_ROUTER]) if _ROUTER in found else ""
    if _ROUTER_OF_ANOTHER_FAMILY in found:
        router = socket.inet_ntop(socket.AF_INET6, found[_ROUTER_OF_ANOTHER_FAMILY][2:])
    over = socket.if_indextoname(struct.unpack("=I", found[_INTERFACE])[0])
    return Route(over, socket.inet_ntoa(found.get(_PREFERRED, bytes(4))), router, kind == _LOCAL)


def index(interface: str) -> int:
    """The number of an interface. Raises CannotRun where there is none of that name."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise CannotRun(f"this machine has no interface {interface!r}. There are: {known}.") from None


def own_addresses() -> list[Own]:
    """The IPv4 addresses of this machine, and which interface has each. Raises CannotRun."""
    try:
        answers = list(_ask(_GET_ADDRESS, _DUMP, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)))
    except OSError as e:
        raise CannotRun(f"the kernel does not tell this machine's addresses: {e.strerror}.") from e
    names = dict(socket.if_nameindex())
    found = []
    for answer in answers:
        number = _ADDRESS.unpack_from(answer)[4]
        attributes = dict(_attributes(answer, _ADDRESS.size))
        if _ADDRESS_LOCAL in attributes and number in names:
            found.append(Own(socket.inet_ntoa(attributes[_ADDRESS_LOCAL]), names[number]))
    return found


def _ask(kind: int, flags: int, body: bytes) -> Iterator[bytes]:
    """The bodies of the kernel's answers. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
        asked.settimeout(_WITHIN)
        asked.bind((0, 0))
        asked.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)
        while True:
            data = asked.recv(1 << 17)
            while data:
                size, kind = _HEADER.unpack_from(data)[:2]
                answer, data = data[_HEADER.size : size], data[size + -size % 4 :]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", answer)[0]
                    raise OSError(number, os.strerror(number))
                yield answer
            if not flags & _DUMP:
                return


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def _attributes(answer: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    while start + 4 <= len(answer):
        size, kind = struct.unpack_from("=HH", answer, start)
        if size < 4:
            return
        yield kind & 0x3FFF, answer[start + 4 : start + size]
        start += size + -size % 4
