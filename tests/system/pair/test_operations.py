"""What an operator asks on one node of a real pair: it is in force on both, or it is once the other one is back."""

from __future__ import annotations

import json
import time
from typing import Any

from interop.agents import eventually
from system.pair.cluster import LAST, SOURCE, Cluster
from system.pair.nodes import Node
from system.pair.traffic import probing

from lbkit.state.intents import Intent

_MAINT, _DRAIN = 1, 8  # admin_state of `show servers state`


def in_force(pair: Cluster, node: Node, label: str, server: str) -> str:
    rows = [line.split() for line in pair.haproxy(node, "show servers state").splitlines()[2:]]
    state = next(int(row[6]) for row in rows if row and (row[1], row[3]) == (label, server))
    return "halt" if state & _MAINT else "drain" if state & _DRAIN else "online"


def intents(node: Node) -> list[Intent]:
    file = node.file("/var/lib/lbkit/intents.json")
    return [Intent.of(one) for one in json.loads(file.read_text())["intents"]] if file.exists() else []


def entries(pair: Cluster, node: Node, label: str) -> int:
    return pair.haproxy(node, f"show table {label}").count("\n0x")


def connect(pair: Cluster, to: tuple[str, int]) -> None:
    with probing(pair.lan.client, *to):
        time.sleep(0.3)


def outcome(node: Node, command: str) -> tuple[int, dict[str, Any]]:
    ran = node.run(f"lbkit {command} --json", check=False)
    return ran.returncode, json.loads(ran.stdout)["done"][0]["peer"]


def test_nodes_that_have_never_met_meet_with_a_line_each_way(pair: Cluster) -> None:
    first, second = pair.lb1, pair.lb2
    for node in (first, second):
        node.run("rm -rf /etc/lbkit/pair /root/.ssh/authorized_keys")
    assert first.run("lbkit drain PLAIN rs1").stderr.count("have not met") == 1
    line = first.run("lbkit pair setup").stdout.strip()
    assert "\n" not in line
    answer = second.run(["lbkit", "pair", "setup", "--peer", line]).stdout.strip()
    done = first.run(["lbkit", "pair", "setup", "--peer", answer])
    assert "lb2 answers, with lbkit" in done.stderr
    assert outcome(second, "online PLAIN rs1") == (0, {"outcome": "done", "node": "lb1", "why": ""})
    own = first.run(["lbkit", "pair", "setup", "--peer", line], check=False)
    assert (own.returncode, "lb1's own" in own.stderr) == (3, True)


def test_what_is_asked_on_either_node_is_in_force_on_both(pair: Cluster) -> None:
    first, second = pair.lan.nodes
    assert outcome(first, "drain PLAIN rs1 --reason updates") == (0, {"outcome": "done", "node": "lb2", "why": ""})
    assert {in_force(pair, node, "PLAIN", "rs1") for node in pair.lan.nodes} == {"drain"}
    assert "node lb1 has the same" in second.run("lbkit intents").stdout
    assert outcome(second, "online PLAIN rs1") == (0, {"outcome": "done", "node": "lb1", "why": ""})
    assert {in_force(pair, node, "PLAIN", "rs1") for node in pair.lan.nodes} == {"online"}


def test_what_a_dead_node_has_missed_is_in_force_there_when_it_is_back(pair: Cluster) -> None:
    master = pair.master
    backup = pair.lan.other(master)
    backup.kill_all()
    code, peer = outcome(master, "drain PLAIN rs1")
    assert (code, peer["outcome"], peer["node"]) == (1, "pending", backup.name)
    assert in_force(pair, master, "PLAIN", "rs1") == "drain"
    pair.start_node(backup)
    eventually(lambda: intents(backup) == intents(master), 30)
    eventually(lambda: in_force(pair, backup, "PLAIN", "rs1") == "drain", 10)
    assert outcome(backup, "online PLAIN rs1")[0] == 0


def test_a_clear_while_the_other_node_can_not_be_asked_is_done_when_it_can(pair: Cluster) -> None:
    master = pair.master
    backup = pair.lan.other(master)
    for to in (LAST, SOURCE):
        connect(pair, to)
    eventually(lambda: entries(pair, backup, "LAST") == 1 and entries(pair, backup, "SOURCE") >= 1)
    backup.kill("sshd")
    for label in ("LAST", "SOURCE"):
        code, peer = outcome(master, f"clear-table {label}")
        assert (code, peer["outcome"]) == (1, "pending")
    assert entries(pair, master, "LAST") == 0
    assert entries(pair, backup, "LAST") == 1
    connect(pair, SOURCE)
    kept = entries(pair, master, "SOURCE")
    assert kept >= 1
    pair.start_sshd(backup)
    eventually(lambda: entries(pair, backup, "LAST") == 0, 30)
    eventually(lambda: json.loads(master.file("/var/lib/lbkit/tables.json").read_text())["work"] == [], 30)
    assert entries(pair, master, "LAST") == 0
    assert entries(pair, master, "SOURCE") == entries(pair, backup, "SOURCE") == kept


def test_a_clear_on_the_node_without_the_vips_is_done_on_the_one_that_has_them(pair: Cluster) -> None:
    master = pair.master
    backup = pair.lan.other(master)
    connect(pair, LAST)
    eventually(lambda: entries(pair, backup, "LAST") == 1)
    master.kill("sshd")
    ran = backup.run("lbkit clear-table LAST", check=False)
    assert ran.returncode == 1
    assert "does not have the address of LAST" in ran.stderr
    assert entries(pair, master, "LAST") == 1
    pair.start_sshd(master)
    eventually(lambda: entries(pair, master, "LAST") == entries(pair, backup, "LAST") == 0, 30)


def test_no_intent_is_lost_when_both_nodes_are_asked_while_they_are_apart(pair: Cluster) -> None:
    pair.lan.cut_between_nodes()
    first, second = pair.lan.nodes
    for node, asked in ((first, ("PLAIN rs1", "LAST rs1")), (second, ("PLAIN rs1", "SOURCE rs2"))):
        for one in asked:
            verb = "drain" if node is first else "halt"
            assert node.run(f"lbkit {verb} {one}", check=False).returncode == 1
    pair.lan.heal_between_nodes()
    eventually(lambda: intents(first) == intents(second), 40)
    wanted = {(one.vip, one.server): one.wanted for one in intents(first)}
    assert {("PLAIN", "rs1"): "halt", ("LAST", "rs1"): "drain", ("SOURCE", "rs2"): "halt"}.items() <= wanted.items()
    for node in pair.lan.nodes:
        eventually(lambda: in_force(pair, node, "PLAIN", "rs1") == "halt", 10)  # noqa: B023
        eventually(lambda: in_force(pair, node, "SOURCE", "rs2") == "halt", 10)  # noqa: B023
    first.run("lbkit online rs1 --all-vips", check=False)
    first.run("lbkit online rs2 --all-vips", check=False)
