"""Rise and fall, against a model that looks at the whole history each time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.checks.health import Health
from lbkit.errors import Misuse

COUNTS = st.integers(1, 4)
RESULTS = st.lists(st.booleans(), max_size=30)
HISTORIES = st.lists(st.tuples(st.booleans(), st.integers(-3, 12)), max_size=30)  # a result, seconds after the last one


def fed(health, *results):
    """The health after these results, one a second, and what each `add` returned."""
    return health, [health.add(up, float(now)) for now, up in enumerate(results)]


def settled(state, rise, fall):
    health = Health(rise, fall)
    health.add(state == "up", 0.0)
    return health


def modelled(history, rise, fall, stale_after):
    """(state, since) after the last of these (up, time), times never going back."""
    state, since = "unknown", None
    fresh = []  # results since it was last unknown
    last = 0
    for up, now in history:
        if fresh and stale_after is not None and now - last >= stale_after:
            state, since, fresh = "unknown", last + stale_after, []
        fresh.append(up)
        last = now
        was = state
        if state == "unknown" or fresh[-(rise if up else fall) :] == [up] * (rise if up else fall):
            state = "up" if up else "down"
        since = now if state != was else since
    return state, since


@given(HISTORIES, COUNTS, COUNTS, st.sampled_from([None, 1, 10, math.inf]))
def test_it_agrees_with_a_model_that_looks_at_the_whole_history(history, rise, fall, stale_after):
    health = Health(rise, fall, stale_after)
    now, latest, seen = 0, 0, []
    for up, gap in history:
        now += gap
        latest = max(now, latest) if seen else now
        before = health.state
        changed = health.add(up, now)
        seen.append((up, latest))
        assert (health.state, health.since) == modelled(seen, rise, fall, stale_after)
        assert changed == (health.state != before)


def test_nothing_is_known_before_the_first_result():
    health = Health()
    assert (health.state, health.since) == ("unknown", None)
    assert not Health(stale_after=1).expire(1e9)


@given(st.booleans(), COUNTS, COUNTS)
def test_the_first_result_decides_whatever_rise_and_fall_are(up, rise, fall):
    health, (changed,) = fed(Health(rise, fall), up)
    assert changed
    assert (health.state, health.since) == ("up" if up else "down", 0)


@given(COUNTS, COUNTS)
def test_up_becomes_down_at_the_last_of_fall_downs_in_a_row(rise, fall):
    health, changes = fed(settled("up", rise, fall), *[False] * fall)
    assert changes == [False] * (fall - 1) + [True]
    assert (health.state, health.since) == ("down", fall - 1)


@given(COUNTS, COUNTS)
def test_down_becomes_up_at_the_last_of_rise_ups_in_a_row(rise, fall):
    health, changes = fed(settled("down", rise, fall), *[True] * rise)
    assert changes == [False] * (rise - 1) + [True]
    assert (health.state, health.since) == ("up", rise - 1)


@given(st.sampled_from(["up", "down"]), st.integers(2, 4), st.integers(2, 4), st.integers(0, 30))
def test_alternating_results_never_change_it(state, rise, fall, length):
    health, changes = fed(settled(state, rise, fall), *[bool(n % 2) for n in range(length)])
    assert health.state == state
    assert not any(changes)


@given(st.sampled_from(["up", "down"]), st.integers(2, 4), st.integers(2, 4))
def test_a_single_other_result_between_those_that_agree_is_forgotten(state, rise, fall):
    """One flap leaves nothing behind that would make the next one count more."""
    health = settled(state, rise, fall)
    says = state == "up"
    _, changes = fed(health, *[says, not says] * 10)
    assert health.state == state
    assert not any(changes)


@given(RESULTS, COUNTS, COUNTS)
def test_more_of_what_it_is_already_changes_nothing(results, rise, fall):
    health, _ = fed(Health(rise, fall), True, *results)
    state, since = health.state, health.since
    assert not any(health.add(state == "up", 100.0 + n) for n in range(5))
    assert (health.state, health.since) == (state, since)


# --- results that grow old ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("up", [True, False])
def test_without_a_result_for_stale_after_seconds_it_is_unknown_from_then_on(up):
    health = Health(stale_after=10)
    health.add(up, 100)
    assert not health.expire(109.9)
    assert health.state != "unknown"
    assert health.expire(115)
    assert (health.state, health.since) == ("unknown", 110)
    assert not health.expire(200)
    assert health.since == 110


def test_the_age_is_that_of_the_last_result_and_not_of_the_last_change():
    health = Health(stale_after=10)
    for now in (0, 8, 16, 24):
        health.add(True, now)
    assert not health.expire(33)
    assert health.expire(34)


def test_after_a_gap_the_first_result_decides_again_though_nobody_asked_meanwhile():
    health = Health(rise=3, fall=3, stale_after=10)
    health.add(True, 0)
    assert health.add(False, 10)
    assert (health.state, health.since) == ("down", 10)


def test_after_a_gap_the_same_state_is_no_change_but_counts_from_there():
    health = Health(stale_after=10)
    health.add(True, 0)
    assert not health.add(True, 50)
    assert (health.state, health.since) == ("up", 50)


def test_results_from_before_a_gap_do_not_count_towards_rise_and_fall():
    health = Health(rise=2, fall=2, stale_after=10)
    for up, now in ((True, 0), (False, 1), (True, 20)):
        health.add(up, now)
    assert not health.add(False, 21)
    assert health.state == "up"


@given(HISTORIES, COUNTS, COUNTS, st.lists(st.integers(0, 400), max_size=20))
def test_how_often_it_is_asked_does_not_matter(history, rise, fall, asked):
    """An `expire` at a time when results have come in, or not yet, changes nothing that `add` would not have found."""
    plain, polled = Health(rise, fall, 10), Health(rise, fall, 10)
    now = 0
    for up, gap in history:
        for when in sorted(when for when in asked if now < when <= now + gap):
            polled.expire(when)
        now += gap
        plain.add(up, now)
        polled.add(up, now)
        assert (plain.state, plain.since) == (polled.state, polled.since)


def test_time_that_goes_back_makes_nothing_stale_and_since_never_goes_back():
    health = Health(rise=1, fall=1, stale_after=10)
    health.add(True, 100)
    assert not health.expire(0)
    assert health.add(False, 50)
    assert health.since == 100
    assert not health.expire(109)
    assert health.expire(110)


# --- misuse ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"rise": 0}, "rise is 0. It is a number of results in a row: give 1 or more."),
        ({"fall": -1}, "fall is -1. It is a number"),
        ({"stale_after": 0}, "stale_after is 0. Give seconds"),
        ({"stale_after": math.nan}, "stale_after is nan. Give seconds"),
    ],
)
def test_what_can_not_be_counted_to_is_misuse(given_, says):
    with pytest.raises(Misuse, match=says):
        Health(**given_)
