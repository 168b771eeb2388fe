"""The addresses that move between the nodes, and which of them are on this machine (rtnetlink(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from lbkit.errors import CannotRun
from lbkit.site.model import Site

_GET, _NEW, _ERROR, _DONE = 22, 20, 2, 3  # RTM_GETADDR, RTM_NEWADDR, NLMSG_ERROR, NLMSG_DONE
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_ADDRESS, _LOCAL = 1, 2  # IFA_…: the second is missing for IPv6
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ABOUT = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_LOOPBACK = 1  # always the first interface of a network namespace
_WITHIN = 1.0  # seconds


def floating(site: Site) -> tuple[str, ...]:
    """All that move: the VIPs', then the floating ones; each once, in the site's order. None without a pair."""
    if site.pair is None:
        return ()
    return tuple(dict.fromkeys((*(vip.address for vip in site.vips), *site.pair.floating_addresses)))


def anchor(site: Site) -> str:
    """The one that VRRP's adverts name. Of the nodes' own family, on the loopback interface, and nobody speaks to it.

    IPv4: of a part of the link-local range that is given to nobody (RFC 3927, 2.1).
    """
    assert site.pair is not None  # noqa: S101
    number = site.pair.router_id
    return f"fe80::112:{number:x}" if ":" in site.pair.nodes[0].address else f"169.254.0.{number}"


def held(site: Site) -> tuple[str, ...]:
    """Those that are on this machine now. Raises CannotRun where the kernel does not tell.

    Not those on the loopback interface alone: there they receive, and nobody is told of them.
    """
    here = here_now()
    return tuple(address for address in floating(site) if address in here)


def here_now() -> dict[str, tuple[str, ...]]:
    """All addresses of this machine's interfaces but the loopback: the names of the interfaces that have each."""
    names = dict(socket.if_nameindex())
    found: dict[str, tuple[str, ...]] = {}
    for address, index in _addresses():
        if index != _LOOPBACK:
            found[address] = (*found.get(address, ()), names.get(index, str(index)))
    return found


def _addresses() -> Iterator[tuple[str, int]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asked:
        asked.settimeout(_WITHIN)
        try:
            asked.send(_HEADER.pack(_HEADER.size + _ABOUT.size, _GET, _DUMP, 1, 0) + bytes(_ABOUT.size))
            while True:
                datagram = asked.recv(1 << 16)
                for kind, payload in _messages(datagram):
                    if kind == _DONE:
                        return
                    if kind == _ERROR:
                        raise OSError(-struct.unpack_from("=i", payload)[0], "the kernel refuses")
                    if kind == _NEW:
                        yield from _read(payload)
        except OSError as e:
            raise CannotRun(
                f"this machine's addresses can't be read from the kernel: {e}. Is netlink allowed?"
            ) from None


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while len(datagram) - at >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size:
            return
        yield kind, datagram[at + _HEADER.size : at + length]
        at += length + -length % 4


def _read(payload: bytes) -> Iterator[tuple[str, int]]:
    family, _, _, _, index = _ABOUT.unpack_from(payload)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    values: dict[int, bytes] = {}
    at = _ABOUT.size
    while len(payload) - at >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        if length < _ATTRIBUTE.size:
            return
        values[kind] = payload[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4
    value = values.get(_LOCAL) or values.get(_ADDRESS)
    if value:
        yield socket.inet_ntop(family, value), index
