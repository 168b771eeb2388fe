"""What a switch leaves behind on the two nodes: where the VIPs are once one of them fails and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.site_text import server, site, vip

from lbkit import Registry, load_site
from lbkit.errors import EngineError
from lbkit.operate import failover as verbs
from lbkit.operate.failover import Moved, Order, failover
from lbkit.operate.fitness import Look
from lbkit.operate.node_status import HaproxyStatus, NodeStatus
from lbkit.operate.receive import Here
from lbkit.pair import track
from lbkit.pair.link import Link

NAMES = ("lb1", "lb2")
NODES = [{"name": name, "address": f"192.0.2.1{number}"} for number, name in enumerate(NAMES, 1)]


def _node(folder: Path, preempt: bool) -> Here:
    file = folder / "site.toml"
    pair = {"nodes": NODES, "preempt": preempt}
    one = vip("WEB", "192.0.2.50:80", server("rs1", "192.0.2.21:80"))
    file.write_text(site(one, pair=pair, keepalived={"runtime": str(folder)}))
    return Here(file, lambda: load_site(str(file)), Registry().kind, folder / "state")


@pytest.fixture(autouse=True)
def _name(monkeypatch) -> None:
    monkeypatch.setenv("LBKIT_NODE", "lb1")


@pytest.fixture
def stays(tmp_path) -> Here:
    """Node lb1 of a site where the VIPs stay where they are."""
    return _node(tmp_path, False)


@pytest.fixture
def preempts(tmp_path) -> Here:
    """The same of one where they come home by themselves."""
    return _node(tmp_path, True)


class Both:
    """The two nodes as VRRP and their agents have them. `sticky`: this node's agent is dead, and its `holder` stays."""

    def __init__(self, here: Here, sticky: str = "") -> None:
        self.here, self.name, self.peer = here, *NAMES
        self.sticky = sticky
        self.alive = dict.fromkeys(NAMES, True)
        self.prefer = dict.fromkeys(NAMES, False)
        self.holder = {"lb1": not here.site.pair.preempt, "lb2": False}
        self.master = "lb1"
        self.lost = ""  # the question whose answer gets lost

    def other(self, node: str) -> str:
        return NAMES[node == "lb1"]

    def offset(self) -> float:
        return 0.0

    def vrrp(self) -> None:
        self.master = max((name for name in NAMES if self.alive[name]), key=self.priority)
        for name in NAMES:
            if name != self.sticky:
                self.holder[name] = name == self.master and not self.here.site.pair.preempt

    def priority(self, name: str) -> int:
        counted = {"prefer": self.prefer[name], "holder": self.holder[name]}
        return track.priority(track.BASES[NAMES.index(name)], counted)

    def fails_and_comes_back(self, name: str) -> None:
        self.alive[name] = False
        self.vrrp()
        self.alive[name] = True
        self.vrrp()

    def ask(self, node: str, question: str, **values: Any) -> dict[str, Any]:
        if question == "prefer":
            before, self.prefer[node] = self.prefer[node], values["value"]
            if self.lost == question:
                self.lost = ""
                raise EngineError("it hung up.")
            self.vrrp()
            return {"before": before}
        if question == "roles":
            is_master = node == self.master
            held = ["192.0.2.50"] if is_master else []
            return {"role": "master" if is_master else "backup", "holder": self.holder[node], "held": held}
        return {"hops": {}, "connections": 0, "ended": 0}

    def together(self, question: str, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {node: {"at": time.time()} for node in values}


def _looks() -> Iterator[tuple[str, Look]]:
    one = NodeStatus("lb1", keepalived="running", role="master", haproxy=HaproxyStatus("up"), servers_up=1, servers=1)
    yield "lb1", Look(one)
    yield "lb2", Look(replace(one, node="lb2", role="backup"))


def _moved(both: Both) -> Moved:
    return verbs._between(both, dict(_looks()), Order("lb2"), lambda text: None)


def test_a_node_that_fails_after_a_failover_takes_nothing_when_it_comes_back(stays):
    both = Both(stays)
    moved = _moved(both)
    assert (both.master, moved.warnings, moved.unconfirmed) == ("lb2", [], "")
    both.fails_and_comes_back("lb1")
    assert both.master == "lb2"
    both.fails_and_comes_back("lb2")
    assert both.master == "lb1"


def test_where_the_site_preempts_the_preference_alone_keeps_them_there(preempts):
    both = Both(preempts)
    _moved(both)
    both.fails_and_comes_back("lb1")
    assert both.master == "lb2"


def test_a_preference_that_holds_them_alone_is_kept(stays, monkeypatch):
    monkeypatch.setattr(verbs, "_SETTLES_WITHIN", 0.1)
    for sticky in NAMES:  # its agent is dead
        both = Both(stays, sticky)
        moved = _moved(both)
        assert both.prefer["lb2"]
        assert "stays preferred" in moved.warnings[0]


def test_an_order_whose_answer_got_lost_is_taken_back(stays):
    both = Both(stays)
    both.lost = "prefer"
    with pytest.raises(EngineError, match="as it was"):
        _moved(both)
    assert both.prefer == {"lb1": False, "lb2": False}


# --- where the other node can't be asked ---


def _unasked(here: Here, to: str | None) -> Moved:
    assert here.site.pair is not None
    gone = Link(here.site, here.site.pair.nodes[1], command=["false"])
    return failover(here, Order(to, force=True, dry_run=True), link=gone)


@pytest.mark.parametrize("to", [None, "lb1"])
def test_a_node_without_the_vips_takes_them_by_force(stays, to):
    moved = _unasked(stays, to)
    assert (moved.old, moved.new, moved.already) == ("lb2", "lb1", False)


def test_a_node_without_the_vips_can_give_none_away(stays):
    moved = _unasked(stays, "lb2")
    assert moved.already
    assert moved.steps == ["lb1 does not have the VIPs"]


@pytest.mark.parametrize(("to", "new", "already"), [(None, "lb2", False), ("lb2", "lb2", False), ("lb1", "lb1", True)])
def test_a_node_with_the_vips_gives_them_away_by_force(stays, monkeypatch, to, new, already):
    monkeypatch.setattr(verbs, "held", lambda site: ("192.0.2.50",))
    moved = _unasked(stays, to)
    assert (moved.new, moved.already) == (new, already)
