"""The pair for a human at a terminal: both nodes side by side, what is not as it should be, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from lbkit.checks.conversation import printable
from lbkit.operate.pair_alike import intents_that_differ
from lbkit_cli.moments import moment, span

if TYPE_CHECKING:
    from rich.console import Console

    from lbkit.operate.node_status import NodeStatus
    from lbkit.operate.pair_status import PairStatus

_STYLES = {0: "bold green", 1: "bold yellow", 2: "bold red"}
_WORDS = {"outage": ("OUTAGE", "bold red"), "wrong": ("wrong", "yellow"), "note": ("note", "")}
_UNKNOWN = Text("not known", "yellow")


def show(found: PairStatus, console: Console) -> None:
    """Print it."""
    console.print(_table(found))
    console.print(Text(f"{_ways(found)}\n"))
    for one in found.findings:
        word, style = _WORDS[one.level]
        who = f"{one.node}  " if one.node else ""
        console.print(Text.assemble((f"{word:<8}", style), (who, "bold"), printable(one.what)))
        if one.todo:
            console.print(Text.assemble(" " * 8, ("→ ", "dim"), printable(one.todo)))
    if found.findings:
        console.print()
    console.print(Text(printable(found.verdict), _STYLES[found.exit_code]))


def _table(found: PairStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column(f"{found.here.node} (this node)", overflow="fold")
    table.add_column(found.peer, overflow="fold")
    for name, cell in _ROWS.items():
        there = cell(found.there) if found.there else Text("") if name != "role" else Text("not reached", "bold red")
        table.add_row(name, cell(found.here), there)
    for vip in sorted(found.here.haproxy.tables.keys() | (found.there.haproxy.tables.keys() if found.there else set())):
        table.add_row(f"table {vip}", *(_entries(one, vip) for one in (found.here, found.there)))
    return table


def _role(one: NodeStatus) -> Text:
    if one.keepalived == "frozen" or (one.keepalived == "dead" and one.held):
        return Text(f"{one.keepalived}, and has addresses", "bold red")
    if one.keepalived != "running":
        return Text("none" if one.keepalived else "not known", "yellow")
    return Text(one.role, "bold green" if one.is_master else "" if one.role == "backup" else "bold red")


def _since(one: NodeStatus) -> Text:
    if not one.since:
        return Text("")
    return Text(f"{span(one.time - one.since)} ({moment(one.since, time())})")


def _keepalived(one: NodeStatus) -> Text:
    return Text(one.keepalived, "green" if one.keepalived == "running" else "bold red") if one.keepalived else _UNKNOWN


def _haproxy(one: NodeStatus) -> Text:
    if "haproxy" in one.troubles:
        return _UNKNOWN
    if one.haproxy.state == "none":
        return Text("no layer-7 VIPs")
    style = "green" if one.haproxy.state == "up" else "bold red"
    return Text.assemble((one.haproxy.state, style), f" {one.haproxy.version}")


def _agent(one: NodeStatus) -> Text:
    if one.agent.silent:
        return Text("does not answer", "bold red")
    if one.agent.observe:
        return Text("observes only", "yellow")
    return Text("answers, has trouble", "yellow") if one.agent.trouble else Text("answers", "green")


def _servers(one: NodeStatus) -> Text:
    if one.servers_up is None:
        return _UNKNOWN
    return Text(f"{one.servers_up} of {one.servers} up", "" if one.servers_up == one.servers else "yellow")


def _generation(one: NodeStatus) -> Text:
    if "configuration" in one.troubles:
        return _UNKNOWN
    if not one.applied.digest:
        return Text(f"none applied yet, {one.digest[:12]}")
    return Text(f"generation {one.applied.generation}, {one.applied.digest[:12]}")


def _certificates(one: NodeStatus) -> Text:
    if not one.certificates:
        return Text("none")
    first = min(ends for _, ends in one.certificates.values())
    ended = first < time()
    day = f"{datetime.fromtimestamp(first, UTC):%Y-%m-%d}"
    return Text(
        f"{len(one.certificates)}, {'one ENDED' if ended else 'the first ends'} {day}", "bold red" if ended else ""
    )


def _keeps(one: NodeStatus) -> Text:
    until = one.agent.pair.keeps_sessions if one.agent.pair else None
    return Text(f"for the other node until {moment(until, time())}" if until else "")


_ROWS: dict[str, Callable[[NodeStatus], Text]] = {
    "role": _role,
    "since": _since,
    "priority": lambda one: Text(f"{one.priority} (base {one.base})" if one.base else ""),
    "keepalived": _keepalived,
    "addresses": lambda one: Text(str(len(one.held)) if one.held else "none"),
    "HAProxy": _haproxy,
    "agent": _agent,
    "real servers": _servers,
    "told keepalived": lambda one: Text(", ".join(one.tracked) or "nothing"),
    "lbkit": lambda one: Text(one.lbkit),
    "configuration": _generation,
    "certificates": _certificates,
    "intents": lambda one: _UNKNOWN if "intents" in one.troubles else Text(str(len(one.intents))),
    "sessions kept": _keeps,
}


def _entries(one: NodeStatus | None, vip: str) -> Text:
    number = one.haproxy.tables.get(vip) if one else None
    return Text("" if number is None else "1 entry" if number == 1 else f"{number} entries")


def _ways(found: PairStatus) -> str:
    """In the order of what they carry."""
    reached, here, there = found.reached, found.here, found.there
    words = {True: "", False: "do NOT ", None: "are not known to "}
    parts = [
        f"ssh {'works' if there else 'does not work'}",
        f"VRRP's adverts {words[reached.vrrp]}get through",
        f"the agents {words[reached.agents]}reach each other",
    ]
    if here.haproxy.state == "up":
        parts.append(f"tables {'are replicated' if here.haproxy.peer_established else 'are not'}")
    if reached.probe_here is not None and reached.probe_there is not None:
        parts.append(
            f"a probe entry gets across {'both ways' if reached.probe_here and reached.probe_there else 'NOT both ways'}"
        )
    if reached.offset is not None:
        parts.append(f"clocks {abs(reached.offset) * 1000:.0f} ms apart")
    if there and intents_that_differ(here, there):
        parts.append("intents differ")
    return "; ".join(parts)
