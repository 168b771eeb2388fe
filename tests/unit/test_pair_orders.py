"""The watchman's decisions, by how things are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.agent.pair_orders import Judge, Peer, Situation

NOW = 1000.0
FIT = Peer(NOW - 1.0, NOW - 0.9, "backup", NOW - 500, True, (True, 244))
MASTER = Situation(NOW, "master", NOW - 500, "running", NOW - 900, "up", True, True, FIT, rank=(True, 245))
BACKUP = replace(
    MASTER, role="backup", held=False, peer=replace(FIT, role="master"), heard=NOW - 0.5, heard_since=NOW - 400
)

WELL = {"fault": False, "haproxy_down": False, "servers_down": False}
OF_MASTER = WELL | {"holder": True}
OF_BACKUP = WELL | {"holder": False}
DEAD = {"fault": True, "haproxy_down": True, "servers_down": True, "holder": True}
LOWERED = DEAD | {"fault": False}
UNFIT = replace(FIT, can_serve=False)
SILENT = replace(FIT, asked=NOW - 4.2, answered=NOW - 4.1)
NEVER = Peer()


def dead(situation, state="dead"):
    return replace(situation, haproxy=state, servers_up=False)


def keepalived(state, situation=MASTER, **more):
    return replace(situation, **{"keepalived": state, "keepalived_since": NOW - 2, "role": "master", **more})


TABLE = {
    "a master that is well": (MASTER, OF_MASTER),
    "a backup that is well": (BACKUP, OF_BACKUP),
    "a master of a site that preempts": (replace(MASTER, preempt=True), OF_BACKUP),
    "layer 4 alone": (replace(MASTER, haproxy="none"), OF_MASTER),
    "HAProxy dead, the peer can serve": (dead(MASTER), DEAD),
    "HAProxy hung, the peer can serve": (dead(MASTER, "hung"), DEAD),
    "HAProxy dead, the peer can't serve": (dead(replace(MASTER, peer=UNFIT)), LOWERED),
    "HAProxy dead, the peer has not answered for 4 s": (dead(replace(MASTER, peer=SILENT)), LOWERED),
    "HAProxy dead, the peer never answered": (dead(replace(MASTER, peer=NEVER)), LOWERED),
    "HAProxy dead on a backup": (dead(BACKUP), DEAD | {"holder": False}),
    "HAProxy dead, layer 4 has servers": (replace(MASTER, haproxy="dead"), DEAD | {"servers_down": False}),
    "no server up": (replace(MASTER, servers_up=False), OF_MASTER | {"servers_down": True}),
    "a master whose agent begins": (
        replace(MASTER, haproxy=None, servers_up=None, role="unknown"),
        {},  # all stays as the agent before has left it
    ),
    "a backup whose agent begins": (
        replace(BACKUP, haproxy=None, servers_up=None, role="unknown"),
        {"servers_down": True},
    ),
    "a node whose agent begins, and the other one is silent": (
        replace(MASTER, haproxy=None, servers_up=None, role="unknown", peer=NEVER),
        {"fault": False},  # that of before may have left it
    ),
    "after a boot": (
        keepalived("dead", held=False, haproxy=None, servers_up=None, role="unknown"),
        {"servers_down": True, "holder": False},
    ),
    "in fault by itself": (replace(MASTER, role="fault", held=False), OF_BACKUP),
}


@pytest.mark.parametrize(("situation", "tracked"), TABLE.values(), ids=TABLE.keys())
def test_what_keepalived_is_told(situation, tracked):
    orders = Judge().orders(situation)
    assert orders.tracked == tracked
    assert (orders.take_off, orders.end, orders.split_brain) == (False, False, "")


def test_haproxy_counts_as_serving_again_when_it_answers_and_a_server_is_up():
    judge = Judge()
    assert judge.orders(dead(MASTER)).tracked["fault"]
    up_without_servers = replace(BACKUP, haproxy="up", servers_up=None)
    assert judge.orders(up_without_servers).tracked["fault"]
    assert judge.orders(replace(up_without_servers, servers_up=False)).tracked["haproxy_down"]
    assert judge.orders(BACKUP).tracked == OF_BACKUP


def test_fault_is_taken_back_when_the_peer_no_longer_confirms():
    judge = Judge()
    assert judge.orders(dead(MASTER)).tracked["fault"]
    assert judge.orders(dead(replace(MASTER, peer=SILENT))).tracked == LOWERED


HEARD = {"heard": NOW - 0.3, "heard_since": NOW - 0.3}
ITS_WORD = {"peer": replace(FIT, role="master", since=NOW - 1)}
FROZEN_OR_DEAD = {
    "the peer is not master": ({}, False),
    "its advert is heard": (HEARD, True),
    "its advert was heard before": ({"heard": NOW - 2.1, "heard_since": NOW - 9, "interval": 2.0}, False),
    "its adverts have ended": ({"heard": NOW - 1.8, "heard_since": NOW - 1.8}, False),
    "it says so": (ITS_WORD, True),
    "it said so before": ({"peer": replace(FIT, role="master", asked=NOW - 2.5, answered=NOW - 2.4)}, False),
    "nobody answers": ({"peer": NEVER}, False),
    "nothing is here": (HEARD | {"held": False}, False),
}


@pytest.mark.parametrize(("more", "taken"), FROZEN_OR_DEAD.values(), ids=FROZEN_OR_DEAD.keys())
@pytest.mark.parametrize("state", ["dead", "frozen"])
def test_addresses_are_taken_off_only_when_the_other_node_is_master_since(state, more, taken):
    orders = Judge().orders(keepalived(state, **more))
    assert orders.take_off is taken
    assert orders.end is (state == "frozen" and (taken or not more.get("held", True)))
    assert orders.split_brain == ""


def test_a_keepalived_that_begins_anew_does_not_count_as_holder():
    assert Judge().orders(keepalived("dead")).tracked["holder"] is False
    assert Judge().orders(keepalived("frozen", **HEARD)).tracked["holder"] is False
    assert "holder" not in Judge().orders(keepalived("frozen")).tracked


def test_a_look_of_a_debugger_ends_nothing():
    moment = keepalived("frozen", keepalived_since=NOW - 0.5, **HEARD)
    assert Judge().orders(moment).take_off
    assert not Judge().orders(moment).end


def test_a_frozen_parent_alone_is_ended_on_a_backup_and_left_on_a_master():
    master = keepalived("frozen", parent_only=True, **HEARD)
    assert (Judge().orders(master).take_off, Judge().orders(master).end) == (False, False)
    backup = replace(master, role="backup", held=False)
    assert (Judge().orders(backup).take_off, Judge().orders(backup).end) == (False, True)


TOO = replace(FIT, role="master", since=NOW - 10)
SPLIT = {
    "adverts in a row": ({"heard": NOW - 0.2, "heard_since": NOW - 3.1}, "sends adverts"),
    "adverts, not yet": ({"heard": NOW - 0.2, "heard_since": NOW - 2.9}, ""),
    "adverts that have ended": ({"heard": NOW - 2.0, "heard_since": NOW - 9}, ""),
    "adverts since before this one was master": (
        {"heard": NOW - 0.2, "heard_since": NOW - 99, "since": NOW - 2, "peer": NEVER},
        "",
    ),
    "its word": ({"peer": TOO}, "says that it is master"),
    "its word, old": ({"peer": replace(TOO, asked=NOW - 5, answered=NOW - 4)}, ""),
    "its word, just so": ({"peer": replace(TOO, since=NOW - 0.5)}, ""),
    "its word of before this one was master": ({"peer": TOO, "since": NOW - 1.5}, ""),
    "another MAC": ({"double": NOW - 1}, "another machine answers"),
    "another MAC, long ago": ({"double": NOW - 9}, ""),
    "another MAC, in a handover": ({"double": NOW - 1.5, "since": NOW - 2}, ""),
}


@pytest.mark.parametrize(("more", "said"), SPLIT.values(), ids=SPLIT.keys())
def test_two_masters_are_seen(more, said):
    found = Judge().orders(replace(MASTER, **more)).split_brain
    assert said in found
    assert bool(said) is bool(found)


def test_a_backup_and_a_frozen_master_see_no_split_brain():
    assert Judge().orders(replace(BACKUP, peer=TOO)).split_brain == ""
    assert Judge().orders(keepalived("frozen", peer=TOO)).split_brain == ""


LESS = replace(MASTER, rank=(True, 244), peer=replace(TOO, rank=(True, 245)))


def test_the_lesser_of_two_masters_steps_aside_and_the_other_one_stays():
    assert Judge().orders(LESS).tracked["fault"]
    assert not Judge().orders(replace(LESS, rank=(True, 245), peer=replace(TOO, rank=(True, 244)))).tracked["fault"]
    assert not Judge().orders(replace(LESS, rank=(True, 244), peer=replace(TOO, rank=(False, 245)))).tracked["fault"]


def test_nobody_steps_aside_for_one_that_does_not_confirm():
    for peer in (UNFIT, SILENT, NEVER, replace(LESS.peer, can_serve=False)):
        heard = replace(LESS, peer=replace(peer, rank=(True, 245)), heard=NOW, heard_since=NOW - 9)
        orders = Judge().orders(heard)
        assert orders.split_brain
        assert not orders.tracked["fault"]


ASIDE = replace(LESS, role="fault", since=NOW + 0.1, held=False)
ENDS = {
    "as long as the other one is master": ({}, True),
    "adverts are heard, not yet for long": ({"heard": NOW, "heard_since": NOW - 1}, True),
    "adverts are heard again": ({"heard": NOW, "heard_since": NOW - 3.5}, False),
    "the other one is silent": ({"peer": SILENT}, False),
    "the other one is not master": ({"peer": replace(TOO, role="fault")}, False),
    "the other one can't serve": ({"peer": replace(TOO, can_serve=False)}, False),
}


@pytest.mark.parametrize(("more", "aside"), ENDS.values(), ids=ENDS.keys())
def test_who_stepped_aside_comes_back_when_it_is_needed_or_vrrp_decides_again(more, aside):
    judge = Judge()
    judge.orders(LESS)
    assert judge.orders(replace(ASIDE, **more)).tracked["fault"] is aside


ROLES = st.sampled_from(["master", "backup", "fault", "unknown"])
AGES = st.one_of(st.none(), st.floats(0, 10).map(lambda age: NOW - age))
PEERS = st.builds(Peer, AGES, AGES, ROLES, st.floats(NOW - 20, NOW), st.booleans(), st.just((True, 244)))
SITUATIONS = st.builds(
    Situation,
    st.just(NOW),
    ROLES,
    st.floats(NOW - 20, NOW),
    st.sampled_from(["running", "frozen", "dead"]),
    st.floats(NOW - 20, NOW),
    st.sampled_from(["up", "hung", "dead", "none", None]),
    st.sampled_from([True, False, None]),
    st.booleans(),
    PEERS,
    AGES,
    AGES,
    AGES,
    st.sampled_from([0.1, 1.0]),
    st.booleans(),
    st.booleans(),
    st.just((True, 245)),
)


@given(st.lists(SITUATIONS, min_size=1, max_size=4))
def test_whatever_happens_nothing_is_given_up_without_the_other_node(situations):
    judge = Judge()
    for seen in situations:
        orders = judge.orders(seen)
        if orders.tracked.get("fault"):
            assert seen.confirmed
        if orders.take_off:
            assert seen.held
            assert seen.keepalived != "running"
            assert seen.hears or (seen.is_fresh and seen.peer.role == "master")
        if orders.end:
            assert seen.keepalived == "frozen"
            assert orders.take_off or not seen.held or seen.parent_only


@given(SITUATIONS, SITUATIONS)
def test_two_masters_that_see_each_other_are_never_both_aside(one, other):
    for first, second in (((True, 245), (True, 244)), ((True, 225), (True, 244)), ((False, 245), (True, 210))):
        here = replace(one, rank=first, peer=replace(one.peer, rank=second))
        there = replace(other, rank=second, peer=replace(other.peer, rank=first))
        judges = Judge(), Judge()
        judges[0].orders(here)
        judges[1].orders(there)
        assert not (judges[0].fenced and judges[1].fenced)
