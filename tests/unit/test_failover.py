"""Planned failover: who is refused, what is said before, what a node keeps of it, and when the agent ends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from unit.site_text import server, site, vip

from lbkit import Registry, load_site
from lbkit.agent.handover import Peer, knock
from lbkit.errors import Misuse, NotRunning
from lbkit.operate import fitness
from lbkit.operate.failover import Order, failback, failover
from lbkit.operate.fitness import Look
from lbkit.operate.maintenance import maintenance as keep_away
from lbkit.operate.node_status import AgentStatus, HaproxyStatus, NodeStatus
from lbkit.operate.receive import Here
from lbkit.pair import second_chance, switch
from lbkit.pair.second_chance import Way
from lbkit.pair.switch import Switch
from lbkit.site.model import Node
from lbkit.state import maintenance

NODES = [
    {"name": "lb1", "address": "192.0.2.11", "networks": {"198.51.100.0/24": "eth1"}},
    {"name": "lb2", "address": "192.0.2.12", "networks": {"198.51.100.0/24": "eth1"}},
]
HAPROXY = HaproxyStatus("up", "2.6.12", {"WEB": 40}, peer_established=True, peer_heard=1.0)


def _vips():
    one = server("rs1", "192.0.2.21:80")
    return (
        vip("WEB", "192.0.2.50:80,443", one),
        vip("OTHER", "198.51.100.50:80", one),
        vip("CLEAR", "192.0.2.51:80", one, transparent=True),
        vip("SHARED", "192.0.2.52:80", one),
        vip("DICOM", "192.0.2.52:104", server("rs1", "192.0.2.21"), mode="l4-dr"),
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Node lb1, with a VIP of each kind."""
    folder = tmp_path_factory.mktemp("lb1")
    (folder / "vrrp").mkdir()
    file = folder / "site.toml"
    file.write_text(site(*_vips(), pair={"nodes": NODES}, keepalived={"runtime": str(folder / "vrrp")}))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LBKIT_NODE", "lb1")
        yield Here(file, lambda: load_site(str(file)), Registry().kind, folder / "state")


def _node(name, **more):
    role = "master" if name == "lb1" else "backup"
    values = {"keepalived": "running", "role": role, "haproxy": HAPROXY, "servers_up": 2, "servers": 2, "digest": "d"}
    return NodeStatus(name, **(values | more))


def _against(here, stuck=None, old=None, **new):
    before = Look(_node("lb1", **(old or {})), {}, {"LAST": "rs1"})
    return fitness.against(
        here.site, before, Look(_node("lb2", **new), {}, {"LAST": "rs1"} if stuck is None else stuck)
    )


# --- who is refused ---


def test_a_peer_that_is_as_this_node_is_fit(here):
    assert _against(here) == []


@pytest.mark.parametrize(
    ("words", "new"),
    [
        ("keepalived there is frozen", {"keepalived": "frozen"}),
        ("in state fault", {"role": "fault"}),
        ("HAProxy there is hung", {"haproxy": HaproxyStatus("hung")}),
        ("agent does not answer", {"agent": AgentStatus("nobody is there.")}),
        ("only observes", {"agent": AgentStatus(observe=True)}),
        ("lbkit pair maintenance off lb2", {"tracked": ("maintenance",)}),
        ("no real server up", {"tracked": ("servers_down",)}),
        ("lbkit apply", {"differs": ("/etc/haproxy/haproxy.cfg",)}),
        ("1 of 2 real servers up", {"servers_up": 1}),
        ("another than that of lb1", {"digest": "e"}),
        ("table of WEB has 0 entries", {"haproxy": replace(HAPROXY, tables={})}),
        ("stuck to rs2", {"stuck": {"LAST": "rs2"}}),
        ("operators asked for differs", {"intents": ({"vip": "WEB", "server": "rs1", "wanted": "drain"},)}),
    ],
)
def test_a_peer_that_could_not_serve_as_this_node_does_is_not(here, words, new):
    found = _against(here, **new)
    assert len(found) == 1, found
    assert found[0].startswith("lb2: ")
    assert words in found[0]


def test_entries_that_came_while_both_were_counted_are_no_reason(here):
    assert _against(here, haproxy=replace(HAPROXY, tables={"WEB": 37})) == []


def test_a_peer_that_sees_more_is_fit(here):
    assert _against(here, old={"servers_up": 1}, stuck={}) == []


# --- what is said before ---


def _happens(here, keep=True, **connections):
    return fitness.what_happens(here.site, Look(_node("lb1"), connections), Look(_node("lb2")), keep, 600.0)


def test_each_vip_says_what_becomes_of_its_sessions(here):
    said = "\n".join(_happens(here, WEB=12, CLEAR=3, SHARED=1))
    assert "WEB: 12 open sessions on lb1: kept there for at most 10m" in said
    assert "CLEAR: 3 open sessions on lb1: cut, for it is transparent" in said
    assert "SHARED: 1 open session on lb1: cut, for layer 4 has its address too" in said
    assert "DICOM: open connections of layer 4: cut" in said


def test_with_cut_none_is_kept(here):
    assert not any("kept" in one for one in _happens(here, keep=False, WEB=12))


def test_intents_in_force_are_said_for_each_side(here):
    asked = ({"vip": "WEB", "server": "rs1", "wanted": "drain"}, {"vip": "WEB", "server": "rs2", "wanted": "online"})
    looks = [Look(_node(name, intents=asked)) for name in ("lb1", "lb2")]
    said = fitness.what_happens(here.site, *looks, True, 1.0)
    assert said[-2:] == ["in force on lb1: WEB/rs1 drain", "in force on lb2: WEB/rs1 drain"]


# --- misuse ---


def test_a_node_that_is_none_of_the_pair_is_misuse(here):
    with pytest.raises(Misuse, match="'lb3' is none of the pair's nodes"):
        failover(here, Order("lb3"))
    with pytest.raises(Misuse, match="lb3"):
        keep_away(here, True, "lb3")


def test_without_a_pair_there_is_nothing_to_move(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text(site(_vips()[0]))
    alone = Here(file, lambda: load_site(str(file)), Registry().kind)
    for verb in (failover, failback):
        with pytest.raises(Misuse, match=r"has no \[pair\]"):
            verb(alone, Order())


# --- the rule, and what a node keeps ---


def test_sessions_are_kept_of_layer_7_alone_and_of_addresses_of_its_own(here):
    assert second_chance.kept(here.site) == (("192.0.2.50", 80), ("192.0.2.50", 443), ("198.51.100.50", 80))


def test_each_place_goes_by_the_network_that_both_nodes_have_it_in():
    node = Node.model_validate(NODES[0])
    places = (("192.0.2.50", 80), ("198.51.100.50", 80), ("203.0.113.9", 80), ("192.0.2.50", 443))
    hops = {"192.0.2.50": "192.0.2.12", "198.51.100.50": "198.51.100.12"}
    assert second_chance.ways(places, node, hops) == (
        Way("192.0.2.12", "eth0", (("192.0.2.50", 80), ("192.0.2.50", 443))),
        Way("198.51.100.12", "eth1", (("198.51.100.50", 80),)),
    )


def test_a_switch_is_read_as_it_was_written_and_gone_when_it_is_over(here):
    found = Switch("1", "lb1", "lb2", 5.5, ("192.0.2.50",), (Way("192.0.2.11", "eth0", (("192.0.2.50", 80),)),), True)
    found = replace(found, before=replace(found, ident="0"))
    assert switch.read(here.site) is None
    switch.write(here.site, found)
    assert switch.read(here.site) == found
    switch.clear(here.site)
    switch.clear(here.site)
    assert switch.read(here.site) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"ident": 1', "null", '{"over": 3}'])
def test_a_file_that_is_no_switch_is_none(here, content):
    Path(here.site.keepalived.runtime, "handover.json").write_text(content)
    assert switch.read(here.site) is None
    switch.clear(here.site)


def test_maintenance_says_who_and_why_until_it_is_over(tmp_path):
    maintenance.note(True, "anna@lb1", "kernel", tmp_path)
    found = maintenance.read(tmp_path)
    assert (found.who, found.why) == ("anna@lb1", "kernel")
    assert str(found).startswith("by anna@lb1 at ")
    maintenance.note(False, "", "", tmp_path)
    maintenance.note(False, "", "", tmp_path)
    assert maintenance.read(tmp_path) is None


# --- when the agent ends it ---


class _Link:
    """Answers as the old node would."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def ask(self, question, **values):
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        pass


def _asked(link, lives=True, alive=True, is_up=False):
    peer = Peer(link, lambda: lives)
    peer.about("1")
    peer.ask(alive, is_up)
    assert peer._asking is not None
    peer._asking.join(5)
    return peer.over, peer.told


def test_as_long_as_sessions_live_it_goes_on():
    assert _asked(_Link({"connections": 3})) == ("", False)


def test_once_none_is_left_the_old_node_is_told_and_it_is_over():
    link = _Link({"connections": 0}, {"ended": 0})
    assert _asked(link) == ("none is left", True)
    assert link.asked == ["handover.left", "handover.over"]


def test_when_the_time_is_up_the_old_node_ends_what_is_left():
    link = _Link({"ended": 7})
    assert _asked(link, is_up=True) == ("its time is up", True)
    assert link.asked == ["handover.over"]


def test_when_the_time_is_up_nobody_waits_for_a_node_that_is_silent():
    assert _asked(_Link(NotRunning("gone.")), is_up=True) == ("", True)


def test_a_node_whose_agent_is_silent_is_not_taken_for_dead():
    assert _asked(_Link(NotRunning("gone.")), alive=False, lives=True) == ("", False)


def test_a_dead_node_ends_it_without_a_question():
    link = _Link()
    assert _asked(link, alive=False, lives=False) == ("that node is dead", True)
    assert link.asked == []


def test_a_node_that_knows_no_such_switch_ends_it():
    assert _asked(_Link(Misuse("node lb1: lb1 is in no switch '1'")))[1]


def test_a_machine_lives_that_refuses_a_connection():
    assert knock(Node.model_validate({"name": "lb1", "address": "127.0.0.1"}), 1)
