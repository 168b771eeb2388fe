"""`lbkit pair status` is right, in time and without a traceback, whatever state the pair is in."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from typing import Any

import pytest
from interop.agents import eventually
from system.pair.cluster import SITE, Cluster
from system.pair.nodes import Node

WITHIN = 30.0  # seconds: 10 on a machine that has time for it; these tests run beside others, and it has to start


@dataclass(frozen=True)
class Said:
    """What `lbkit pair status` answered."""

    code: int
    document: dict[str, Any]

    def of(self, node: Node) -> dict[str, Any]:
        return dict(self.document["nodes"][node.name])

    def findings(self, node: Node | None = None) -> str:
        """All of them as text, or those of a node."""
        found = self.document["findings"]
        return "\n".join(f"{one['level']} {one['what']} {one['todo']}" for one in found
                         if node is None or one["node"] == node.name)  # fmt: skip


def status(node: Node) -> Said:
    began = time.monotonic()
    ran = node.run("lbkit pair status --json", check=False)
    assert time.monotonic() - began < WITHIN
    assert "Traceback" not in ran.stderr + ran.stdout
    assert ran.stdout, ran.stderr
    return Said(ran.returncode, json.loads(ran.stdout))


def until(node: Node, code: int, says: str, within: float = 40.0) -> Said:
    """Ask again until it says so: agents and VRRP need their seconds."""
    deadline = time.monotonic() + within
    while True:
        said = status(node)
        if said.code == code and says in said.findings() + said.document["verdict"]:
            return said
        assert time.monotonic() < deadline, (said.code, said.findings())
        time.sleep(0.3)


@pytest.fixture
def well(pair: Cluster) -> Cluster:
    """A pair of which `lbkit pair status` says so too."""
    until(pair.lb1, 0, "All is well")
    return pair


def test_a_healthy_pair_is_well_on_both_nodes(well):
    master, backup = well.master, well.lan.other(well.master)
    for node in (master, backup):
        said = status(node)
        assert said.code == 0
        assert (said.of(master)["role"], said.of(backup)["role"]) == ("master", "backup")
        assert said.of(master)["priority"] > said.of(backup)["priority"]
        assert (len(said.of(master)["held"]), said.of(backup)["held"]) == (4, [])
        assert [said.of(one)["servers_up"] for one in (master, backup)] == [6, 6]
        assert said.document["reached"]["probe_here"] is said.document["reached"]["probe_there"] is True
        assert abs(said.document["reached"]["offset"]) < 0.5
    text = backup.run("lbkit pair status").stdout
    assert f"All is well: {master.name} has the VIPs, and {backup.name} can take them over." in text
    assert "a probe entry gets across both ways" in text
    assert f"{master.name} (this node) has the VIPs" in master.run("lbkit overview").stdout
    assert f"{master.name} has the VIPs; {backup.name} (this node) is backup" in backup.run("lbkit overview").stdout


def test_a_passive_node_whose_processes_are_all_dead_is_told(well):
    backup = well.lan.other(well.master)
    backup.kill_all()
    assert "it is dead, or cut off" in until(well.master, 1, "dead").findings(backup)


def test_a_dead_master_is_told_by_the_node_that_took_over(well):
    master, backup = well.master, well.lan.other(well.master)
    well.crash(master)
    try:
        eventually(lambda: well.masters() and backup in well.masters(), 15.0)
        until(backup, 1, f"{backup.name} has the VIPs")
        said = until(backup, 1, "dead, or cut off", 15.0)
        assert "dead, or cut off" in said.findings(master)
    finally:
        well.boot(master)


def test_a_frozen_keepalived_is_told_though_its_process_is_there(well):
    master, backup = well.master, well.lan.other(well.master)
    for node in well.lan.nodes:  # else the watchman kills it
        node.kill("agent", signal.SIGSTOP)
    master.kill("keepalived", signal.SIGSTOP)
    eventually(lambda: len(well.masters()) == 2, 15.0)
    for node in (master, backup):
        said = until(node, 2, "SPLIT BRAIN")
        assert said.of(master)["keepalived"] == "frozen"
        assert "keepalived is frozen" in said.findings(master)


def test_vrrp_that_does_not_get_through_is_told_though_the_agents_leave_one_master(well):
    well.lan.drop_vrrp()
    try:
        said = until(well.lb1, 1, "IP protocol 112")
        assert sorted(said.of(one)["role"] for one in well.lan.nodes) == ["fault", "master"]
    finally:
        well.lan.pass_vrrp()


def test_vrrp_that_does_not_get_through_is_a_split_brain_without_agents(well):
    for node in well.lan.nodes:
        node.kill("agent")
    well.lan.drop_vrrp()
    try:
        said = until(well.lb1, 2, "both master")
        assert "systemctl stop keepalived (on " in said.findings()
        assert [said.of(one)["role"] for one in well.lan.nodes] == ["master", "master"]
        assert status(well.lb2).code == 2
    finally:
        well.lan.pass_vrrp()


def test_nodes_that_hear_nothing_of_each_other_end_in_time(well):
    well.lan.cut_between_nodes()
    eventually(lambda: len(well.masters()) == 2, 15.0)
    for node in well.lan.nodes:
        said = status(node)
        assert said.code in (1, 2)  # 2: the agent has seen the other one on the network
        assert said.of(node)["role"] == "master"
        assert said.document["nodes"][well.lan.other(node).name] is None


def test_without_ssh_it_says_that_the_other_node_lives(well):
    backup = well.lan.other(well.master)
    backup.kill("sshd")
    said = until(well.master, 1, "It lives")
    assert "HAProxy's replication" in said.findings(backup)
    assert "OUTAGE" not in said.document["verdict"]


def test_an_agent_that_does_not_run_is_told_from_both_nodes(well):
    backup = well.lan.other(well.master)
    backup.kill("agent")
    for node in well.lan.nodes:
        assert "no agent answers" in until(node, 1, "no agent").findings(backup)


def test_a_dead_and_a_hung_haproxy_are_told_apart(well):
    backup = well.lan.other(well.master)
    backup.kill("haproxy", signal.SIGSTOP)
    try:
        assert until(well.master, 1, "HAProxy hangs").of(backup)["haproxy"]["state"] == "hung"
    finally:
        backup.kill("haproxy", signal.SIGCONT)
    backup.kill("haproxy")
    assert until(well.master, 1, "HAProxy does not run").of(backup)["haproxy"]["state"] == "dead"


def test_nobody_is_master_when_keepalived_is_dead_on_both(well):
    for node in well.lan.nodes:
        node.kill("agent")
        node.kill("keepalived", signal.SIGTERM)
    eventually(lambda: not well.masters(), 15.0)
    said = until(well.lb1, 2, "NOBODY has the VIPs")
    assert "systemctl restart keepalived (on lb1 and lb2)" in said.findings()


def test_configurations_that_differ_are_told(well):
    backup = well.lan.other(well.master)
    file = backup.file(SITE)
    text = file.read_text()
    try:
        file.write_text(text.replace('interval = "300ms"', 'interval = "400ms"'))
        said = until(well.master, 1, "it does not run with its site file")
        assert "the site files of" in said.findings()
        backup.run("lbkit apply")
        said = until(well.master, 1, f"{well.master.name}")
        assert "lbkit pair sync" in said.findings()
    finally:
        file.write_text(text)
        backup.run("lbkit apply")
