"""The whole CCW site on this machine: simulated real servers, HAProxy in front of them, the agent beside it, its files."""

from __future__ import annotations

from contextlib import ExitStack
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self

from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, Misuse
from lbkit.haproxy import process
from lbkit.haproxy.engine import Haproxy
from lbkit.operate.apply import apply
from lbkit_demo import sitefile
from lbkit_demo.authority import Authority
from lbkit_demo.kinds import fault_of, kind_of
from lbkit_demo.place import Contexts, Place
from lbkit_demo.ports import alone
from lbkit_demo.relay import relay
from lbkit_demo.remote import Remote
from lbkit_demo.server import SimulatedServer
from lbkit_demo.watcher import watcher

STATE = "LBKIT_STATE"
NODE = "lb1"  # both nodes of the pair are addresses of this machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from lbkit import Site
    from lbkit.site.services import RealServer, Vip


class SimulatedSite:
    """It runs while its block runs, and keeps its files in `folder`, which is the caller's to remove.

    `timeout`: seconds that each check may take. `faults`: by the name of a real server, VIP/SERVER, what is wrong with it
    from the start. Entering it raises Misuse for names that are unknown, and for a folder that can't be used or holds
    somebody's own site; CannotRun where this machine lacks the ports, or HAProxy, or the agent does not
    start; EngineError where HAProxy does not.

    `file`: its site file. `state`: the folder of its intents. `site`: its file, loaded. `servers`: by all of their names;
    VIPs 10 and 14 share theirs, and so do VIPs 11 and 15, so that one server has two names there.
    """

    def __init__(self, folder: Path, timeout: float = 1.0, faults: Mapping[str, str] | None = None) -> None:
        self.file = folder.absolute() / sitefile.NAME
        self.state = self.file.with_name("state")
        self.site: Site
        self.servers: dict[str, SimulatedServer] = {}
        self._timeout = timeout
        self._faults = dict(faults or {})
        self._authority = Authority()
        self._contexts: dict[str, Contexts] = {}  # by the server's own name
        self._running = ExitStack()

    def __enter__(self) -> Self:
        import lbkit

        with alone(), ExitStack() as running:
            self._write()
            self.site = lbkit.load_site(self.file)
            self._look_at_faults()
            try:
                for vip in self.site.vips:
                    self._start(vip, running)
            except OSError as e:
                raise CannotRun(f"the simulated site can't listen: {e.strerror}. Start it again.") from e
            answers = running.enter_context(watcher(self.file, self.state, self.site.agent.socket))
            running.callback(process.stop, Haproxy(self.site))
            apply(self.site, Registry().kind, NODE, engines=["haproxy"], state=self.state)
            answers()
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def names_of(self, server: SimulatedServer) -> list[str]:
        """Each VIP/SERVER that it is."""
        return [name for name, one in self.servers.items() if one is server]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        servers = {
            name: {
                "kind": one.kind,
                "addresses": [f"{host}:{port}" for host, port in one.addresses],
                **one.fault.as_dict(),
            }
            for name, one in self.servers.items()
        }
        return {"site": str(self.file), "state": str(self.state), "servers": servers}

    def _write(self) -> None:
        text = sitefile.render(self._timeout)
        folder = self.file.parent
        ca_file, cert_file = folder / sitefile.CA_FILE, folder / sitefile.CERT_FILE
        try:
            sitefile.refuse_unfit(folder)
            ca_file.parent.mkdir(parents=True, exist_ok=True)
            self._authority.write(ca_file, cert_file, "ccw.hospital.example")
            self.file.write_text(text)
        except OSError as e:
            raise Misuse(f"{e.filename or folder} can't be written: {e.strerror}. Give another --folder.") from None

    def _look_at_faults(self) -> None:
        kinds = {
            f"{vip.label}/{server.label}": kind_of(vip, server) for vip in self.site.vips for server in vip.servers
        }
        for name, fault in self._faults.items():
            if name not in kinds:
                close = get_close_matches(name, kinds, 1)
                advice = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(kinds)}."
                raise Misuse(f"the simulated site has no server {name!r}. {advice}")
            fault_of(kinds[name], fault)

    def _start(self, vip: Vip, running: ExitStack) -> None:
        for server in vip.servers:
            self._start_server(vip, server, running)
        if vip.mode == "l4-dr":
            for port in vip.ports:
                servers = [(server.address, server.port or port) for server in vip.servers]
                at = Remote((relay(servers),), Place(vip.address, port))
                running.callback(at.stop)

    def _start_server(self, vip: Vip, server: RealServer, running: ExitStack) -> None:
        name = f"{vip.label}/{server.label}"
        addresses = [(server.address, port) for port in ((server.port,) if server.port else vip.ports)]
        simulated = next((one for one in self.servers.values() if one.addresses == addresses), None)
        if simulated is None:
            contexts = self._contexts_of(server)
            simulated = SimulatedServer(kind_of(vip, server), [Place(*address, contexts) for address in addresses])
            running.callback(simulated.stop)
        self.servers[name] = simulated
        if name in self._faults:
            simulated.become(self._faults[name])

    def _contexts_of(self, server: RealServer) -> Contexts:
        if server.server_name is None:
            return {}
        if server.server_name not in self._contexts:
            self._contexts[server.server_name] = self._authority.contexts(server.server_name)
        return self._contexts[server.server_name]
