"""The agent's state as objects of LBKIT-MIB, and snmpd's conversation about them."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.site_text import server, site, vip

import lbkit
from lbkit.errors import Misuse, NotAllowed
from lbkit.snmp import looking, oids
from lbkit.snmp.looking import Looking
from lbkit.snmp.oids import (
    COUNTERS,
    LABEL,
    LBKIT,
    NODE,
    NODE_NAME,
    NODE_RECEIVERS,
    NODE_TROUBLE,
    NODE_VERSION,
    SERVER_ENTRY,
    VIP_ENTRY,
)
from lbkit.snmp.pass_persist import serve
from lbkit.snmp.tree import Object, index, line, tree
from lbkit.state.agent import AgentState
from lbkit.state.observed import ServerState, VipState
from lbkit.state.pair import PairSeen, PeerSeen

FOUR = vip("FOUR", "192.0.2.1:104,105", server("a", "192.0.2.11"), server("b", "192.0.2.12"), mode="l4-dr")
SEVEN = {**vip("SEVEN", ":443", server("c", "192.0.2.13:444")), "address": "2001:db8::1"}
NODES = [{"name": "lb1", "address": "192.0.2.251"}, {"name": "lb2", "address": "192.0.2.252"}]
F = (4, *b"FOUR")
S = (5, *b"SEVEN")
UP = ServerState("online", "up", why="C-ECHO in 2 ms", weight=100, connections=3)
DOWN = ServerState("online", "down", why="refused", weight=50)
UNKNOWN = ServerState("online", "unknown", weight=100)
PAIR = PairSeen("lb1", "backup", 61.9, "running", "up", (), True)
MASTER, BACKUP = 2, 3


@pytest.fixture
def loaded(tmp_path):
    def load(*vips, **more):
        file = tmp_path / "site.toml"
        file.write_text(site(*vips or (FOUR, SEVEN), **more))
        return lbkit.load_site(file)

    return load


def state(**more):
    return AgentState(1, False, "test", more.pop("site_file", "site.toml"), 1, more.pop("vips", {}), **more)


def values(objects):
    return {one.oid: one.value for one in objects}


def below(objects, root):
    return {one.oid[len(root) :]: one.value for one in objects if one.oid[: len(root)] == root}


# --- the objects ----------------------------------------------------------------------------------------------------


def test_rows_of_both_layers_are_indexed_by_their_labels(loaded):
    seen = state(
        vips={"FOUR": VipState({"a": UP, "b": DOWN}, 7)},
        layer_7={"SEVEN": VipState({"c": UP._replace(wanted="drain")}, 1, fallback=True)},
    )
    found = tree("lb1", "1.0", loaded(), seen)
    assert below(found, VIP_ENTRY) == {
        (2, *F): "FOUR", (3, *F): "192.0.2.1", (4, *F): "104,105", (5, *F): 2, (6, *F): 2, (7, *F): 7, (8, *F): 1,
        (9, *F): 2, (10, *F): 2,
        (2, *S): "SEVEN", (3, *S): "2001:db8::1", (4, *S): "443", (5, *S): 1, (6, *S): 3, (7, *S): 1, (8, *S): 1,
        (9, *S): 1, (10, *S): 1,
    }  # fmt: skip
    a, b, c = (*F, 1, ord("a")), (*F, 1, ord("b")), (*S, 1, ord("c"))
    assert below(found, SERVER_ENTRY) == {
        (2, *a): "a", (3, *a): "192.0.2.11", (4, *a): 0, (5, *a): 1, (6, *a): 1, (7, *a): 100, (8, *a): 3,
        (9, *a): "C-ECHO in 2 ms",
        (2, *b): "b", (3, *b): "192.0.2.12", (4, *b): 0, (5, *b): 2, (6, *b): 1, (7, *b): 50, (8, *b): 0, (9, *b): "refused",
        (2, *c): "c", (3, *c): "192.0.2.13", (4, *c): 444, (5, *c): 1, (6, *c): 2, (7, *c): 100, (8, *c): 3,
        (9, *c): "C-ECHO in 2 ms",
    }  # fmt: skip


def test_a_row_stays_where_it_is_whatever_else_the_site_gets(loaded):
    before, after = (tree("lb1", "1.0", loaded(*vips), state()) for vips in ((SEVEN,), (FOUR, SEVEN)))
    assert set(below(before, VIP_ENTRY).items()) < set(below(after, VIP_ENTRY).items())


def test_two_labels_of_the_longest_are_all_that_a_name_has_room_for(loaded):
    longest = vip("V" * LABEL, "192.0.2.1:443", server("s" * LABEL, "192.0.2.11"))
    assert max(len(one.oid) for one in tree("lb1", "1.0", loaded(longest), state())) == 128  # RFC 2578, 3.5


def test_they_are_in_the_order_of_snmp(loaded):
    many = [vip(f"V{number}", f"192.0.2.1:{number}", server("a", "192.0.2.11")) for number in range(1, 13)]
    found = tree("lb1", "1.0", loaded(*many), state())
    order = [one.oid for one in found]
    assert order == sorted(set(order))
    assert order.index((*VIP_ENTRY, 2, *index("V9"))) < order.index((*VIP_ENTRY, 2, *index("V10")))


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ({"a": UP, "b": UP}, 1),
        ({"a": UP, "b": DOWN}, 2),
        ({"a": UP, "b": UNKNOWN}, 1),
        ({"a": UP, "b": UP._replace(wanted="drain")}, 2),
        ({"a": UP, "b": UP._replace(weight=0)}, 2),
        ({"a": UP}, 2),
        ({"a": DOWN, "b": DOWN}, 3),
        ({"a": UP._replace(wanted="halt"), "b": DOWN}, 3),
        ({"a": DOWN, "b": UNKNOWN}, 2),
        ({"a": UNKNOWN._replace(wanted="drain"), "b": DOWN}, 3),
        ({}, 3),
    ],
)
def test_a_vip_is_whole_degraded_down_or_unknown(servers, said, loaded):
    found = tree("lb1", "1.0", loaded(FOUR), state(vips={"FOUR": VipState(servers)}))
    assert values(found)[*VIP_ENTRY, 6, *F] == said


def test_of_a_vip_that_nobody_has_seen_there_is_what_the_site_says(loaded):
    found = below(tree("lb1", "1.0", loaded(FOUR), state()), VIP_ENTRY)
    assert found == {
        (2, *F): "FOUR", (3, *F): "192.0.2.1", (4, *F): "104,105", (5, *F): 2, (6, *F): 4, (9, *F): 2
    }  # fmt: skip


def test_of_a_vip_whose_engine_can_not_be_looked_at_there_is_health_and_no_more(loaded):
    seen = VipState({"a": UP, "b": DOWN}, unseen="no IPVS in this kernel")
    found = below(tree("lb1", "1.0", loaded(FOUR), state(vips={"FOUR": seen})), VIP_ENTRY)
    assert (found[6, *F], found[8, *F]) == (4, 1)
    assert (7, *F) not in found
    assert (10, *F) not in found


@pytest.mark.parametrize("role", ["master", "backup", "fault", "unknown"])
def test_a_node_of_a_pair_says_its_role_and_whether_the_other_one_answers(role, loaded):
    seen = replace(PAIR, role=role)
    found = tree("its-host-name", "1.0", loaded(pair={"nodes": NODES}), state(pair=seen))
    number = {"master": MASTER, "backup": BACKUP, "fault": 4, "unknown": 5}[role]
    assert below(found, NODE) == {
        (1, 0): "lb1",
        (2, 0): number,
        (3, 0): "1.0",
        (4, 0): 61,
        (5, 0): 2,
        (6, 0): "",
        (7, 0): "",
    }
    lost = replace(seen, peer=PeerSeen(trouble="node lb2 does not answer"), split_brain="both are master")
    found = below(tree("lb1", "1.0", loaded(pair={"nodes": NODES}), state(pair=lost, trouble="x")), NODE)
    assert (found[5, 0], found[6, 0]) == (3, "both are master x")


def test_what_is_split_is_said_once(loaded):
    split = state(pair=replace(PAIR, split_brain="both are master"), trouble="HAProxy hangs. both are master")
    found = values(tree("lb1", "1.0", loaded(pair={"nodes": NODES}), split))
    assert found[NODE_TROUBLE] == "HAProxy hangs. both are master"


def test_a_node_alone_has_no_peer_and_no_time_since(loaded):
    found = below(tree("lb1", "1.0", loaded(), state(trouble="IPVS is away")), NODE)
    assert found == {(1, 0): "lb1", (2, 0): 1, (3, 0): "1.0", (5, 0): 1, (6, 0): "IPVS is away", (7, 0): ""}


def test_without_the_agent_there_is_the_node_alone_with_its_trouble(loaded):
    found = tree("lb1", "1.0", loaded(), None, "no agent answers")
    assert values(found) == {
        NODE_NAME: "lb1",
        (*NODE, 2, 0): 1,
        (*NODE, 3, 0): "1.0",
        NODE_TROUBLE: "no agent answers",
    }
    assert values(tree("lb1", "1.0", None, None, "x"))[*NODE, 2, 0] == 5


def test_who_is_not_told_is_said_with_the_reason(loaded):
    receivers = {"traps-192.0.2.9-162": "Timeout.", "mail": "refused.", "webhook": ""}
    found = values(tree("lb1", "1.0", loaded(), state(receivers=receivers)))
    assert found[NODE_RECEIVERS] == "mail: refused. traps-192.0.2.9-162: Timeout."
    assert found[NODE_TROUBLE] == ""


def test_events_are_counted_by_level(loaded):
    counters = {"server-down": 3, "vip-degraded": 1, "vip-down": 2, "server-up": 4, "of-a-newer-lbkit": 1}
    found = tree("lb1", "1.0", loaded(), state(counters=counters, checks=7))
    assert below(found, COUNTERS) == {(1, 0): 5, (2, 0): 4, (3, 0): 2, (4, 0): 7}


def test_a_counter_begins_anew_and_a_gauge_stays_at_its_end(loaded):
    found = tree("lb1", "1.0", loaded(), state(counters={"test": (1 << 32) + 5}, checks=1 << 40))
    assert below(found, COUNTERS) == {(1, 0): 5, (2, 0): 0, (3, 0): 0, (4, 0): (1 << 32) - 1}


@given(st.text(max_size=2000))
def test_any_text_is_one_line_that_fits(text):
    made = line(text)
    assert len(made.encode()) <= 1024
    assert made == "" or made.isprintable()


# --- the conversation -----------------------------------------------------------------------------------------------

SOME = tuple(
    Object((*LBKIT, *rest), kind, value)
    for rest, kind, value in [
        ((1, 1, 1, 0), "string", "lb1"),
        ((1, 1, 2, 0), "integer", 2),
        ((1, 2, 1, 2, 1), "string", ""),
        ((1, 2, 1, 2, 10), "string", "größer"),
        ((1, 4, 1, 0), "counter", 5),
    ]
)


def told(*asked, objects=SOME):
    sink = BytesIO()
    serve(BytesIO(b"".join(one.encode() + b"\n" for one in asked)), sink, lambda: objects)
    return sink.getvalue().decode().splitlines()


def test_a_ping_is_answered():
    assert told("PING", "PING") == ["PONG", "PONG"]


def test_get_answers_for_exactly_that_object():
    assert told("get", ".1.3.6.1.4.1.8072.9999.9999.7779.1.2.1.2.10") == [
        ".1.3.6.1.4.1.8072.9999.9999.7779.1.2.1.2.10",
        "string",
        "größer",
    ]
    assert told("get", ".1.3.6.1.4.1.8072.9999.9999.7779.1.1") == ["NONE"]
    assert told("get", ".1.3.6.1.4.1.8072.9999.9999.7779.9") == ["NONE"]


def test_nothing_is_writable_and_the_conversation_goes_on():
    assert told("set", f"{oids.dotted(SOME[0].oid)}", 'string "x"', "PING") == ["not-writable", "PONG"]


@pytest.mark.parametrize(
    "odd", ["", "x", ".1.3.x", ".1..3", "-1", ".1.4294967296", ".1" * 129, ".1.99999999999", "1.3.6.²"]
)
def test_what_is_no_name_of_an_object_is_not_there(odd):
    assert told("get", odd) == ["NONE"]


def test_a_word_that_is_no_question_is_answered_with_none():
    assert told("HELLO", "PING") == ["NONE", "PONG"]


def test_a_line_without_end_ends_the_conversation():
    sink = BytesIO()
    serve(BytesIO(b"get\n" + b"1" * 1_000_000), sink, lambda: SOME)
    assert sink.getvalue() == b"NONE\n"
    serve(BytesIO(b"x" * 1_000_000 + b"\nPING\n"), sink, lambda: SOME)
    assert sink.getvalue() == b"NONE\n"


def test_the_conversation_ends_behind_an_answer_when_another_version_is_to_go_on():
    sink = BytesIO()
    serve(BytesIO(b"PING\nPING\n"), sink, lambda: SOME, over=lambda: True)
    assert sink.getvalue() == b"PONG\n"


OIDS = st.one_of(
    st.lists(st.integers(0, 3), max_size=4).map(lambda rest: (*LBKIT, 1, *rest)),
    st.sampled_from([one.oid for one in SOME]).flatmap(
        lambda oid: st.tuples(st.integers(0, len(oid)), st.integers(0, 12)).map(lambda cut: (*oid[: cut[0]], cut[1]))
    ),
    st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=128).map(tuple),
)


@given(OIDS)
def test_getnext_gives_the_first_object_behind_any_name(oid):
    behind = [one for one in SOME if one.oid > oid]
    wanted = [oids.dotted(behind[0].oid), behind[0].type, str(behind[0].value)] if behind else ["NONE"]
    assert told("getnext", oids.dotted(oid)) == wanted


@given(st.sets(OIDS, max_size=30))
def test_a_walk_gives_each_object_once_in_order(names):
    objects = tuple(Object(one, "integer", number) for number, one in enumerate(sorted(names)))
    walked, at = [], ".0"
    while (answer := told("getnext", at, objects=objects)) != ["NONE"] and len(walked) <= len(names):
        walked.append(int(answer[2]))
        at = answer[0]
    there = [number for number, one in enumerate(sorted(names)) if one > (0,)]
    assert walked == there


# --- looking --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """One that goes as the test says, for `looking` alone."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(looking, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def agent(monkeypatch, tmp_path):
    """What stands in for the agent's socket: the real one is asked in tests/interop."""
    file = tmp_path / "site.toml"
    file.write_text(site(FOUR))
    told = SimpleNamespace(state=state(), asked=0, file=file)
    told.state = replace(told.state, site_file=str(file))

    def answer(self):
        told.asked += 1
        if isinstance(told.state, Exception):
            raise told.state
        return told.state

    monkeypatch.setattr("lbkit.state.agent.Agent.state", answer)
    return told


def labels(objects):
    return [value for place, value in below(objects, VIP_ENTRY).items() if place[0] == 2]


def test_the_agent_is_asked_again_after_two_seconds_and_not_before(agent, clock):
    look = Looking("nowhere", lbkit.load_site)
    for later, asked in ((0, 1), (1.9, 1), (0.2, 2), (1.9, 2)):
        clock.seconds += later
        assert labels(look()) == ["FOUR"]
        assert agent.asked == asked


def test_a_site_file_that_changes_is_read_anew_and_only_then(agent, clock):
    read = []

    def load(file):
        read.append(file)
        return lbkit.load_site(file)

    look = Looking("nowhere", load)
    for _ in range(3):
        look()
        clock.seconds += 3
    assert len(read) == 1
    agent.file.write_text(site({**SEVEN, "label": "SEVENTH", "ports": [444]}, SEVEN, FOUR))
    assert labels(look()) == ["FOUR", "SEVEN", "SEVENTH"]
    assert len(read) == 2


def test_a_site_file_that_is_broken_is_trouble_and_the_one_of_before_stays(agent, clock):
    look = Looking("nowhere", lbkit.load_site)
    look()
    agent.file.write_text("name = ")
    for _ in range(2):
        clock.seconds += 3
        found = look()
        assert labels(found) == ["FOUR"]
        assert "no TOML" in values(found)[NODE_TROUBLE]
    agent.file.write_text(site(SEVEN))
    clock.seconds += 3
    assert values(look())[NODE_TROUBLE] == ""


def test_an_agent_that_is_away_leaves_the_node_with_its_trouble(agent, clock):
    look = Looking("nowhere", lbkit.load_site)
    agent.state = Misuse("no agent answers")
    assert values(look())[NODE_TROUBLE] == "no agent answers"
    assert labels(look()) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"vips": {"FOUR": VipState({"a": UP._replace(health="starting")})}},
        {"vips": {"FOUR": VipState({"a": UP._replace(wanted="paused")})}},
        {"checks": "x"},
        {"trouble": 5},
    ],
)
def test_a_word_of_another_version_is_trouble_and_ends_nothing(odd, agent, clock):
    agent.state = replace(agent.state, **odd)
    look = Looking("nowhere", lbkit.load_site)
    assert "does not know" in values(look())[NODE_TROUBLE]
    agent.state = state(site_file=str(agent.file))
    clock.seconds += 3
    assert values(look())[NODE_TROUBLE] == ""


def test_an_edit_that_nobody_has_applied_is_not_what_runs(agent, clock):
    agent.state = replace(agent.state, vips={"FOUR": VipState({"a": UP, "b": UP})})
    look = Looking("nowhere", lbkit.load_site)
    look()
    new = vip("NEW", "192.0.2.3:104", server("n", "192.0.2.13"), mode="l4-dr")
    agent.file.write_text(site(new, FOUR))
    clock.seconds += 3
    assert labels(look()) == ["FOUR"]
    agent.state = replace(agent.state, vips={"NEW": VipState({"n": UP}), **agent.state.vips})
    clock.seconds += 3
    assert labels(look()) == ["NEW", "FOUR"]


def test_it_runs_with_what_was_installed_when_it_started_and_says_so(agent, clock, monkeypatch):
    look = Looking("nowhere", lbkit.load_site)
    before = values(look())[NODE_VERSION]
    monkeypatch.setattr(looking, "version", lambda name: "another")
    clock.seconds += 3
    assert not look.outdated
    assert values(look())[NODE_VERSION] == before
    assert look.outdated


def test_a_user_who_may_not_ask_the_agent_is_named_with_what_to_do(agent, clock):
    agent.state = NotAllowed("not for this user")
    said = values(Looking("nowhere", lbkit.load_site)())[NODE_TROUBLE]
    assert re.fullmatch(
        r"user \w+ may not ask the agent: see SNMP in packaging/README.md, then restart the agent\.", said
    )
