"""A pair on one machine: two HAProxies that are peers, each with a site file, a state folder and an address of its own.

The second node is asked as `lbkit pair-receive` is, without ssh between, and by a thread of this process: a start of lbkit
for each question would take most of the time.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from interop.engines import HAPROXIES, haproxy_of
from interop.operated import CHECK, Named, Operated, own_port
from interop.three import until
from unit.site_text import server, vip

from lbkit import load_site
from lbkit.haproxy import guarded, process
from lbkit.haproxy.program import HAPROXY
from lbkit.operate.overview import overview
from lbkit.operate.receive import Here, serve
from lbkit.pair.link import Link
from lbkit.state.node import NODE, peer_of

_RELAY = """
import os, select, socket, sys
there = socket.socket(socket.AF_UNIX)
there.connect(sys.argv[1])
while True:
    for one in select.select([0, there], [], [])[0]:
        part = os.read(0, 65536) if one == 0 else there.recv(65536)
        if not part:
            sys.exit()
        there.sendall(part) if one == 0 else os.write(1, part)
"""
ADDRESSES = {"a": "127.0.0.11", "b": "127.0.0.12"}
_VIPS = {"a": "127.0.0.21", "b": "127.0.0.22"}  # each its own: both are on one machine


class Pair:
    """`a`, on which the verbs of a test run, and `b`. `away`: b can't be reached from now on."""

    def __init__(self, folder: Path) -> None:
        self.servers = {"one": Named("one"), "two": Named("two", "127.0.0.2")}
        peer_port, ports = own_port(), [own_port() for _ in range(3)]
        self.nodes = {name: self._node(folder, name, peer_port, ports) for name in ADDRESSES}
        self.a, self.b = self.nodes.values()
        self.away = False

    def settle(self) -> None:
        """Wait until all servers are up, and both have the tables of both."""
        for node in self.nodes.values():
            until(lambda: all(one.health == "up" for view in overview(node.site) for one in view.servers))  # noqa: B023
        for node in self.nodes.values():
            until(lambda: "state=EST" in node.haproxy.runtime.ask("show peers"))  # noqa: B023
            until(lambda: guarded.is_resynchronised(node.haproxy))  # noqa: B023

    def reset(self) -> None:
        """What a test has left goes."""
        self.away = False
        for node in self.nodes.values():
            for name in ("intents.json", "tables.json"):
                (node.state / name).unlink(missing_ok=True)
            guarded.apply_intents(node.haproxy, {})
        for node in (self.b, self.a, self.b):
            for label in ("LAST", "SOURCE"):
                node.haproxy.runtime.clear_table(label)
        self.settle()

    def _node(self, folder: Path, name: str, peer_port: int, ports: list[int]) -> Operated:
        own = folder / name
        own.mkdir()
        (own / "met").touch()
        both = [server(each.name, f"{each.host}:{each.port}") for each in self.servers.values()]
        at = _VIPS[name]
        vips = [
            vip(
                "LAST",
                f"{at}:{ports[0]}",
                *both,
                check=CHECK,
                scheduler="first",
                persistence={"mode": "last-successful"},
            ),
            vip("SOURCE", f"{at}:{ports[1]}", *both, check=CHECK, persistence={"mode": "source-ip"}),
            vip("NONE", f"{at}:{ports[2]}", *both, check=CHECK),
        ]
        nodes = [{"name": one, "address": address} for one, address in ADDRESSES.items()]
        pair = {"nodes": nodes, "ssh": {"key_file": "met", "known_hosts_file": "met"}}
        more = {"keepalived": {"folder": "keepalived", "runtime": "vrrp", "pid_file": "keepalived.pid"}}
        return Operated(
            own, *vips, servers=self.servers, peer_port=peer_port, pair=pair, agent={"socket": "agent"}, **more
        )

    def command(self, peer: str) -> list[str]:
        """Instead of ssh."""
        if self.away:
            return ["sh", "-c", "echo 'ssh: connect to host b port 22: No route to host' >&2; exit 255"]
        return [sys.executable, "-I", "-S", "-c", _RELAY, str(self.nodes[peer].folder / "door")]

    def open_door(self, name: str) -> socket.socket:
        """Serve a node's questions until the socket that is returned is closed."""
        node = self.nodes[name]
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(node.folder / "door"))
        door.listen()

        def answer(asked: socket.socket) -> None:
            here = Here(node.file, lambda: load_site(node.file), node.kind_of, node.state)
            with asked, asked.makefile("rb", buffering=0) as source, asked.makefile("wb") as sink:
                serve(here, source, sink)  # type: ignore[arg-type]

        def accept() -> None:
            with suppress(OSError):
                while True:
                    Thread(target=answer, args=(door.accept()[0],), daemon=True).start()

        Thread(target=accept, daemon=True).start()
        return door

    def link(self) -> Link:
        """From a to b."""
        peer = peer_of(self.a.site, "a")
        assert peer is not None
        return Link(self.a.site, peer)

    @contextmanager
    def b_stopped(self) -> Iterator[None]:
        """Its HAProxy alone; `lbkit apply` starts it after it."""
        process.stop(self.b.haproxy)
        try:
            yield
        finally:
            self.b.apply(node="b", engines=["haproxy"])

    def entries(self, node: Operated, label: str) -> dict[str, str | None]:
        """The table of a VIP: servers by key."""
        names = {one.id: one.name for one in node.haproxy.runtime.servers(label)}
        return {one.key: names.get(one.server_id or 0) for one in node.haproxy.runtime.table(label)}

    def in_force(self, node: Operated, label: str, server: str) -> str:
        return node.haproxy.look()[label].servers[server].wanted


@pytest.fixture(scope="module", params=HAPROXIES)
def started(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Both nodes serve, all servers are up, and the tables are replicated. With each HAProxy."""
    folder = Path(tempfile.mkdtemp(prefix="lb"))
    with pytest.MonkeyPatch.context() as patched, ExitStack() as ended:
        patched.setenv(HAPROXY, haproxy_of(request.param).path)
        ended.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Pair(folder)
        for one in made.servers.values():
            ended.callback(one.die)
        for name, node in made.nodes.items():
            ended.callback(made.open_door(name).close)
            ended.callback(process.stop, node.haproxy)
            node.apply(node=name, engines=["haproxy"])
        made.settle()
        yield made


@pytest.fixture
def pair(started: Pair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """As after the start: nothing asked for, nobody stuck; verbs run on a."""
    started.reset()
    monkeypatch.setenv(NODE, "a")
    monkeypatch.setattr("lbkit.pair.link.ssh_command", lambda site, peer: started.command(peer.name))
    return started
