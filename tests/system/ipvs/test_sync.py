"""Two balancers on a kernel with IPVS: what one forwards, the other can go on with."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from interop.agents import eventually, running
from system.ipvs.agents import RealAgent
from system.ipvs.lan import VIP, Lan, network
from system.ipvs.synced import PORT, Balancer, echoing, goes_on, moved, written

import lbkit
from lbkit.checks.registry import Registry
from lbkit.errors import NotThere
from lbkit.ipvs import sync
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Daemon
from lbkit.operate.apply import diff

__all__ = ["network"]

TOLD_WITHIN = 3.1  # seconds; the kernel holds the last message of all back for 2 to 3
BOTH = [Daemon("master", "eth0", 51), Daemon("backup", "eth0", 51)]


@pytest.fixture
def pair(network, tmp_path) -> Iterator[tuple[Balancer, Balancer]]:
    with ExitStack() as ended:
        made = Balancer(network.lb1, tmp_path / "1"), Balancer(network.lb2, tmp_path / "2")
        for one in made:
            ended.callback(one.close)
        yield made


@contextmanager
def sessions(network: Lan, number: int) -> Iterator[list[socket.socket]]:
    """Every other one has said something; the others are silent since the handshake."""
    with ExitStack() as ended, network.client.inside():
        made = [ended.enter_context(socket.create_connection((VIP, PORT), timeout=5)) for _ in range(number)]
        assert all(goes_on(one) for one in made[::2])
        yield made


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
