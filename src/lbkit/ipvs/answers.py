"""What IPVS answers, as attributes of generic netlink: bytes to values. Raises EngineError for what can't be read.

Attributes that are not known here are passed over: later kernels have more.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TypeVar

from lbkit.ipvs import ip_vs
from lbkit.ipvs.netlink import attributes, unreadable
from lbkit.ipvs.table import (
    Daemon,
    Destination,
    Family,
    Key,
    Marked,
    SeenDestination,
    SeenService,
    Service,
    Statistics,
    Timeouts,
    Virtual,
    family_of,
)

_T = TypeVar("_T")
_FAMILIES = {number: name for name, number in ip_vs.AFS.items()}
_PROTOCOLS = {number: name for name, number in ip_vs.PROTOCOLS.items()}
_METHODS = {number: name for name, number in ip_vs.METHODS.items()}
_ROLES = {number: name for name, number in ip_vs.ROLES.items()}


def service(body: bytes) -> SeenService:
    """One service; its destinations are asked for apart."""
    given = _inside(body, ip_vs.SERVICE)
    key, flags = _key(given), _number(given, ip_vs.FLAGS)
    kept = bool(flags & ip_vs.FLAG_PERSISTENT)
    found = Service(
        key,
        scheduler=_text(given, ip_vs.SCHEDULER),
        persistence=_number(given, ip_vs.TIMEOUT) if kept else None,
        prefix=_prefix(key, _number(given, ip_vs.MASK)) if kept else None,
        one_packet=bool(flags & ip_vs.FLAG_ONE_PACKET),
        scheduler_flags=flags >> ip_vs.FLAGS_OF_SCHEDULER & 7,
    )
    return SeenService(found, {}, _statistics(given, ip_vs.SERVICE_STATISTICS))


def destination(body: bytes) -> SeenDestination:
    """One destination."""
    given = _inside(body, ip_vs.DESTINATION)
    family = _one_of(_FAMILIES, given, ip_vs.TO_AF, ip_vs.U16)
    found = Destination(
        _address(family, _bytes(given, ip_vs.TO_ADDRESS)),
        _number(given, ip_vs.TO_PORT, ip_vs.PORT_NUMBER),
        weight=_number(given, ip_vs.WEIGHT),
        forwarding=_one_of(_METHODS, given, ip_vs.METHOD),
        upper=_number(given, ip_vs.UPPER),
        lower=_number(given, ip_vs.LOWER),
    )
    return SeenDestination(
        found,
        active=_number(given, ip_vs.ACTIVE),
        inactive=_number(given, ip_vs.INACTIVE),
        persistent=_number(given, ip_vs.PERSISTENT),
        statistics=_statistics(given, ip_vs.STATISTICS),
    )


def timeouts(body: bytes) -> Timeouts:
    """All three."""
    given = attributes(body)
    kinds = (ip_vs.TIMEOUT_TCP, ip_vs.TIMEOUT_TCP_FIN, ip_vs.TIMEOUT_UDP)
    return Timeouts(*(_number(given, kind) for kind in kinds))


def daemon(body: bytes) -> Daemon:
    """One sync daemon."""
    given = _inside(body, ip_vs.DAEMON)
    role = _one_of(_ROLES, given, ip_vs.ROLE)
    return Daemon(role, _text(given, ip_vs.INTERFACE), _number(given, ip_vs.SYNC_ID))


def version(body: bytes) -> tuple[int, int, int]:
    """Of IPVS, such as (1, 2, 1)."""
    number = _number(attributes(body), ip_vs.VERSION)
    return number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF


def _key(given: Mapping[int, bytes]) -> Key:
    family = _one_of(_FAMILIES, given, ip_vs.AF, ip_vs.U16)
    if ip_vs.MARK in given:
        return Marked(_number(given, ip_vs.MARK), family)
    return Virtual(
        _address(family, _bytes(given, ip_vs.ADDRESS)),
        _number(given, ip_vs.PORT, ip_vs.PORT_NUMBER),
        _one_of(_PROTOCOLS, given, ip_vs.PROTOCOL, ip_vs.U16),
    )


def _address(family: Family, value: bytes) -> str:
    size = ip_vs.BITS[family] // 8
    if len(value) < size:
        raise unreadable(f"an {family} address of {len(value)} bytes")
    return str(ip_address(value[:size]))


def _prefix(key: Key, mask: int) -> int | None:
    """Of a mask with holes, which ipvsadm lets through: how many bits it has."""
    family = family_of(key)
    bits = mask.bit_count() if family == "ipv4" else mask  # IPv6's is the length itself
    if bits > ip_vs.BITS[family]:
        raise unreadable(f"attribute {ip_vs.MASK} is {mask}")
    return None if bits == ip_vs.BITS[family] else bits


def _statistics(given: Mapping[int, bytes], kind: int) -> Statistics:
    values = attributes(_bytes(given, kind))
    return Statistics(*(_number(values, at, ip_vs.U64) for at in range(1, 11)))  # IPVS_STATS_ATTR_CONNS to …OUTBPS


def _inside(body: bytes, kind: int) -> dict[int, bytes]:
    return attributes(_bytes(attributes(body), kind))


def _bytes(given: Mapping[int, bytes], kind: int) -> bytes:
    if kind not in given:
        raise unreadable(f"attribute {kind} is missing")
    return given[kind]


def _text(given: Mapping[int, bytes], kind: int) -> str:
    text = _bytes(given, kind).partition(b"\0")[0].decode("ascii", "replace")
    if not (text and text.isprintable()):
        raise unreadable(f"attribute {kind} is {text!r}")
    return text


def _number(given: Mapping[int, bytes], kind: int, of: struct.Struct = ip_vs.U32) -> int:
    value = _bytes(given, kind)
    if len(value) < of.size:
        raise unreadable(f"attribute {kind} has {len(value)} bytes, not {of.size}")
    return int(of.unpack_from(value)[0])


def _one_of(words: Mapping[int, _T], given: Mapping[int, bytes], kind: int, of: struct.Struct = ip_vs.U32) -> _T:
    number = _number(given, kind, of)
    if number not in words:
        raise unreadable(f"attribute {kind} is {number}")
    return words[number]
