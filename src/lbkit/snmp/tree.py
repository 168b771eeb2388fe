"""The agent's state as the objects of LBKIT-MIB. Nothing here asks anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip
from lbkit.snmp.oids import (
    COUNTERS,
    NODE_NAME,
    NODE_PEER,
    NODE_RECEIVERS,
    NODE_ROLE,
    NODE_SINCE,
    NODE_TROUBLE,
    NODE_VERSION,
    SERVER_ENTRY,
    VIP_ENTRY,
    Oid,
)
from lbkit.state.agent import AgentState
from lbkit.state.events import LEVELS, Level
from lbkit.state.observed import ServerState, VipState

Type: TypeAlias = Literal["string", "integer", "gauge", "counter"]  # as snmpd.conf(5) has them for pass_persist

_ROLES = {"alone": 1, "master": 2, "backup": 3, "fault": 4, "unknown": 5}
_MODES = {"l7-snat": 1, "l4-dr": 2}
_HEALTHS = {"up": 1, "down": 2, "unknown": 3}
_INTENTS = {"online": 1, "drain": 2, "halt": 3, "absent": 4}
_STATES = {"whole": 1, "degraded": 2, "down": 3, "unknown": 4}
_COUNTED: tuple[Level, ...] = ("info", "warning", "alarm")
_LONGEST = 1024  # bytes: LbkitText
_COUNTER = 1 << 32  # where a Counter32 begins anew (RFC 2578, 7.1.6)


class Object(NamedTuple):
    """One, with its instance. `value`: a text on one line of at most 1,024 bytes, or a number of 32 bits without sign."""

    oid: Oid
    type: Type
    value: str | int


def tree(node: str, version: str, site: Site | None, state: AgentState | None, trouble: str = "") -> tuple[Object, ...]:
    """All objects, in the order of SNMP. `node`: its name, where the agent has none for it. `version`: of lbkit.

    Without `state` there is this node alone; `trouble` says why.
    """
    found = [*_of_node(node, version, site, state, trouble)]
    if site and state:
        of_both = {**state.vips, **state.layer_7}
        for vip in site.vips:
            seen = of_both.get(vip.label)
            found += _of_vip(vip, index(vip.label), seen)
            for server in vip.servers:
                of_server = seen.servers.get(server.label) if seen else None
                found += _of_server(server, index(vip.label, server.label), of_server)
        found += _of_events(state)
    return tuple(sorted(found))


def _of_node(node: str, version: str, site: Site | None, state: AgentState | None, trouble: str) -> Iterator[Object]:
    pair = state.pair if state else None
    alone = site is not None and site.pair is None
    yield _text(NODE_NAME, pair.node if pair else node)
    yield Object(NODE_ROLE, "integer", _ROLES[pair.role if pair else "alone" if alone else "unknown"])
    yield _text(NODE_VERSION, version)
    if pair:
        yield _gauge(NODE_SINCE, pair.since)
        yield Object(NODE_PEER, "integer", 3 if pair.peer.trouble else 2)
        trouble = " ".join(filter(None, (trouble, pair.split_brain)))
    elif state:
        yield Object(NODE_PEER, "integer", 1)
    own = state.trouble if state else ""
    yield _text(NODE_TROUBLE, own if trouble in own else f"{trouble} {own}")
    if state:
        untold = [f"{name}: {why}" for name, why in sorted(state.receivers.items()) if why]
        yield _text(NODE_RECEIVERS, " ".join(untold))


def _of_vip(vip: Vip, index: Oid, seen: VipState | None) -> Iterator[Object]:
    yield _text(_at(VIP_ENTRY, 2, index), vip.label)
    yield _text(_at(VIP_ENTRY, 3, index), vip.address)
    yield _text(_at(VIP_ENTRY, 4, index), ",".join(map(str, vip.ports)))
    yield Object(_at(VIP_ENTRY, 5, index), "integer", _MODES[vip.mode])
    condition = seen.condition([one.label for one in vip.servers]) if seen else "unknown"
    yield Object(_at(VIP_ENTRY, 6, index), "integer", _STATES[condition])
    yield _gauge(_at(VIP_ENTRY, 9, index), len(vip.servers))
    if seen is None:
        return
    there = [seen.servers[one.label] for one in vip.servers if one.label in seen.servers]
    yield _gauge(_at(VIP_ENTRY, 8, index), sum(one.health == "up" for one in there))
    if not seen.unseen:
        yield _gauge(_at(VIP_ENTRY, 7, index), seen.connections)
        yield Object(_at(VIP_ENTRY, 10, index), "integer", 1 if seen.fallback else 2)


def _of_server(server: RealServer, index: Oid, seen: ServerState | None) -> Iterator[Object]:
    yield _text(_at(SERVER_ENTRY, 2, index), server.label)
    yield _text(_at(SERVER_ENTRY, 3, index), server.address)
    yield _gauge(_at(SERVER_ENTRY, 4, index), server.port or 0)
    yield Object(_at(SERVER_ENTRY, 5, index), "integer", _HEALTHS[seen.health if seen else "unknown"])
    if seen:
        yield Object(_at(SERVER_ENTRY, 6, index), "integer", _INTENTS[seen.wanted])
        yield _gauge(_at(SERVER_ENTRY, 7, index), seen.weight)
        yield _gauge(_at(SERVER_ENTRY, 8, index), seen.connections)
        yield _text(_at(SERVER_ENTRY, 9, index), seen.why)


def _of_events(state: AgentState) -> Iterator[Object]:
    by_level = dict.fromkeys(_COUNTED, 0)
    for kind, times in state.counters.items():
        by_level[LEVELS.get(kind, "info")] += times  # type: ignore[call-overload]
    for number, level in enumerate(_COUNTED, 1):
        yield Object((*COUNTERS, number, 0), "counter", by_level[level] % _COUNTER)
    yield _gauge((*COUNTERS, 4, 0), state.checks)


def index(*labels: str) -> Oid:
    """The index of a row: each label's length and its bytes (RFC 2578, 7.7)."""
    return tuple(number for one in labels for number in (len(one), *one.encode()))


def _at(entry: Oid, column: int, index: Oid) -> Oid:
    return (*entry, column, *index)


def _gauge(oid: Oid, value: float) -> Object:
    return Object(oid, "gauge", min(max(0, int(value)), _COUNTER - 1))


def _text(oid: Oid, text: str) -> Object:
    return Object(oid, "string", line(text))


def line(text: str) -> str:
    """It as an LbkitText: on one line, and no longer than that may be."""
    shown = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(shown.split()).encode(errors="replace")[:_LONGEST].decode(errors="ignore")
