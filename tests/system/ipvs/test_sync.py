"""Two balancers on a kernel with IPVS: what one forwards, the other can go on with."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from interop.agents import eventually, l4, running
from system.ipvs.agents import RealAgent
from system.ipvs.lan import LB1, LB2, MACS, RS1, RS2, VIP, Lan, ip, network
from system.namespaces import Namespace
from unit.site_text import server, site

import lbkit
from lbkit.checks.registry import Registry
from lbkit.errors import NotRunning, NotThere
from lbkit.ipvs import sync
from lbkit.ipvs.engine import Ipvs
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Daemon
from lbkit.operate.apply import diff
from lbkit.site.model import Site

__all__ = ["network"]

PORT = 2104
TOLD_WITHIN = 3.1  # seconds; the kernel holds the last message of all back for 2 to 3
BOTH = [Daemon("master", "eth0", 51), Daemon("backup", "eth0", 51)]
NODES = [{"name": "lb1", "address": LB1}, {"name": "lb2", "address": LB2}]


def written(folder: Path, *, ipvs_sync: bool = True, **more: object) -> Site:
    vip = l4("V", f"{VIP}:{PORT}", server("s1", RS1), server("s2", RS2), scheduler="round-robin")
    file = folder / "site.toml"
    file.write_text(site(vip, pair={"nodes": NODES, "ipvs_sync": ipvs_sync}, **more))
    return lbkit.load_site(file)


class Balancer:
    """One of the pair, without an agent."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self.host = host
        self.state = folder
        self.kernel = Kernel(host.file, timeout=30)  # one slow CPU: a daemon may take its time to stop

    def reconcile(self, wanted: Site) -> list[str]:
        with self.host.inside():
            return Ipvs(wanted, self.state, self.kernel).reconcile({}, {})

    def connections(self) -> set[int]:
        """The clients' ports that it knows."""
        with self.host.inside():
            lines = Path("/proc/thread-self/net/ip_vs_conn").read_text().splitlines()[1:]
        return {int(line.split()[2], 16) for line in lines}

    def close(self) -> None:
        for role in ("master", "backup"):
            with suppress(NotThere):
                try:
                    self.kernel.stop_daemon(role)
                except NotRunning:  # the answer was lost: seen once in many runs, under load
                    self.kernel.stop_daemon(role)
        self.kernel.flush()
        self.kernel.close()


@pytest.fixture
def pair(network, tmp_path) -> Iterator[tuple[Balancer, Balancer]]:
    with ExitStack() as ended:
        made = Balancer(network.lb1, tmp_path / "1"), Balancer(network.lb2, tmp_path / "2")
        for one in made:
            ended.callback(one.close)
        yield made


@contextmanager
def echoing(*hosts: Namespace) -> Iterator[None]:
    """Each says what it is sent."""
    with ExitStack() as ended:
        for host in hosts:
            with host.inside():
                listening = ended.enter_context(socket.create_server(("0.0.0.0", PORT), backlog=200))
            ended.callback(listening.shutdown, socket.SHUT_RDWR)

            def serve(listening: socket.socket = listening) -> None:
                with suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        ended.callback(connection.close)
                        threading.Thread(target=echo, args=(connection,), daemon=True).start()

            threading.Thread(target=serve, daemon=True).start()
        yield


def echo(connection: socket.socket) -> None:
    with suppress(OSError):
        while data := connection.recv(100):
            connection.sendall(data)


def goes_on(session: socket.socket, word: bytes = b"again\n") -> bool:
    try:
        session.sendall(word)
        return session.recv(100) == word
    except OSError:
        return False


@contextmanager
def sessions(network: Lan, number: int) -> Iterator[list[socket.socket]]:
    """Every other one has said something; the others are silent since the handshake."""
    with ExitStack() as ended, network.client.inside():
        made = [ended.enter_context(socket.create_connection((VIP, PORT), timeout=5)) for _ in range(number)]
        assert all(goes_on(one) for one in made[::2])
        yield made


@contextmanager
def moved(network: Lan) -> Iterator[None]:
    """The VIP, from lb1 to lb2."""
    ip(network.lb1, f"address del {VIP}/32 dev eth0")
    ip(network.lb2, f"address add {VIP}/32 dev eth0")
    ip(network.client, f"neighbour replace {VIP} lladdr {MACS['lb2']} dev eth0")
    try:
        yield
    finally:
        ip(network.lb2, f"address del {VIP}/32 dev eth0")
        ip(network.lb1, f"address add {VIP}/32 dev eth0")
        ip(network.client, f"neighbour del {VIP} dev eth0")


def test_no_session_that_the_other_node_was_told_of_is_lost_when_the_vip_moves(network, pair, tmp_path):
    lb1, lb2 = pair
    for one in pair:
        one.reconcile(written(tmp_path))
    with echoing(network.rs1, network.rs2), sessions(network, 40) as made:
        ports = {one.getsockname()[1] for one in made}
        time.sleep(TOLD_WITHIN)
        assert ports <= lb2.connections()
        with moved(network):
            assert [goes_on(one) for one in made] == [True] * 40
            with network.client.inside(), socket.create_connection((VIP, PORT), timeout=5) as young:
                assert goes_on(young)
                eventually(lambda: young.getsockname()[1] in lb1.connections())  # lb2 tells as well
        assert [goes_on(one) for one in made] == [True] * 40


def test_without_it_all_are_lost(network, pair, tmp_path):
    for one in pair:
        one.reconcile(written(tmp_path, ipvs_sync=False))
    with echoing(network.rs1, network.rs2), sessions(network, 10) as made, moved(network):
        assert [goes_on(one) for one in made] == [False] * 10


def test_the_daemons_run_while_the_site_wants_them(network, pair, tmp_path):
    lb1, _ = pair
    wanted = written(tmp_path)
    network.lb1.set("ipv4/vs/sync_threshold", "3 50")
    with network.lb1.inside():
        (change,) = diff(wanted, Registry().kind, engines=["ipvs"], state=lb1.state)
    assert "net.ipv4.vs.sync_threshold becomes 3 0" in change.notes
    assert "the master sync daemon on eth0 (id 51) is to be started" in change.notes
    assert lb1.reconcile(wanted)[-2:] == [f"the {one.role} sync daemon on eth0 (id 51) started" for one in BOTH]
    assert lb1.kernel.daemons() == BOTH
    assert lb1.reconcile(wanted) == []
    lb1.kernel.stop_daemon("master")
    assert lb1.reconcile(wanted) == ["the master sync daemon on eth0 (id 51) started"]
    with network.lb1.inside():
        assert diff(wanted, Registry().kind, engines=["ipvs"], state=lb1.state) == ()
    unwanted = written(tmp_path, ipvs_sync=False)
    with network.lb1.inside():
        (change,) = diff(unwanted, Registry().kind, engines=["ipvs"], state=lb1.state)
    assert "the backup sync daemon on eth0 (id 51) is to be stopped" in change.notes
    assert len(lb1.reconcile(unwanted)) == 2
    assert lb1.kernel.daemons() == []


def test_a_daemon_of_somebody_else_stays_unless_it_is_in_the_way(network, pair, tmp_path):
    lb1, _ = pair
    foreign = Daemon("backup", "eth0", 7)
    lb1.kernel.start_daemon(foreign)
    lb1.reconcile(written(tmp_path, ipvs_sync=False))
    assert lb1.kernel.daemons() == [foreign]
    assert "the backup sync daemon on eth0 (id 7) stopped" in lb1.reconcile(written(tmp_path))
    assert lb1.kernel.daemons() == BOTH


def test_an_interface_that_is_not_there_keeps_no_table_from_being_right(network, pair, tmp_path):
    lb1, _ = pair
    written(tmp_path)
    file = tmp_path / "site.toml"
    file.write_text(file.read_text().replace('name = "lb1"', 'name = "lb1"\ninterface = "nope0"'))
    with pytest.raises(NotThere, match="there is no interface nope0 for the master sync daemon"):
        lb1.reconcile(lbkit.load_site(file))
    assert len(lb1.kernel.services()) == 1


def test_the_agent_keeps_them_and_leaves_them_running(network, tmp_path):
    agent = RealAgent(tmp_path, network.lb1)
    written(tmp_path, agent={"socket": str(agent.socket)})
    kernel = Kernel(network.lb1.file, timeout=30.0)
    with running(agent):
        eventually(lambda: kernel.daemons() == BOTH)
        kernel.stop_daemon("backup")
        agent.client.reconcile()
        assert kernel.daemons() == BOTH
    assert kernel.daemons() == BOTH
    agent.start("--flush-on-exit")
    eventually(agent.answer)
    assert agent.stop() == 0
    assert kernel.daemons() == []
    kernel.close()
    agent.close()


def test_what_is_wanted_of_a_node(tmp_path, monkeypatch):
    monkeypatch.setenv("LBKIT_NODE", "lb2")
    assert sync.wanted(written(tmp_path)) == tuple(BOTH)
    assert sync.wanted(written(tmp_path, ipvs_sync=False)) == ()
