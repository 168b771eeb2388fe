"""What `lbkit pair status` finds, from what two nodes say of themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.operate.node_status import AgentStatus, HaproxyStatus, NodeStatus
from lbkit.operate.pair_alike import intents_that_differ
from lbkit.operate.pair_link import Reached, agents_reach_each_other, hears_adverts, vrrp_gets_through
from lbkit.operate.pair_status import PairStatus, findings
from lbkit.state.applied import Applied
from lbkit.state.intents import Intent
from lbkit.state.pair import PairSeen, PeerSeen

NOW = 1_800_000_000.0
REACHED = Reached(offset=0.002, probe_here=True, probe_there=True)
CUT = Reached("node lb2 (192.0.2.12) can't be reached over ssh: timed out.")
HELD = ("192.0.2.50", "192.0.2.51")
FIRST = Applied(1, "a" * 64, "lb1", "anna", NOW, ((1, "a" * 64),))
OWN = {"time zone": ("Europe/Berlin",), "DNS": ("nameserver 192.0.2.1",), "routes": ("default via 192.0.2.1",)}
HAPROXY = HaproxyStatus("up", "2.6.12", {"LAST": 1}, peer_established=True, peer_heard=1.0, probe=True)


def agent(node, role, **more):
    peer = PeerSeen(answer_age=0.5, tables_age=1.0, role="unknown", can_serve=True, **more.pop("peer", {}))
    keepalived = more.pop("keepalived", "running")
    return AgentStatus(pair=PairSeen(node, role, 60.0, keepalived, "up", (), **{"can_serve": True, **more}, peer=peer))


def node(name, role, **more):
    values = {
        "lbkit": "1.0", "time": NOW, "keepalived": "running", "role": role, "priority": 248 if role == "master" else 244,
        "since": NOW - 60, "held": HELD if role == "master" else (), "haproxy": HAPROXY, "agent": agent(name, role),
        "servers_up": 2, "servers": 2, "digest": FIRST.digest, "applied": FIRST, "own": OWN,
    }  # fmt: skip
    return NodeStatus(name, **(values | more))


MASTER, BACKUP = node("lb1", "master"), node("lb2", "backup")


def told(here=MASTER, there=BACKUP, reached=REACHED):
    found = findings(1.0, here, "lb2" if here.node == "lb1" else "lb1", there, reached)
    return PairStatus("test", here, "lb2" if here.node == "lb1" else "lb1", there, reached, found)


def text(status):
    return "\n".join(f"{one.level} {one.node or '-'} {one.what} → {one.todo}" for one in status.findings)


def test_a_pair_of_which_nothing_is_wrong_is_well():
    for found in (told(), told(BACKUP, MASTER)):
        assert (found.findings, found.exit_code) == ((), 0)
        assert found.verdict == "All is well: lb1 has the VIPs, and lb2 can take them over."


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({"keepalived": "dead", "role": "unknown"}, "wrong", "lb2 keepalived does not run. → systemctl restart keepalived"),
        ({"keepalived": "frozen", "role": "unknown"}, "wrong", "lb2 keepalived is frozen"),
        ({"keepalived": "running", "role": "unknown"}, "wrong", "has no VRRP instance of this site. → lbkit apply"),
        ({"role": "fault", "tracked": ("fault",)}, "wrong", "keepalived has given up: it was told so"),
        ({"role": "fault"}, "wrong", "an interface that it tracks is down"),
        ({"haproxy": HaproxyStatus("dead")}, "wrong", "lb2 HAProxy does not run"),
        ({"haproxy": HaproxyStatus("hung")}, "wrong", "lb2 HAProxy hangs"),
        ({"haproxy": replace(HAPROXY, version="2.8.25")}, "note", "HAProxy is 2.6.12 on lb1, and 2.8.25 on lb2"),
        ({"haproxy": replace(HAPROXY, peer_established=False)}, "wrong", "HAProxy on lb2 has no session"),
        ({"haproxy": replace(HAPROXY, probe=False)}, "wrong", "lb2 its HAProxy runs with a configuration of before"),
        ({"haproxy": replace(HAPROXY, tables={"LAST": 0})}, "wrong", "the table of LAST has 1 entry on lb1, and 0 on lb2"),
        ({"agent": AgentStatus("no agent answers at X.")}, "wrong", "lb2 no agent answers at X. Until then nobody tells"),
        ({"agent": replace(agent("lb2", "backup"), observe=True)}, "wrong", "the agent observes only"),
        ({"agent": replace(agent("lb2", "backup"), trouble="no gateway")}, "wrong", "the agent says: no gateway"),
        ({"agent": agent("lb2", "backup", can_serve=False, why_not="no")}, "wrong", "it can't take the VIPs over: no"),
        ({"agent": agent("lb2", "backup", peer={"trouble": "denied"})}, "wrong", "its agent does not reach lb1: denied"),
        ({"agent": agent("lb2", "backup", keeps_sessions=NOW + 60)}, "note", "still hands sessions"),
        ({"servers_up": 1}, "wrong", "lb2 it sees 1 of 2 real servers up, and lb1 sees 2"),
        ({"tracked": ("maintenance",)}, "wrong", "lbkit pair maintenance off lb2"),
        ({"tracked": ("maintenance",), "maintenance": "by anna: a fan"}, "wrong", "maintenance, by anna: a fan. It takes"),
        ({"tracked": ("prefer",)}, "note", "an operator wants the VIPs here"),
        ({"lbkit": "1.1"}, "wrong", "lbkit is 1.0 on lb1, and 1.1 on lb2"),
        ({"differs": ("/etc/haproxy/haproxy.cfg",)}, "wrong", "1 part would change (/etc/haproxy/haproxy.cfg)"),
        ({"differs": tuple("abcde")}, "wrong", "5 parts would change (a, b, c and 2 more)"),
        ({"applied": replace(FIRST, digest="b" * 64)}, "wrong", "was changed since it was applied"),
        ({"digest": "b" * 64}, "wrong", "the site files of lb1 and lb2 differ"),
        ({"certificates": {"own": ("CD", 1.0)}}, "wrong", "not the same certificates on both nodes: own"),
        ({"intents": (Intent("LAST", "s1", "drain").as_dict(),)}, "wrong", "what operators asked for differs: LAST/s1"),
        ({"own": OWN | {"DNS": ()}}, "wrong", "DNS: nameserver 192.0.2.1 on lb1, none on lb2"),
        ({"troubles": {"intents": "it is broken."}}, "wrong", "lb2 intents: it is broken."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_node_is_told_once_and_whoever_asks(changes, level, says):
    here = replace(MASTER, certificates={"own": ("AB", 1.0)} if "certificates" in changes else {})
    found = told(here, replace(BACKUP, **changes))
    assert says in text(found)
    assert found.exit_code == {"wrong": 1, "note": 0}[level]
    assert [one.level for one in found.findings] == [level] * len(found.findings)
    other = told(replace(BACKUP, **changes), here)
    assert sorted(one.level for one in other.findings) == sorted(one.level for one in found.findings)


def test_what_differs_in_a_way_that_is_right_is_not_told():
    there = replace(BACKUP, own=OWN | {"routes": ()}, haproxy=replace(HAPROXY, tables={"LAST": 1, "X": 5}))
    assert not told(replace(MASTER, haproxy=replace(HAPROXY, tables={"LAST": 1, "X": 4})), there).findings


def test_a_newer_generation_says_on_which_node_to_sync():
    newer = Applied(2, "b" * 64, "lb2", "anna", NOW, (*FIRST.history, (2, "b" * 64)))
    found = told(MASTER, replace(BACKUP, applied=newer, digest=newer.digest))
    assert "lb1 it has generation 1 of the site, lb2 has 2. → lbkit pair sync (on lb2)" in text(found)


def test_sites_that_were_changed_on_both_nodes_are_for_an_operator_to_choose():
    one, other = (Applied(2, digest * 64, "lb1", "anna", NOW, (*FIRST.history, (2, digest * 64))) for digest in "bc")
    here, there = replace(MASTER, applied=one, digest=one.digest), replace(BACKUP, applied=other, digest=other.digest)
    assert "the site was changed on both nodes" in text(told(here, there))


def test_two_masters_are_a_split_brain_and_the_lower_one_is_to_stop():
    found = told(MASTER, node("lb2", "master", priority=247))
    assert found.exit_code == 2
    assert found.verdict.startswith("SPLIT BRAIN: lb1 and lb2 are both master")
    assert "systemctl stop keepalived (on lb2)" in found.findings[0].todo


@pytest.mark.parametrize("state", ["frozen", "dead"])
def test_addresses_that_a_keepalived_has_left_beside_a_master_are_a_split_brain(state):
    ill = replace(MASTER, keepalived=state, role="unknown")
    found = told(ill, node("lb2", "master"))
    assert found.exit_code == 2
    assert f"keepalived on lb1 is {state}" in found.verdict
    assert "(on lb1)" in found.findings[0].todo


def test_a_split_brain_that_the_agent_sees_counts_while_the_peer_is_silent():
    here = replace(MASTER, agent=agent("lb1", "master", split_brain="192.0.2.50 is also at 02:00:00:00:00:02"))
    assert told(here, None, CUT).exit_code == 2
    assert told(here, BACKUP).exit_code == 0  # it was: now both say who is master


def test_neither_node_master_is_an_outage_with_what_to_start():
    dead = {"keepalived": "dead", "role": "unknown", "held": ()}
    found = told(replace(MASTER, **dead), replace(BACKUP, **dead))
    assert found.exit_code == 2
    assert found.verdict == "NOBODY has the VIPs: neither node is master."
    assert "restart keepalived (on lb1 and lb2)" in found.findings[0].todo


def test_a_silent_peer_is_dead_unless_something_hears_it():
    deaf = replace(MASTER, haproxy=replace(HAPROXY, peer_established=False))
    found = told(deaf, None, CUT)
    assert (found.exit_code, found.verdict) == (1, "lb1 has the VIPs; 1 thing is not as it should be.")
    assert "wrong lb2 it is dead, or cut off" in text(found)
    assert "It lives: HAProxy's replication hear" in text(told(MASTER, None, CUT))
    backup = told(replace(BACKUP, haproxy=deaf.haproxy), None, CUT)
    assert "It lives: VRRP hear" in text(backup)
    assert (backup.exit_code, backup.verdict) == (1, "lb1 has the VIPs; 1 thing is not as it should be.")


def test_a_peer_that_lets_nobody_in_is_told_with_the_way_out():
    found = told(MASTER, None, Reached("node lb2: Permission denied.", lets_in=False))
    assert text(found) == "wrong lb2 node lb2: Permission denied. → lbkit pair setup"


def test_a_backup_that_hears_nothing_knows_of_no_master():
    dead = replace(BACKUP, keepalived="dead", role="unknown", agent=AgentStatus("none."))
    found = told(replace(dead, haproxy=HaproxyStatus("dead")), None, CUT)
    assert found.exit_code == 2
    assert "nothing shows that lb1 has them" in found.verdict


def test_clocks_that_are_apart_are_told():
    found = told(reached=replace(REACHED, offset=-2.5))
    assert "lb2 its clock is 2.5 s behind that of lb1" in text(found)


@pytest.mark.parametrize("way", ["probe_here", "probe_there"])
def test_an_entry_that_does_not_get_across_is_told(way):
    source, target = ("lb2", "lb1") if way == "probe_here" else ("lb1", "lb2")
    found = told(reached=replace(REACHED, **{way: False}))
    assert f"an entry that was set on {source} has not come to {target}" in text(found)


@pytest.mark.parametrize(
    ("it", "hears"),
    [
        (BACKUP, True),
        (replace(BACKUP, since=NOW - 2), None),
        (replace(BACKUP, since=NOW - 2, agent=agent("lb2", "backup", peer={"advert_age": 0.4})), True),
        (replace(BACKUP, keepalived="dead", agent=agent("lb2", "backup", peer={"advert_age": 40.0})), False),
        (MASTER, False),
    ],
)
def test_adverts_are_heard_by_a_backup_that_stays_one_or_by_its_agent(it, hears):
    assert hears_adverts(it, 1.0) is hears


def test_the_same_intents_in_another_order_do_not_differ():
    one, other = (Intent("A", label, "drain").as_dict() for label in ("s1", "s2"))
    assert intents_that_differ(replace(MASTER, intents=(one, other)), replace(BACKUP, intents=(other, one))) == ()


def test_a_node_comes_back_from_json_as_it_was():
    whole = replace(MASTER, certificates={"own": ("AB", 2.0)}, intents=(Intent("A", "s1", "drain").as_dict(),))
    back = NodeStatus.of(json.loads(json.dumps(whole.as_dict())))
    assert replace(back, own={}) == replace(whole, own={})


def test_a_node_of_another_lbkit_is_read_as_far_as_it_goes():
    document = json.loads(json.dumps(MASTER.as_dict()))
    document["haproxy"]["news"] = document["agent"]["news"] = document["news"] = 1
    document["agent"]["pair"]["news"] = 1
    document["applied"]["news"] = 1
    del document["tracked"], document["haproxy"]["version"]
    back = NodeStatus.of(document)
    assert (back.role, back.tracked, back.agent, back.haproxy.version) == ("master", (), MASTER.agent, "")


_STATES = st.sampled_from(["running", "frozen", "dead", None])
_ROLES = st.sampled_from(["master", "backup", "fault", "unknown"])


@given(st.tuples(_STATES, _ROLES, st.booleans()), st.none() | st.tuples(_STATES, _ROLES, st.booleans()))
def test_the_code_says_2_exactly_where_both_or_neither_has_the_vips(one, other):
    here, there = (
        given and replace(known, keepalived=given[0], role=given[1], held=HELD if given[2] else ())
        for given, known in ((one, MASTER), (other, BACKUP))
    )
    found = told(here, there, CUT if there is None else REACHED)
    assert found.as_dict()["code"] == found.exit_code
    if there is not None and None not in (here.keepalived, there.keepalived):
        assert (found.exit_code == 2) is (here.has_addresses == there.has_addresses)


def test_that_a_node_has_left_the_pair_is_told_once_by_whoever_knows():
    gone = "lb2 left the pair at 2026-11-23 09:00:00 (anna@lb2)"
    for here, there in ((replace(MASTER, left=gone), BACKUP), (MASTER, replace(BACKUP, left=gone))):
        (found,) = told(here, there).findings
        assert (found.level, found.what) == ("wrong", f"{gone}: the other one goes on alone.")
        assert "lbkit pair maintenance off" in found.todo
    assert gone in text(told(replace(MASTER, left=gone), None, CUT))


def test_the_ways_of_vrrp_and_of_the_agents_are_known_from_those_that_listen():
    deaf = node("lb2", "master", agent=agent("lb2", "master"))
    assert vrrp_gets_through(MASTER, BACKUP, 1.0) is True
    assert vrrp_gets_through(BACKUP, None, 1.0) is True
    assert vrrp_gets_through(MASTER, None, 1.0) is None
    assert vrrp_gets_through(MASTER, deaf, 1.0) is False
    assert agents_reach_each_other(MASTER, BACKUP) is True
    cut = replace(BACKUP, agent=agent("lb2", "backup", peer={"trouble": "node lb1 can't be reached"}))
    assert agents_reach_each_other(MASTER, cut) is False
    assert agents_reach_each_other(replace(MASTER, agent=AgentStatus("none")), None) is None
