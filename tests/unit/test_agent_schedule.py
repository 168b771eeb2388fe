"""When a watch checks: spread, never drifting, never faster than it ends, and soon enough."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.agent.schedule import Schedule, first_start, most_jitter, phase
from lbkit.agent.slow_start import SlowStart

intervals = st.floats(0.05, 600)
chances = st.floats(0, 1)
ALMOST = 1e-6  # what adding floats up may lose


def runs(schedule, start, durations, fast=()):
    """When each check starts, and when it ends."""
    for number, duration in enumerate(durations):
        yield start, start + duration
        start = schedule.next(start, start + duration, number in fast)
    yield start, start


@given(intervals, st.lists(chances, min_size=1, max_size=50), chances)
def test_each_check_starts_in_the_jitter_after_its_time(interval, draws, at):
    chance = iter(draws)
    when = 1000.0 + at * interval
    schedule = Schedule(when, interval, None, lambda: next(chance))
    starts = [start for start, _ in runs(schedule, 1000.0, [0.0] * len(draws))][1:]
    for start in starts:
        late = math.fmod(start - when + ALMOST, interval)
        assert late <= most_jitter(interval) + 2 * ALMOST
    assert all(earlier < later for earlier, later in pairwise(starts))


@given(
    intervals,
    st.lists(st.tuples(chances, chances), min_size=1, max_size=50),
    chances,
    st.floats(0.1, 0.9),
    st.sets(st.integers(0, 49)),
)
def test_from_one_start_to_the_next_it_is_an_interval_and_the_jitter_at_most(interval, draws, at, fast_part, fast):
    chance = (jitter for jitter, _ in draws)
    fast_interval = fast_part * interval
    schedule = Schedule(1000.0 + at * interval, interval, fast_interval, lambda: next(chance))
    durations = [share * fast_interval for _, share in draws]
    found = list(runs(schedule, 1000.0, durations, fast))
    for number, ((start, end), (following, _)) in enumerate(pairwise(found)):
        longest = fast_interval if number in fast else interval + most_jitter(interval)
        assert end <= following <= start + longest + ALMOST


@given(intervals, st.lists(st.floats(0, 5), min_size=1, max_size=30), chances, st.sets(st.integers(0, 29)))
def test_a_check_never_starts_before_the_one_before_has_ended(interval, durations, at, fast):
    schedule = Schedule(1000.0 + at * interval, interval, interval / 2, lambda: 0.5)
    found = list(runs(schedule, 1000.0, [share * interval for share in durations], fast))
    assert all(end <= following for (_, end), (following, _) in pairwise(found))


def test_the_jitter_is_a_tenth_of_the_interval_and_half_a_second_at_most():
    assert [most_jitter(interval) for interval in (1.0, 5.0, 60.0)] == [0.1, 0.5, 0.5]


@given(intervals, st.floats(0.0, 1.0), chances, chances, st.integers(1, 5), st.booleans())
def test_a_death_is_seen_within_fall_intervals_one_timeout_and_the_jitter(interval, dies, at, jitter, fall, has_fast):
    """It dies at any moment after a check that was up has begun, and hangs from then on."""
    fast_interval = interval / 2 if has_fast else None
    timeout = fast_interval or interval
    schedule = Schedule(1000.0 + at * interval, interval, fast_interval, lambda: jitter)
    start, end = 1000.0, 1000.0
    for _ in range(3):
        start = schedule.next(start, end, False)
        end = start
    death, downs = start + dies * 0.999 * interval, 0
    while downs < fall:
        start = schedule.next(start, end, downs > 0)
        end = start
        if start >= death:
            downs, end = downs + 1, start + timeout
    bound = interval + (fall - 1) * (fast_interval or interval) + timeout + most_jitter(interval)
    assert end - death <= bound + ALMOST


def test_a_loop_that_stood_still_does_not_make_up_for_what_it_missed():
    schedule = Schedule(0.0, 1.0, None, lambda: 0.0)
    assert schedule.next(0.0, 0.1, False) == 1.0
    assert schedule.next(100.2, 100.3, False) == 101.0


def test_a_fast_interval_that_is_none_changes_nothing():
    assert Schedule(0.0, 5.0, 7.0, lambda: 0.0).next(0.0, 0.1, True) == 5.0


@given(st.integers(1, 5000))
def test_watches_are_spread_evenly_over_the_interval(many):
    moments = sorted(phase(number, 100.0, 10.0) for number in range(many))
    gaps = [b - a for a, b in pairwise(moments)]
    assert moments[0] >= 100.0
    assert moments[-1] < 110.0
    assert max(gaps, default=0.0) <= 10.0 * 2.7 / many  # three gap theorem; even would be 10 / many


@given(st.integers(1, 20_000))
def test_the_first_checks_start_at_once_two_thousand_a_second(many):
    starts = [first_start(number, 100.0) for number in range(many)]
    assert starts[0] == 100.0
    assert starts[-1] == pytest.approx(100.0 + (many - 1) / 2000)


# --- slow start ---


@given(st.floats(0.1, 3600), st.floats(0, 1e6))
def test_a_share_grows_a_tenth_at_a_time_to_the_whole(duration, begin):
    slow, now, shares = SlowStart(), begin, []
    slow.begin("a", now, duration)
    while (found := slow.shares(now)) and len(shares) < 20:
        shares.append(found["a"])
        following = slow.next_step(now)
        assert now < following <= now + duration / 10 * 1.01
        now = following
    assert shares == [step / 10 for step in range(1, 10)]
    assert now <= begin + duration
    assert slow.next_step(now) is None


def test_one_that_goes_down_meanwhile_has_no_share():
    slow = SlowStart()
    slow.begin("a", 0.0, 10.0)
    slow.begin("b", 5.0, 10.0)
    slow.end("a")
    assert slow.shares(5.0) == {"b": 0.1}
