"""A table as rules: what `ipvsadm -Sn` prints, and `ipvsadm -R` takes (ipvsadm(8)).

One difference: `ipvsadm -Sn` (1.31) loses thresholds, here they are written. Rules have no word for the forwarding `local`;
it is written as direct, and the kernel finds out by itself that a packet is for this machine.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, ip_address

from lbkit.ipvs.table import Destination, Family, Forwarding, Key, Marked, Protocol, Service, bracketed, family_of

_PROTOCOLS: dict[Protocol, str] = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
_METHODS: dict[Forwarding, str] = {"direct": "-g", "masquerade": "-m", "tunnel": "-i", "local": "-g"}
_FLAGS = {"sh": ("sh-fallback", "sh-port", "flag-3"), "mh": ("mh-fallback", "mh-port", "flag-3")}
_ANY_FLAGS = ("flag-1", "flag-2", "flag-3")


def lines(services: Iterable[tuple[Service, Iterable[Destination]]]) -> list[str]:
    """One for each service, and after it one for each of its destinations, in the order given."""
    return [line for service, destinations in services for line in _lines(service, destinations)]


def _lines(service: Service, destinations: Iterable[Destination]) -> Iterator[str]:
    where = _where(service.key)
    yield " ".join(("-A", where, "-s", service.scheduler, *_options(service)))
    for to in destinations:
        yield " ".join(("-a", where, "-r", _place(to.address, to.port), *_ways(to)))


def _options(service: Service) -> Iterator[str]:
    if service.persistence is not None:
        yield f"-p {service.persistence}"
        if service.prefix is not None:
            yield f"-M {_mask(family_of(service.key), service.prefix)}"
    if service.one_packet:
        yield "-o"
    names = _FLAGS.get(service.scheduler, _ANY_FLAGS)
    if flags := [name for bit, name in enumerate(names) if service.scheduler_flags >> bit & 1]:
        yield f"-b {','.join(flags)}"


def _ways(to: Destination) -> Iterator[str]:
    yield f"{_METHODS[to.forwarding]} -w {to.weight}"
    if to.upper:
        yield f"-x {to.upper}"
    if to.lower:
        yield f"-y {to.lower}"
    if to.forwarding == "tunnel":
        yield "--tun-type ipip"


def _where(key: Key) -> str:
    if isinstance(key, Marked):
        return f"-f {key.mark}" + (" -6" if key.family == "ipv6" else "")
    return f"{_PROTOCOLS[key.protocol]} {_place(key.address, key.port)}"


def _place(address: str, port: int) -> str:
    """As the C library writes it, which is not always as `ipaddress` does (::ffff:192.0.2.1)."""
    packed = ip_address(address).packed
    written = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return f"{bracketed(written)}:{port}"


def _mask(family: Family, prefix: int) -> str:
    return str(prefix) if family == "ipv6" else str(IPv4Network((0, prefix)).netmask)
