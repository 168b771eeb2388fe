"""Layer 7 of a site on this node: what HAProxy has in force, and how it is brought to what operators want."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from lbkit.errors import NotAllowed, NotRunning, NotThere
from lbkit.haproxy.checked import COLUMNS, checked, health
from lbkit.haproxy.master import Master
from lbkit.haproxy.refusals import WorkerEnded
from lbkit.haproxy.replies import STOPPED, Server, Session
from lbkit.haproxy.rows import Row
from lbkit.haproxy.runtime import Runtime
from lbkit.haproxy.sections import FALLBACK
from lbkit.site.model import Site
from lbkit.site.services import Vip
from lbkit.state.intents import Intent, Wanted
from lbkit.state.observed import ServerState, VipState

_STATES: Mapping[Wanted, Literal["ready", "drain", "maint"]] = {"online": "ready", "drain": "drain", "halt": "maint"}
_COLUMNS = ("pxname", "svname", "scur", "stot", *COLUMNS)
_ASKED_AGAIN = 4  # times


class Haproxy:
    """`timeout`: seconds for each request. Its methods raise EngineError.

    `uncounted`: why the last `look` could not count the connections of before a reload, "": it could.
    """

    def __init__(self, site: Site, timeout: float = 5.0) -> None:
        self.site = site
        self.runtime = Runtime(os.path.join(site.haproxy.runtime, "admin.sock"), timeout)
        self.master = Master(site.haproxy.master_socket, timeout)
        self.folder = Path(site.haproxy.folder)
        self.configuration = self.folder / "haproxy.cfg"
        self.uncounted = ""

    @property
    def vips(self) -> list[Vip]:
        """Those that HAProxy carries."""
        return [vip for vip in self.site.vips if vip.mode == "l7-snat"]

    def look(self) -> dict[str, VipState]:
        """Each VIP that HAProxy has, by label, with what lives on in workers of before a reload."""
        rows: dict[str, dict[str, Row]] = {}
        for row in self.runtime.stats(columns=_COLUMNS):
            rows.setdefault(row["pxname"], {})[row["svname"]] = row
        of_vip: dict[str, list[Server]] = {}
        for server in self.runtime.servers():
            of_vip.setdefault(server.backend, []).append(server)
        old = self._counted_in_old_workers()
        found: dict[str, VipState] = {}
        for vip in self.vips:
            own = rows.get(vip.label, {})
            if "FRONTEND" not in own:
                continue
            servers = {
                one.name: _server_state(own[one.name], one, old[vip.label, one.name] if old else 0)
                for one in of_vip.get(vip.label, ())
                if one.name in own and one.name != FALLBACK
            }
            connections = (own["FRONTEND"].number("scur") or 0) + sum(one.old_connections for one in servers.values())
            serving = any(_takes_clients(one) for one in servers.values())
            found[vip.label] = VipState(servers, connections, FALLBACK in own and not serving)
        return found

    def _counted_in_old_workers(self) -> Counter[tuple[str | None, str | None]]:
        """Open connections there by VIP and server; `uncounted` says why they can't be counted."""
        try:
            return Counter((session.backend, session.server) for _, session in self._old_sessions())
        except (NotAllowed, NotRunning) as e:
            self.uncounted = str(e)
            return Counter()

    def bring(self, vip: str, server: str, wanted: Wanted, weight: int) -> bool:
        """Bring a real server to what is wanted of it, and read it back; whether there was anything to do."""
        now = self._server(vip, server)
        changed = False
        if in_force(now) != wanted:
            self.set_wanted(vip, server, wanted)
            changed = True
        if now.weight != weight:
            self.runtime.set_weight(vip, server, weight)
            changed = True
        return changed

    def set_wanted(self, vip: str, server: str, wanted: Wanted) -> None:
        """Set a server to what is wanted of it, whatever it is now; it need not be the site's."""
        self.runtime.set_state(vip, server, _STATES[wanted])

    def end_sessions(self, vip: str, server: str) -> int:
        """End the open connections of a real server, those in old workers too; how many there were."""
        number = len(self.runtime.sessions(backend=vip, server=server))
        self.runtime.end_sessions(vip, server)
        for pid, session in self._old_sessions():
            if (session.backend, session.server) == (vip, server):
                with suppress(NotThere, WorkerEnded):  # it has ended by itself
                    self.master.worker(pid).end_session(session.ident)
                number += 1
        return number

    def connections(self, vip: str, server: str) -> tuple[int, int]:
        """Open connections of a real server: in the worker that serves, and in those of before a reload."""
        row = next((row for row in self.runtime.stats(vip) if row["svname"] == server), None)
        if row is None:
            raise NotThere(f"HAProxy has no real server {vip}/{server}. Is the site applied? lbkit diff")
        old = sum((one.backend, one.server) == (vip, server) for _, one in self._old_sessions())
        return row.number("scur") or 0, old

    def old_connections(self) -> int:
        """Open connections in workers of before a reload."""
        return sum(1 for _ in self._old_sessions())

    def label_of(self, vip: str, server_id: int | None) -> str | None:
        """The label of the server that a table entry names by its id."""
        return next((one.name for one in self.runtime.servers(vip) if one.id == server_id), None)

    def id_of(self, vip: str, server: str) -> int:
        """The id by which table entries name a server."""
        return self._server(vip, server).id

    def _server(self, vip: str, server: str) -> Server:
        for one in self.runtime.servers(vip):
            if one.name == server:
                return one
        raise NotThere(f"HAProxy has no real server {vip}/{server}. Is the site applied? lbkit diff")

    def _old_sessions(self) -> Iterator[tuple[int, Session]]:
        """Sessions in workers of before a reload, with the worker's pid."""
        for process in self.master.processes():
            if process.kind == "worker" and process.old:
                for session in self._sessions_of(process.pid):
                    yield process.pid, session

    def _sessions_of(self, pid: int) -> list[Session]:
        """Of one worker, none if it has ended; one that is just ending hangs up, and is asked again."""
        for _ in range(_ASKED_AGAIN):
            with suppress(WorkerEnded, NotRunning):
                return self.master.worker(pid).sessions()
            if pid not in {one.pid for one in self.master.processes()}:
                return []
            time.sleep(0.05)
        try:
            return self.master.worker(pid).sessions()
        except WorkerEnded:
            return []


def in_force(server: Server) -> Wanted:
    """What HAProxy has in force for a server, in an operator's words."""
    return "halt" if server.maint else "drain" if server.drain else "online"


def wanted_of(intent: Intent | None) -> Wanted:
    """What an intent that is in force asks for."""
    return intent.wanted if intent else "online"


def _server_state(row: Row, server: Server, old: int) -> ServerState:
    wanted = in_force(server)
    return ServerState(
        wanted,
        "unknown" if wanted == "halt" else health(row, server.operational_state == STOPPED),
        checked(row),
        server.since,
        server.weight,
        (row.number("scur") or 0) + old,
        old,
        row.number("stot") or 0,
    )


def _takes_clients(state: ServerState) -> bool:
    return state.wanted == "online" and state.health != "down" and state.weight > 0
