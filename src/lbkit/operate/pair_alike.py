"""In what the two nodes differ that should be alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lbkit.operate import own_settings
from lbkit.operate.finding import Finding
from lbkit.operate.node_status import NodeStatus
from lbkit.operate.wording import many

_SHARE = 0.1  # of a table: entries come and go while both are counted
_FEW = 2
_SHOULD_BE_ALIKE = ("time zone", "DNS", "NTP")  # of what nothing copies


def problems(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    """Versions, real servers, tables, configuration, certificates, intents, and the nodes' own settings."""
    yield from _versions(here, there)
    yield from _servers(here, there)
    yield from _tables(here, there)
    yield from _configuration(here, there)
    yield from _certificates(here, there)
    yield from _intents(here, there)
    yield from _own_settings(here, there)


def intents_that_differ(here: NodeStatus, there: NodeStatus) -> tuple[str, ...]:
    """VIP/server of each that only one of them has, or has otherwise."""
    one, other = _by_place(here.intents), _by_place(there.intents)
    return tuple(f"{vip}/{server}" for vip, server in sorted(one.keys() | other.keys())
                 if one.get((vip, server)) != other.get((vip, server)))  # fmt: skip


def _by_place(intents: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(str(one.get("vip")), str(one.get("server"))): one for one in intents}


def _versions(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    if here.lbkit != there.lbkit:
        what = f"lbkit is {here.lbkit} on {here.node}, and {there.lbkit} on {there.node}."
        yield Finding("wrong", "", what, "install the same on both, the standby first")
    if here.haproxy.version and there.haproxy.version and here.haproxy.version != there.haproxy.version:
        what = f"HAProxy is {here.haproxy.version} on {here.node}, and {there.haproxy.version} on {there.node}."
        yield Finding("note", "", what)


def _servers(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    if here.servers_up is None or there.servers_up is None or here.servers_up == there.servers_up:
        return
    fewer, more = sorted((here, there), key=lambda one: one.servers_up or 0)
    what = f"it sees {fewer.servers_up} of {fewer.servers} real servers up, and {more.node} sees {more.servers_up}."
    yield Finding("wrong", fewer.node, what, f"lbkit check site (on {fewer.node})")


def _tables(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    one, other = here.haproxy.tables, there.haproxy.tables
    for vip in sorted(one.keys() & other.keys()):
        fewer, more = sorted((one[vip], other[vip]))
        if more - fewer > max(_FEW, _SHARE * more) or (more and not fewer):
            what = f"the table of {vip} has {many(one[vip], 'entry')} on {here.node}, and {other[vip]} on {there.node}."
            yield Finding("wrong", "", what, f"lbkit show-table {vip} (on both nodes)")


def _configuration(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    if here.digest == there.digest or not (here.digest and there.digest):
        return
    relation = here.applied.compared(there.applied)
    if relation in ("newer", "older"):
        newer, older = (here, there) if relation == "newer" else (there, here)
        what = f"it has generation {older.applied.generation} of the site, {newer.node} has {newer.applied.generation}."
        yield Finding("wrong", older.node, what, f"lbkit pair sync (on {newer.node})")
    elif relation == "diverged":
        what = (
            f"the site was changed on both nodes: {here.node} has {here.applied}; {there.node} has {there.applied}. "
            "An operator says whose holds."
        )
        todo = "lbkit pair sync --dry-run --force shows how; then lbkit pair sync --force from the node that is right"
        yield Finding("wrong", "", what, todo)
    else:
        what = f"the site files of {here.node} and {there.node} differ, or a file that they name does."
        yield Finding("wrong", "", what, "lbkit pair sync --dry-run (on the node that is right)")


def _certificates(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    one, other = here.certificates, there.certificates
    names = [name for name in sorted(one.keys() & other.keys()) if one[name][0] != other[name][0]]
    if names:
        what = f"these are not the same certificates on both nodes: {', '.join(names)}."
        yield Finding("wrong", "", what, "lbkit pair sync (on the node that has the new ones)")


def _intents(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    if "intents" in here.troubles or "intents" in there.troubles:
        return
    if names := intents_that_differ(here, there):
        what = f"what operators asked for differs: {', '.join(names)}."
        yield Finding("wrong", "", what, "the agents exchange it; if it stays so: lbkit intents (on both nodes)")


def _own_settings(here: NodeStatus, there: NodeStatus) -> Iterator[Finding]:
    if not here.own or not there.own:
        return
    for line in own_settings.compared(here.own, there.own):
        if line.matters and line.name in _SHOULD_BE_ALIKE:
            one, other = (", ".join(value) or "none" for value in (line.here, line.there))
            what = f"{line.name}: {one} on {here.node}, {other} on {there.node}."
            yield Finding("wrong", "", what, "set it alike on both nodes: nothing copies it")
