"""What is remembered of the pair between one look and the next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.changed import paired

from lbkit.agent.lately import UNFIT, Lately
from lbkit.state.pair import IN_MAINTENANCE, PairSeen, PeerSeen

DEAD = PeerSeen(None, 0.5, 9.0, "fault", False, "HAProxy is dead")


def of(role: str, since: float = 100.0, peer: PeerSeen | None = None, **more: Any) -> PairSeen:
    found: PairSeen | None = paired(role, since, peer, **more).pair
    assert found is not None
    return found


def test_an_operators_wish_counts_though_it_is_forgotten_when_the_failover_is_told():
    lately = Lately()
    assert lately.look(of("backup", tracked={"prefer": True}), 10.0)[0]
    assert lately.look(of("master", 0.5, tracked={"prefer": True}), 12.0)[0]
    assert lately.look(of("master", 3.0), 14.5)[0]
    assert lately.look(of("master", 28.5), 40.0)[0]  # the agent was busy
    assert lately.look(of("backup", 1.0), 500.0) == (False, False)
    assert lately.look(of("master", 1.0), 600.0) == (False, False)


def test_a_node_that_could_not_take_over_is_unfit_once_it_has_long_said_so():
    lately = Lately()
    assert not lately.look(of("master", peer=DEAD), 10.0)[1]
    assert not lately.look(of("master", peer=DEAD), 9.9 + UNFIT)[1]
    assert lately.look(of("master", peer=DEAD), 10.0 + UNFIT)[1]
    assert not lately.look(of("master"), 41.0)[1]
    assert not lately.look(of("master", peer=DEAD), 42.0)[1]


@pytest.mark.parametrize("age", [None, 5.0, 900.0])
def test_one_whose_agent_is_silent_is_unfit_whatever_it_said_last(age):
    lately = Lately()
    silent = of("master", peer=PeerSeen(None, age, 0.5, "backup", True))
    lately.look(silent, 0.0)
    assert lately.look(silent, UNFIT) == (False, True)


def test_that_this_node_can_not_serve_for_a_moment_changes_nothing():
    lately, no = Lately(), {"can_serve": False, "why_not": "no real server is up"}
    assert lately.look(of("master", peer=DEAD, **no), 0.0) == (False, False)
    assert lately.look(of("master", peer=DEAD, **no), UNFIT) == (False, False)
    assert lately.look(of("fault", peer=DEAD), 2 * UNFIT) == (False, False)
    assert lately.look(of("fault", peer=DEAD), 3 * UNFIT) == (False, False)
    lately.look(of("master", peer=DEAD), 100.0)
    assert lately.look(of("master", peer=DEAD, **no), 100.0 + UNFIT) == (False, True)
    assert lately.look(of("unknown", peer=DEAD, **no), 100.0 + UNFIT) == (False, True)
    assert lately.look(of("master", peer=DEAD), 101.0 + UNFIT) == (False, True)


@pytest.mark.parametrize(
    "pair",
    [
        of("backup", peer=DEAD),
        of("master", peer=replace(DEAD, why_not=IN_MAINTENANCE)),
        None,
    ],
)
def test_nothing_is_made_of_what_has_another_reason(pair):
    lately = Lately()
    lately.look(of("master", peer=DEAD), 0.0)
    lately.look(pair, UNFIT / 2)
    assert lately.look(of("master", peer=DEAD), UNFIT) == (False, False)
