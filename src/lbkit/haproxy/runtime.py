"""HAProxy's runtime API (management guide, 9.3): servers, sessions, tables, certificates and ACLs of one process."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from time import monotonic, sleep
from typing import Literal

from lbkit.errors import Misuse, NotDone, NotRunning, NotThere
from lbkit.haproxy import replies
from lbkit.haproxy.certificates import Certificates
from lbkit.haproxy.channel import Channel
from lbkit.haproxy.refusals import WorkerEnded, failed
from lbkit.haproxy.replies import FORCED_DRAIN, FORCED_MAINT, Server, Session
from lbkit.haproxy.rows import Row, rows
from lbkit.haproxy.tables import Tables
from lbkit.haproxy.wording import file as filed
from lbkit.haproxy.wording import key as quoted
from lbkit.haproxy.wording import name as named

_ADMIN = {"ready": 0, "drain": FORCED_DRAIN, "maint": FORCED_MAINT}
_OLD_WORKER = "Proxy is disabled"
_MOST_WEIGHT = 256


class Runtime(Tables, Certificates):
    """One process: at the path of its socket, "127.0.0.1:9999" or "[::1]:9999"; `timeout`: seconds of silence.

    `worker`: the address is a master's socket, and "@1" or "@!PID" the worker that it hands everything on to.
    """

    def __init__(self, address: str, timeout: float = 5.0, *, worker: str = "") -> None:
        super().__init__(Channel(address, timeout, worker=worker))

    def info(self) -> dict[str, str]:
        """`show info`: Version, Pid, Uptime_sec, CurrConns, Stopping, …"""
        return replies.info(self.ask("show info"))

    def stats(self, proxy: str = "", columns: Collection[str] = ()) -> list[Row]:
        """All frontends, backends, servers and listeners, or those of one proxy. `columns`: those that are wanted."""
        return rows(self.ask(f"show stat {named(proxy, 'proxy')} -1 -1" if proxy else "show stat"), columns)

    def servers(self, backend: str = "") -> list[Server]:
        """The servers of one backend, or of all."""
        return replies.servers(self.ask(_servers_of(backend)))

    def set_state(self, backend: str, server: str, state: Literal["ready", "drain", "maint"]) -> None:
        """What an operator wants of a server; checks go on by themselves. Raises NotDone where it reads back otherwise."""
        if state not in _ADMIN:
            raise Misuse(f"{state!r} is no state of a server. Give ready, drain or maint.")
        found = self._set(backend, server, f"state {state}")
        if found.admin_state & (FORCED_MAINT | FORCED_DRAIN) != _ADMIN[state]:
            raise NotDone(
                f"{self.where}: {backend}/{server} was set to {state}, and has admin_state {found.admin_state}."
            )

    def set_weight(self, backend: str, server: str, weight: int) -> None:
        """0 to 256, in place of what the configuration says. Raises NotDone where it reads back otherwise."""
        if not 0 <= weight <= _MOST_WEIGHT:
            raise Misuse(
                f"weight {weight} of {backend}/{server}: HAProxy takes 0 to {_MOST_WEIGHT}. Give one of these."
            )
        found = self._set(backend, server, f"weight {weight:d}")
        if found.weight != weight:
            raise NotDone(f"{self.where}: {backend}/{server} was given weight {weight}, and has {found.weight}.")

    def sessions(self, *, backend: str | None = None, server: str | None = None) -> list[Session]:
        """What runs through this process now; in an old worker, what is left of it."""
        found = replies.sessions(self.ask("show sess"))
        return [one for one in found if backend in (None, one.backend) and server in (None, one.server)]

    def end_session(self, ident: str) -> None:
        """End one session. One that has ended by itself is NotThere."""
        number = self._number_of(ident)
        self._end([ident])
        self._gone({ident}, lambda: [ident] if number is not None and self._number_of(ident) == number else [])

    def end_sessions(self, backend: str, server: str) -> int:
        """End all sessions of a server; gives how many there were. New ones come unless the server is drained or in maint.

        An old worker refuses the command for all at once; there they are ended one by one.
        """
        command = f"shutdown sessions server {_server(backend, server)}"
        before = {one.ident: one for one in self.sessions(backend=backend, server=server)}
        answer = self.ask(command)
        if answer.startswith(_OLD_WORKER):
            self._end(list(before), missing_ok=True)
        elif answer:
            raise failed(self.where, command, answer)

        def left() -> list[str]:
            now = self.sessions(backend=backend, server=server)
            return [one.ident for one in now if one.ident in before and one.source == before[one.ident].source]

        self._gone(set(before), left)
        return len(before)

    def acl_entries(self, file: str) -> list[str]:
        """The values of an ACL that is loaded from a file. What is changed here does not change the file."""
        return replies.acl_entries(self.ask(f"show acl {filed(file)}"))

    def acl_add(self, file: str, value: str) -> None:
        """Add a value, unless it is there. Any level may: HAProxy asks for none."""
        if value not in self.acl_entries(file):
            self.write(f"add acl {filed(file)} {quoted(value)}")
            if value not in self.acl_entries(file):
                raise NotDone(f"{self.where}: {value} was added to ACL {file}, and is not there.")

    def acl_delete(self, file: str, value: str) -> None:
        """Take a value out. One that is not there is NotThere."""
        self.write(f"del acl {filed(file)} {quoted(value)}")
        if value in self.acl_entries(file):
            raise NotDone(f"{self.where}: {value} was taken out of ACL {file}, and is still there.")

    def _set(self, backend: str, server: str, what: str) -> Server:
        """Set something, and give the server as it is then."""
        command = f"set server {_server(backend, server)} {what}"
        said, state = self.ask_all([command, _servers_of(backend)])
        if said:
            raise failed(self.where, command, said)
        for one in replies.servers(state):
            if one.name == server:
                return one
        raise NotThere(f"{self.where}: {backend}/{server} was set, and is not there. Was HAProxy reloaded? Try again.")

    def _end(self, idents: list[str], *, missing_ok: bool = False) -> None:
        for ident in idents:
            try:
                self.write(f"shutdown session {named(ident, 'session')}")
            except (NotThere, WorkerEnded):
                if not missing_ok:
                    raise
            except NotRunning:  # an old worker goes with its last session, and may take the answer with it
                if not self._channel.worker:
                    raise

    def _number_of(self, ident: str) -> str | None:
        """What tells a session from the next one at its address, which can be the one that asks. None: there is none."""
        try:
            found = re.search(r" id=(\d+) ", self.ask(f"show sess {named(ident, 'session')}"))
        except NotThere:
            return None
        return found[1] if found else None

    def _gone(self, ended: set[str], left: Callable[[], list[str]]) -> None:
        """HAProxy ends a session when its turn comes, which is in a moment."""
        deadline = monotonic() + self._channel.timeout
        unheard = 0
        while True:
            try:
                remaining = left()
            except WorkerEnded:
                return
            except NotRunning:  # 2.8's master may be silent about a worker that is ending: ask once more
                unheard += 1
                if not self._channel.worker or (unheard > 1 and monotonic() > deadline):
                    raise
            else:
                if not remaining:
                    return
                if monotonic() > deadline:
                    raise NotDone(
                        f"{self.where}: {len(remaining)} of {len(ended)} sessions were ended, and are still there after "
                        f"{self._channel.timeout:g} s, such as {remaining[0]}. Try again."
                    )
            sleep(0.005)


def _server(backend: str, server: str) -> str:
    return f"{named(backend, 'backend')}/{named(server, 'server')}"


def _servers_of(backend: str) -> str:
    return f"show servers state {named(backend, 'backend')}" if backend else "show servers state"
