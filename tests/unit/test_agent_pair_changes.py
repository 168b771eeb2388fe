"""Which events there are between one look at the pair and the next; and which node sends them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from unit.changed import Told, kinds, loaded, paired, seen

from lbkit.agent.active import is_active
from lbkit.agent.picture import Picture
from lbkit.agent.seen import Seen
from lbkit.state.pair import IN_MAINTENANCE, PairSeen, PeerSeen


@pytest.fixture
def told(tmp_path):
    return Told(loaded(tmp_path, paired=True))


SERVES = PeerSeen(None, 0.4, 0.4, "backup", True)
SILENT = PeerSeen(9.0, 9.0, 9.0, "master", True)


# --- failover ---


def test_the_role_that_a_node_has_at_the_start_is_no_news(told):
    assert told(paired("unknown", 0.1)) == []
    assert told(paired("master", 0.2)) == []
    assert told(paired("master", 9.0)) == []


@pytest.mark.parametrize(
    ("peer", "more", "reason", "said"),
    [
        (SILENT, {}, "peer-silent", "lb2 has not answered since"),
        (PeerSeen(None, None, None), {}, "peer-silent", "lb2 has not answered since"),
        (replace(SERVES, can_serve=False, why_not="HAProxy is dead"), {}, "peer-cannot-serve",
         "lb2 can't serve (HAProxy is dead)"),
        (SERVES, {"preferred": True}, "preferred", "an operator prefers it"),
        (SERVES, {}, "vrrp", "keepalived has chosen it before lb2"),
    ],
)  # fmt: skip
def test_a_node_that_becomes_master_says_why(told, peer, more, reason, said):
    told(paired("backup"))
    event, *_ = told(paired("master", 3.1, peer, **more))  # and where the other node is silent, that it is lost
    assert (event.kind, event.level, event.reason) == ("failover", "alarm", reason)
    assert event.details == {"from": "backup", "to": "master"}
    assert event.text == f"lb1 is master now, and has the VIPs: {said}."
    assert told(paired("master", 4.1, peer, **more)) == []


@pytest.mark.parametrize(
    ("peer", "more", "reason", "said"),
    [
        (SERVES, {"why_not": "HAProxy is dead"}, "cannot-serve", "it can't serve (HAProxy is dead)"),
        (replace(SERVES, role="master"), {}, "peer-has-taken-over", "lb2 is"),
        (SERVES, {}, "vrrp", "keepalived has made it backup"),
    ],
)
def test_a_node_that_is_master_no_more_says_why(told, peer, more, reason, said):
    told(paired("master"))
    (event,) = told(paired("backup", 1.1, peer, **more))
    assert (event.kind, event.reason, event.details) == ("failover", reason, {"from": "master", "to": "backup"})
    assert event.text == f"lb1 is master no more: {said}."


def test_the_other_nodes_word_on_it_is_waited_for(told):
    told(paired("backup"))
    assert told(paired("master", 0.5, SERVES)) == []
    assert told(paired("master", 2.9, replace(SERVES, answer_age=3.0))) == []
    assert kinds(told(paired("master", 2.9, SERVES))) == ["failover"]


def test_a_role_that_flickers_is_no_failover(told):
    told(paired("backup"))
    assert told(paired("master", 0.9)) == []
    assert told(paired("backup", 0.3)) == []
    assert told(paired("backup", 5.0)) == []


def test_an_agent_that_begins_blames_nobody_who_had_no_time_to_answer(told):
    told(paired("backup"))
    unasked = PeerSeen()
    assert told(paired("master", 500.0, unasked, settled=False)) == []
    assert told(paired("master", 510.0, unasked))[0].reason == "peer-silent"


def test_a_master_without_keepalived_is_none_once_that_is_more_than_a_restart(told):
    told(paired("master"))
    dead = {"keepalived": "dead", "why_not": "keepalived is dead"}
    assert told(paired("unknown", 4.0, **dead)) == []
    (event,) = told(paired("unknown", 6.0, **dead))
    assert event.details == {"from": "master", "to": "unknown"}
    assert "can't serve (keepalived is dead)" in event.text
    assert told(paired("backup", 2.0)) == []


def test_roles_without_the_vips_are_no_failover(told):
    told(paired("backup"))
    assert told(paired("fault", 9.0)) == []
    assert told(paired("backup", 9.0)) == []


def test_a_failover_while_the_agent_was_away_is_told_when_it_begins(told):
    told(paired("backup"))
    after = Told(told.site, Picture.of(json.loads(json.dumps(told.picture.as_dict()))))
    assert kinds(after(paired("master", 60.0))) == ["failover"]


# --- the other node ---


def test_a_node_that_is_silent_on_every_way_is_lost_until_it_could_take_over_again(told):
    assert told(paired("master", peer=SERVES)) == []
    (lost,) = told(paired("master", peer=SILENT))
    assert (lost.kind, lost.level) == ("peer-lost", "alarm")
    assert lost.text == (
        "lb2 is lost (its agent answered 9 s ago, HAProxy heard it 9 s ago, its last advert came 9 s ago). lb1 is alone: it "
        "has the VIPs, and nobody could take them over."
    )
    assert told(paired("master", peer=SILENT)) == []
    assert told(paired("master", peer=replace(SILENT, tables_age=1.0))) == []
    assert told(paired("master", peer=replace(SERVES, can_serve=False, why_not="HAProxy is dead"))) == []
    (found,) = told(paired("master", peer=SERVES))
    assert (found.kind, found.text) == ("peer-found", "lb2 could take the VIPs over again.")
    assert told(paired("master", peer=SERVES)) == []


def test_to_a_backup_a_sign_of_life_is_enough(told):
    told(paired("backup", peer=SILENT))
    (found,) = told(paired("backup", peer=replace(SILENT, tables_age=1.0)))
    assert (found.kind, found.text) == ("peer-found", "lb2 gives signs of life again.")


@pytest.mark.parametrize("way", ["advert_age", "answer_age", "tables_age"])
def test_one_way_is_enough(told, way):
    assert told(paired("master", peer=replace(SILENT, **{way: 4.9}))) == []


def test_a_node_that_has_never_answered_is_lost_once_it_has_had_time(told):
    assert told(paired("master", peer=PeerSeen(), settled=False)) == []
    (lost,) = told(paired("master", peer=PeerSeen(trouble="node lb2: no route to host.")))
    assert "its agent has never answered, HAProxy has never heard it, no advert of it has come" in lost.text
    assert lost.text.endswith("node lb2: no route to host.")
    assert told(paired("master", peer=PeerSeen(), settled=False)) == []  # the agent was started anew


def test_what_the_other_node_and_ssh_say_makes_no_lines(told):
    (lost,) = told(paired("unknown", peer=PeerSeen(trouble="ssh: a\nb\x1b[2J")))
    assert lost.text.endswith("lb1 is alone. ssh: a?b?[2J")


def test_a_node_that_could_not_take_over_is_as_good_as_lost_until_it_can(told):
    dead = replace(SERVES, can_serve=False, why_not="HAProxy is dead")
    assert told(paired("master", peer=dead)) == []
    (lost,) = told(paired("master", peer=dead, peer_unfit=True))
    assert (lost.kind, lost.reason) == ("peer-lost", "cannot-serve")
    assert lost.text == (
        "lb2 can't serve (HAProxy is dead). lb1 is alone: it has the VIPs, and nobody could take them over."
    )
    assert told(paired("master", peer=SILENT)) == []  # and now it is silent as well
    assert told(paired("master", peer=dead, peer_unfit=True)) == []
    (found,) = told(paired("master", peer=SERVES))
    assert (found.kind, found.text) == ("peer-found", "lb2 could take the VIPs over again.")


@pytest.mark.parametrize(
    ("age", "said"),
    [(None, "lb2 lives, but its agent has never answered"), (33.0, "lb2 lives, but its agent answered 33 s ago")],
)
def test_a_node_whose_agent_alone_is_silent_is_told_with_what_that_means(told, age, said):
    told(paired("master"))
    peer = PeerSeen(None, age, 0.5, "backup", True, trouble="ssh: Permission denied (publickey).")
    (lost,) = told(paired("master", peer=peer, peer_unfit=True))
    assert (lost.kind, lost.reason) == ("peer-lost", "agent-silent")
    assert lost.text == (
        f"{said}: whether it could take the VIPs over is not known, and what is asked here does not get there. "
        "ssh: Permission denied (publickey)."
    )


def test_a_master_that_loses_its_keepalived_finds_nobody_by_that(told):
    dead = replace(SERVES, can_serve=False, why_not="HAProxy is dead")
    told(paired("master", peer=dead, peer_unfit=True))
    assert kinds(told(paired("unknown", 9.0, dead, keepalived="dead"))) == ["failover"]
    assert told(paired("fault", 9.0, dead)) == []


def test_a_node_that_is_started_anew_in_maintenance_is_not_lost(told):
    asked = replace(SILENT, can_serve=False, why_not=IN_MAINTENANCE)
    assert told(paired("master", peer=asked)) == []
    assert kinds(told(paired("master", peer=SILENT))) == ["peer-lost"]
    assert told(paired("master", peer=asked)) == []


def test_a_split_brain_begins_and_ends(told):
    told(paired("master"))
    (begins,) = told(paired("master", split_brain="the other node sends adverts of a master too"))
    assert (begins.kind, begins.level) == ("split-brain", "alarm")
    assert "the other node sends adverts of a master too" in begins.text
    assert told(paired("master", split_brain="another machine answers for the address too")) == []
    assert kinds(told(paired("master"))) == ["split-brain-ended"]


def test_while_nobody_looks_at_the_pair_nothing_is_told(told):
    told(paired("master", peer=SILENT))
    assert told(seen()) == []
    assert told.picture.peer_lost


def test_without_a_pair_nobody_is_waited_for(told, tmp_path):
    told(paired("master", peer=SILENT, split_brain="both say so"))
    told.site = loaded(tmp_path)
    assert kinds(told(seen())) == ["peer-found", "split-brain-ended"]
    assert told(seen()) == []


# --- who sends ---

BACKUP = PeerSeen(9.0, 0.5, 0.5, "backup", True)
MASTER = PeerSeen(0.5, 0.5, 0.5, "master", True)
GONE = PeerSeen(9.0, 9.0, 9.0, "master", True)
UNHEARD = PeerSeen(9.0, 0.5, 0.5, "master", True)


@pytest.mark.parametrize(
    ("role", "keepalived", "peer", "first", "second"),
    [
        ("master", "running", MASTER, True, True),
        ("backup", "running", MASTER, False, False),
        ("backup", "running", GONE, False, False),
        ("unknown", "running", MASTER, False, False),
        ("unknown", "running", BACKUP, True, False),
        ("fault", "running", MASTER, False, False),
        ("fault", "running", UNHEARD, False, False),
        ("fault", "running", replace(GONE, advert_age=0.5), False, False),
        ("fault", "running", GONE, True, True),
        ("fault", "running", BACKUP, True, False),
        ("unknown", "dead", BACKUP, True, False),
        ("unknown", "dead", GONE, True, True),
    ],
)
def test_one_node_sends(told, role, keepalived, peer, first, second):
    found: PairSeen | None = paired(role, peer=peer, keepalived=keepalived).pair
    assert found is not None
    assert is_active(told.site, found, settled=True) is first
    assert is_active(told.site, replace(found, node="lb2"), settled=True) is second


@pytest.mark.parametrize(("role", "then"), [("fault", True), ("unknown", True), ("master", True), ("backup", False)])
def test_an_agent_that_begins_waits_until_it_is_known_who_sends(told, role, then):
    found = paired(role, peer=PeerSeen()).pair
    assert is_active(told.site, found, settled=False) is (then if role in ("master", "backup") else None)
    assert is_active(told.site, found, settled=True) is then


def test_without_a_pair_this_node_sends(tmp_path):
    assert is_active(loaded(tmp_path), Seen({}).pair, settled=False)
