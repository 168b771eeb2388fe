"""The server state file: what a new worker is told of the servers before its first connection.

Its text is what `show servers state` prints (management guide 9.3; configuration manual, `server-state-file`): a version, a
line of names, and one line a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbkit.errors import EngineError
from lbkit.state.intents import Wanted

FORCED_MAINT, FORCED_DRAIN = 1, 8  # of srv_admin_state
_BITS: Mapping[Wanted, int] = {"online": 0, "drain": FORCED_DRAIN, "halt": FORCED_MAINT}
_VERSION = "1"
_NEEDED = ("be_id", "be_name", "srv_id", "srv_name", "srv_addr", "srv_admin_state", "srv_port")


@dataclass(frozen=True, slots=True)
class Told:
    """What a new worker is to be told of one server."""

    backend: str
    server: str
    ident: int
    address: str
    port: int
    wanted: Wanted


def told(dump: str, servers: Iterable[Told]) -> str:
    """`dump` with the operator's side of these servers as they are wanted; all else stays as the old worker had it.

    A server that the old worker did not have is taken in as a copy of another one of its backend, so that it too begins as
    wanted; where the backend is new, it begins as HAProxy pleases. Raises EngineError for a dump of another kind.
    """
    version, _, rest = dump.partition("\n")
    head, *lines = rest.splitlines()
    names = head.removeprefix("#").split()
    if version.strip() != _VERSION or not set(_NEEDED) <= set(names):
        raise EngineError("`show servers state` prints a form that is not known. Tell its version to lbkit's makers.")
    rows = [dict(zip(names, line.split(), strict=False)) for line in lines if line.strip() and not line.startswith("#")]
    by_name = {(row["be_name"], row["srv_name"]): row for row in rows}
    for one in servers:
        row = by_name.get((one.backend, one.server))
        if row is None:
            row = _like_another(rows, one)
            if row is None:
                continue
            rows.append(row)
        kept = int(row["srv_admin_state"]) & ~(FORCED_MAINT | FORCED_DRAIN)
        row["srv_admin_state"] = str(kept | _BITS[one.wanted])
    body = [" ".join(row[name] for name in names if name in row) for row in rows]
    return "\n".join([_VERSION, head, *body, ""])


def _like_another(rows: Iterable[Mapping[str, str]], one: Told) -> dict[str, str] | None:
    for row in rows:
        if row["be_name"] == one.backend:
            own = {"srv_id": str(one.ident), "srv_name": one.server, "srv_addr": one.address, "srv_port": str(one.port)}
            return {**row, **own}
    return None
