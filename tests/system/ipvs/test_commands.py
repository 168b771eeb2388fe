"""Layer 4 in an operator's hands, with an agent that runs, hangs, or has no root; and when something about it is broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.agents import eventually, running
from interop.remotes import program
from system.ipvs.agents import RealAgent, two_servers
from system.ipvs.dicom import PORT, Storescp, echo, stopped
from system.ipvs.lan import RS1, RS2, VIP, network
from system.ipvs.spaces import kernel, seen, space
from unit.layer4 import asks, loaded, two
from unit.site_text import server

import lbkit
import lbkit.state.agent
from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, EngineError, Misuse, NotAnswering, NotDone, WaitRanOut
from lbkit.ipvs.engine import Ipvs
from lbkit.ipvs.table import Virtual
from lbkit.operate import apply_ipvs
from lbkit.operate.apply import apply, diff
from lbkit.operate.asked import Asked
from lbkit.operate.drain import drain
from lbkit.operate.online import online
from lbkit.operate.overview import overview
from lbkit.operate.wait import wait
from lbkit.site.model import Site
from lbkit.state.agent import Agent
from lbkit.state.intents import Intents

__all__ = ["kernel", "network", "space"]

BOTH = {RS1: 100, RS2: 100}
QUIESCENT = Path("/proc/sys/net/ipv4/vs/expire_quiescent_template")
AGENTS, OPERATORS, GROUP = 64_001, 64_002, 64_003  # users and a group that no machine has


@pytest.fixture(scope="module")
def servers(network) -> Iterator[tuple[Storescp, Storescp]]:
    both = Storescp(network.rs1), Storescp(network.rs2)
    with stopped(*both):
        yield both


@pytest.fixture
def agent(network, servers, tmp_path) -> Iterator[RealAgent]:
    """It runs, and has both servers in; the test is in its namespace."""
    made = RealAgent(tmp_path, network.lb1)
    made.write(two_servers(slow_start="60s"))
    with network.lb1.inside(), running(made):
        eventually(lambda: made.table() == BOTH)
        yield made
        network.lb1.run("ipvsadm -C")
    made.close()


@pytest.fixture
def alone(network, servers, tmp_path) -> Iterator[RealAgent]:
    """It does not run; its site is applied, and the test is in its namespace."""
    made = RealAgent(tmp_path, network.lb1)
    made.write(two_servers())
    with network.lb1.inside():
        apply(site_of(made), Registry().kind, state=made.state_folder)
        yield made
        network.lb1.run("ipvsadm -C")
    made.close()


def site_of(agent: RealAgent) -> Site:
    return lbkit.load_site(agent.site)


def of_s1(agent: RealAgent, **more: object) -> Asked:
    return Asked("DICOM", "s1", state=agent.state_folder, **more)


def command(agent: RealAgent, *words: str, by: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`lbkit …`; `by`: what starts it."""
    return subprocess.run(
        [*by, str(Path(sys.executable).with_name("lbkit")), *words, "--site", str(agent.site)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "LBKIT_STATE": str(agent.state_folder)},
    )  # fmt: skip


# --- an agent that hangs ---


@pytest.fixture
def hanging(agent, monkeypatch) -> Iterator[RealAgent]:
    monkeypatch.setattr(lbkit.state.agent, "_AT_ONCE", 0.5)
    agent.process.send_signal(signal.SIGSTOP)
    yield agent
    agent.process.send_signal(signal.SIGCONT)


def test_behind_an_agent_that_hangs_nothing_is_done_and_it_is_named_soon(hanging):
    site = site_of(hanging)
    for verb in (
        lambda: drain(site, of_s1(hanging)),
        lambda: apply(site, Registry().kind, state=hanging.state_folder),
        lambda: diff(site, Registry().kind, state=hanging.state_folder),
    ):
        begin = time.monotonic()
        with pytest.raises(NotAnswering, match=r"runs, and has not answered in 0\.5 s: it hangs"):
            verb()
        assert time.monotonic() - begin < 2
    assert hanging.table() == BOTH
    assert Intents(hanging.state_folder).all() == ()


def test_the_overview_is_the_kernels_own_while_the_agent_hangs_and_says_so(hanging):
    (view,) = overview(site_of(hanging), state=hanging.state_folder)
    assert [(one.engine, one.health) for one in view.servers] == [("online", "unknown")] * 2
    assert [warning for warning in view.warnings if "it hangs" in warning]
    assert not [warning for warning in view.warnings if "no agent runs" in warning]


def test_its_status_is_2_while_it_hangs(hanging):
    ran = command(hanging, "agent", "--status", "--json")
    assert (ran.returncode, '"running": true' in ran.stdout, "it hangs" in ran.stdout) == (2, True, True)


# --- an agent that runs ---


def test_a_drain_for_a_time_ends_by_itself_within_a_second(agent):
    asked = of_s1(agent, until=time.time() + 2)
    (done,) = drain(site_of(agent), asked)
    assert done.warnings == []
    assert agent.table() == {RS1: 0, RS2: 100}
    eventually(lambda: agent.table() == BOTH)
    assert asked.until is not None
    assert asked.until <= time.time() < asked.until + 1


def test_a_server_that_starts_slowly_is_no_drift_and_no_difference(agent, servers):
    servers[0].die()
    try:
        eventually(lambda: agent.table() == {RS2: 100})
    finally:
        servers[0].rise()
    eventually(lambda: agent.table() == {RS1: 10, RS2: 100})
    site = site_of(agent)
    (view,) = overview(site, state=agent.state_folder)
    assert [(one.weight, one.drift) for one in view.servers] == [(100, ""), (100, "")]
    assert diff(site, Registry().kind, state=agent.state_folder) == ()


def test_apply_with_another_site_file_than_the_agents_is_not_said_to_be_done(agent):
    other = agent.folder / "other.toml"
    other.write_text(agent.site.read_text().replace(RS1, "10.0.0.13"))
    with pytest.raises(NotDone, match=f"has not brought IPVS to this site.*It runs with {agent.site}"):
        apply(lbkit.load_site(other), Registry().kind, state=agent.state_folder)
    assert agent.table() == BOTH


def test_a_broken_store_of_intents_keeps_no_dead_server_in_and_no_drained_one_online(agent, servers):
    drain(site_of(agent), Asked("DICOM", "s2", state=agent.state_folder))
    Intents(agent.state_folder).path.write_text("{")
    eventually(lambda: "intents.json can't be used" in agent.client.state().trouble)
    servers[0].die()
    try:
        eventually(lambda: agent.table() == {RS2: 0})
    finally:
        servers[0].rise()


def kept(agent: RealAgent) -> dict[str, int]:
    """How many clients persistence keeps on each server."""
    agent.client.reconcile()
    return {label: one.kept for label, one in agent.client.state().vips["DICOM"].servers.items()}


def test_clients_of_a_drained_server_stay_with_it_unless_they_are_to_move_and_nobody_waits_for_those(agent, network):
    agent.write(two_servers(persistence={"mode": "source-ip", "timeout": "60s"}))
    agent.client.reload()
    site, state = site_of(agent), agent.state_folder
    assert echo(network.client, f"{VIP}:{PORT}").status == "up"
    (had,) = (label for label, number in kept(agent).items() if number)
    other = {"s1": "s2", "s2": "s1"}[had]
    asked = Asked("DICOM", had, state=state)
    (done,) = drain(site, asked)
    assert done.entries == 1
    assert echo(network.client, f"{VIP}:{PORT}").status == "up"
    assert kept(agent) == {had: 1, other: 0}
    with pytest.raises(WaitRanOut, match="1 client that the table keeps there"):
        wait(site, [done], 0.1, state=state)
    (done,) = drain(site, asked, move_sticky=True)
    assert QUIESCENT.read_text() == "1\n"
    wait(site, [done], 0.1, state=state)
    assert echo(network.client, f"{VIP}:{PORT}").status == "up"
    assert kept(agent)[other] == 1
    online(site, asked)
    assert QUIESCENT.read_text() == "0\n"


# --- without root ---


class UsersAgent(RealAgent):
    """As packaging/ has it: a user of its own with two capabilities, and intents in a folder of root and its group."""

    @property
    def command(self) -> list[str]:
        return [*user(AGENTS, GROUP, "+net_admin,+net_raw"), *super().command]


def user(number: int, group: int, capabilities: str = "") -> tuple[str, ...]:
    """What starts a command as that user."""
    kept = f"-all,{capabilities}".rstrip(",")
    sets = [f"--{name}-caps={kept}" for name in ("inh", "ambient")]
    return (program("setpriv", "util-linux"), f"--reuid={number}", f"--regid={group}", "--clear-groups", *sets,
            f"--bounding-set={kept}", "--no-new-privs")  # fmt: skip


@contextmanager
def open_folder(agent: RealAgent) -> Iterator[None]:
    """Folders of pytest are root's alone."""
    above = [folder for folder in agent.folder.parents if folder.stat().st_mode & 0o077 == 0]
    for folder in (agent.folder, *above):
        folder.chmod(0o755)
    agent.socket.parent.mkdir()
    os.chown(agent.socket.parent, AGENTS, GROUP)
    agent.socket.parent.chmod(0o750)
    agent.state_folder.mkdir()
    os.chown(agent.state_folder, 0, GROUP)
    agent.state_folder.chmod(0o2770)
    yield


def test_an_agent_and_operators_who_are_not_root_share_intents_with_root(network, servers, tmp_path):
    agent = UsersAgent(tmp_path, network.lb1)
    agent.socket = tmp_path / "run/agent.sock"
    agent.client = Agent(str(agent.socket))
    agent.write(two_servers())
    with open_folder(agent), network.lb1.inside(), running(agent):
        eventually(lambda: agent.table() == BOTH)
        assert Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").read_text() == "1\n"
        try:
            site = site_of(agent)
            drain(site, of_s1(agent))
            assert agent.table() == {RS1: 0, RS2: 100}
            ran = command(agent, "online", "DICOM", "s1", by=user(OPERATORS, GROUP))
            assert (ran.returncode, ran.stderr) == (0, "")
            assert agent.table() == BOTH
            drain(site, of_s1(agent))
            assert agent.table() == {RS1: 0, RS2: 100}
            ran = command(agent, "drain", "DICOM", "s2", by=user(OPERATORS, OPERATORS))
            assert ran.returncode != 0
            assert len(ran.stderr.splitlines()) == 1
        finally:
            network.lb1.run("ipvsadm -C")
    agent.close()


# --- no agent ---


def test_without_an_agent_a_verb_says_what_nobody_does_then(alone):
    site = site_of(alone)
    (done,) = drain(site, of_s1(alone, until=time.time() + 3600))
    assert ["which would end this when its time is up" in warning for warning in done.warnings] == [True]
    (done,) = online(site, of_s1(alone))
    assert ["nobody checks s1 now" in warning for warning in done.warnings] == [True]
    assert alone.table() == BOTH


def test_what_is_asked_while_apply_checks_is_not_undone_by_it(alone, network, monkeypatch):
    site = site_of(alone)
    network.lb1.run(f"ipvsadm -e -t {VIP}:{PORT} -r {RS2}:{PORT} -g -w 9")

    def checks(*_: object) -> dict[tuple[str, str], str]:
        drain(site, of_s1(alone))
        return {}

    monkeypatch.setattr(apply_ipvs, "_checked", checks)
    apply(site, Registry().kind, state=alone.state_folder)
    assert alone.table() == {RS1: 0, RS2: 100}


def test_a_dry_run_of_apply_says_that_nothing_differs(alone):
    ran = command(alone, "apply", "--dry-run")
    assert (ran.returncode, ran.stdout) == (0, "IPVS: nothing differs\n")


def test_a_difference_is_what_differs_and_no_other_order(alone, network):
    """The kernel has the newest first."""
    network.lb1.run(f"ipvsadm -E -t {VIP}:{PORT} -s rr")
    (change,) = diff(site_of(alone), Registry().kind, state=alone.state_folder)
    differing = [line for line in change.lines[2:] if line[0] in "+-"]
    assert differing == [f"--A -t {VIP}:{PORT} -s rr", f"+-A -t {VIP}:{PORT} -s wlc"]


# --- one thing that is broken keeps nothing else from being done ---


@pytest.fixture
def in_space(space) -> Iterator[None]:
    with space.inside():
        yield


def test_a_broken_list_of_services_keeps_no_vip_out(in_space, kernel, tmp_path):
    (tmp_path / "ipvs.json").write_text("{")
    with pytest.raises(Misuse, match=r"ipvs\.json is no list of services"):
        Ipvs(loaded(two()), tmp_path, kernel).reconcile({}, {})
    assert len(seen(kernel)[Virtual("192.0.2.10", 104)][1]) == 2


def test_what_could_not_be_written_down_is_when_it_can(in_space, kernel, tmp_path):
    """Else a VIP that was made on a full disk would outlive the site."""
    folder = tmp_path / "state"
    folder.write_text("in the way")
    ipvs = Ipvs(loaded(two()), folder, kernel)
    for _ in range(2):
        with pytest.raises(CannotRun):
            ipvs.reconcile({}, {})
    assert len(seen(kernel)[Virtual("192.0.2.10", 104)][1]) == 2
    folder.unlink()
    assert ipvs.reconcile({}, {}) == []
    Ipvs(loaded(two("B", "105")), folder, kernel).reconcile({}, {})
    assert list(seen(kernel)) == [Virtual("192.0.2.10", 105)]


def test_an_address_that_the_kernel_refuses_keeps_no_dead_server_in(in_space, kernel, tmp_path):
    refused = two(servers=(server("s1", "224.0.0.5"), server("s2", "192.0.2.12")))
    site = loaded(refused, two("B", "105"))
    ipvs = Ipvs(site, tmp_path, kernel)
    for health, number in (("up", 2), ("down", 1)):
        with pytest.raises(EngineError, match=r"takes no destination 224\.0\.0\.5:104"):
            ipvs.reconcile({}, {("B", "s1"): health})
        assert len(seen(kernel)[Virtual("192.0.2.10", 105)][1]) == number
    assert list(seen(kernel)[Virtual("192.0.2.10", 104)][1]) == [("192.0.2.12", 104)]
    ipvs.reconcile(asks("halt"), {})
