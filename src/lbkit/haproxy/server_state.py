"""The server state file: what a new worker is told of the servers before its first connection.

Its text is what `show servers state` prints (management guide 9.3; configuration manual, `server-state-file`): a version, a
line of names, and one line a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbkit.checks.conversation import printable
from lbkit.errors import EngineError
from lbkit.haproxy.replies import FORCED_DRAIN, FORCED_MAINT
from lbkit.state.intents import Wanted

_BITS: Mapping[Wanted, int] = {"online": 0, "drain": FORCED_DRAIN, "halt": FORCED_MAINT}
_VERSION = "1"
_NUMBERS = ("srv_id", "srv_port", "srv_admin_state")
_NUMBER = re.compile(r"[0-9]{1,9}")
_UNCHECKED = {
    "srv_op_state": "2",
    "srv_check_status": "1",
    "srv_check_result": "0",
    "srv_check_health": "1",
}  # as at a start
_OF_CHECKS = {"srv_check_port": "0", "srv_check_addr": "-", "srv_agent_addr": "-", "srv_agent_port": "0"}
_NEEDED = ("be_id", "be_name", "srv_id", "srv_name", "srv_addr", "srv_admin_state", "srv_port", "srv_use_ssl")


@dataclass(frozen=True, slots=True)
class Told:
    """What a new worker is to be told of one server. `port` 0: the one that the client asked for. `tls`: spoken to it."""

    backend: str
    server: str
    ident: int
    address: str
    port: int
    tls: bool
    wanted: Wanted


def told(dump: str, servers: Iterable[Told]) -> str:
    """The lines of `dump` for these servers, with the operator's side as it is wanted and with how they are reached.

    A new worker takes port, TLS and the port of checks from here and not from its configuration (its address alone comes
    from there), so that they have to be those of the site. What the old worker found out stays, unless the server is
    another now: then it begins unchecked. So does one that the old worker did not have, as a copy of another of its backend;
    where the backend is new, it begins as HAProxy pleases. Raises EngineError for a dump of another kind.
    """
    head, names, rows = _read(dump)
    known = {(row["be_name"], row["srv_name"]): row for row in rows}
    another = {row["be_name"]: {**row, "srv_addr": ""} for row in rows}
    kept = []
    for one in servers:
        row = known.get((one.backend, one.server)) or another.get(one.backend)
        if row is not None:
            kept.append(_filled(row, one))
    return "\n".join([_VERSION, head, *(" ".join(row[name] for name in names) for row in kept), ""])


def as_they_are(dump: str) -> list[Told]:
    """The servers of a dump, to be told to another worker as they are. Raises EngineError for a dump of another kind."""
    return [
        Told(
            row["be_name"],
            row["srv_name"],
            int(row["srv_id"]),
            row["srv_addr"],
            int(row["srv_port"]),
            row["srv_use_ssl"] == "1",
            _wanted(int(row["srv_admin_state"])),
        )
        for row in _read(dump)[2]
    ]


def _wanted(admin_state: int) -> Wanted:
    """What an operator wanted; the other bits are the configuration's."""
    for wanted in ("halt", "drain"):
        if admin_state & _BITS[wanted]:
            return wanted
    return "online"


def _read(dump: str) -> tuple[str, list[str], list[dict[str, str]]]:
    """The line of names, the names, the rows."""
    version, _, rest = dump.partition("\n")
    head, *lines = rest.split("\n")
    names = head.removeprefix("#").split()
    if version.strip() != _VERSION or not set(_NEEDED) <= set(names):
        raise EngineError("`show servers state` prints a form that is not known. Tell its version to lbkit's makers.")
    return head, names, [_row(names, line) for line in lines if line.strip() and not line.startswith("#")]


def _filled(row: Mapping[str, str], one: Told) -> dict[str, str]:
    reached = {"srv_addr": one.address, "srv_port": str(one.port), "srv_use_ssl": str(int(one.tls))}
    is_another = any(row[name] != value for name, value in reached.items())
    admin = int(row["srv_admin_state"]) & ~(FORCED_MAINT | FORCED_DRAIN) | _BITS[one.wanted]
    own = {"srv_id": str(one.ident), "srv_name": one.server, "srv_admin_state": str(admin)}
    return {**row, **(_UNCHECKED if is_another else {}), **_OF_CHECKS, **reached, **own}


def _row(names: list[str], line: str) -> dict[str, str]:
    cells = line.split()
    row = dict(zip(names, cells, strict=False))
    if len(cells) != len(names) or not all(_NUMBER.fullmatch(row[name]) for name in _NUMBERS):
        raise EngineError(f"`show servers state` prints a line that is not known: {printable(line)[:200]}")
    return row
