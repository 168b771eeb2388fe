"""Whom the guard holds: all that fail together while the anchor is silent, and nobody else."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lbkit.agent.guard import PATIENCE, SETTLES, Guard, Seen

WINDOW = 10.0
UP = Seen("up", 100.0)


def failing(since, health="up"):
    return Seen(health, since - 0.1, since)


def down(since):
    return failing(since, "down")


def guard_of(*labels, at=100.0, answered=100.0):
    """One that has seen these up."""
    guard = Guard(WINDOW)
    guard.look(at, dict.fromkeys(labels, UP), answered)
    return guard


def test_all_that_fail_together_are_held_while_the_anchor_is_silent():
    guard = guard_of("a", "b")
    guard.look(106.0, {"a": down(101.0), "b": down(103.0)}, 100.5)
    assert guard.held == {"a", "b"}


def test_one_that_goes_down_first_is_held_while_its_sibling_has_begun_to_fail():
    guard = guard_of("a", "b")
    guard.look(106.0, {"a": down(101.0), "b": failing(103.0)}, 100.5)
    assert guard.held == {"a"}
    guard.look(108.0, {"a": down(101.0), "b": down(103.0)}, 100.5)
    assert guard.held == {"a", "b"}


def test_one_is_not_held_while_its_sibling_is_up():
    guard = guard_of("a", "b")
    guard.look(106.0, {"a": down(101.0), "b": Seen("up", 101.5)}, 100.5)
    assert guard.held == set()


def test_one_is_held_until_its_sibling_has_been_asked_since():
    guard = guard_of("a", "b")
    guard.look(101.0, {"a": down(101.0), "b": UP}, 100.5)
    assert (guard.held, guard.unasked, guard.asks_since) == ({"a"}, {"b"}, 101.0)
    guard.look(101.1, {"a": down(101.0), "b": Seen("up", 101.05)}, 100.5)
    assert (guard.held, guard.unasked, guard.asks_since) == (set(), set(), None)


def test_one_that_goes_down_while_its_sibling_hangs_is_held_throughout():
    guard = guard_of("a", "b")
    guard.look(101.0, {"a": down(101.0), "b": UP}, 100.5)
    guard.look(105.0, {"a": down(101.0), "b": down(105.0)}, 100.5)
    assert guard.held == {"a", "b"}


def test_none_is_held_while_the_anchor_answers():
    guard = guard_of("a", "b")
    guard.look(106.0, {"a": down(101.0), "b": down(103.0)}, 105.5)
    assert guard.held == set()


def test_an_anchor_that_has_answered_since_the_first_failure_holds_nobody():
    guard = guard_of("a", "b")
    guard.look(106.0, {"a": down(101.0), "b": down(103.0)}, 101.5)
    assert guard.held == set()


def test_without_an_anchor_that_has_ever_answered_none_is_held():
    guard = guard_of("a", answered=None)
    guard.look(106.0, {"a": down(101.0)}, None)
    assert guard.held == set()


def test_failures_that_are_far_apart_are_not_one_trouble():
    guard = guard_of("a", "b")
    guard.look(120.0, {"a": failing(101.0), "b": down(101.0 + WINDOW + 0.1)}, 100.5)
    assert guard.held == set()


def test_one_that_was_out_before_is_not_taken_in_and_does_not_count():
    guard = guard_of("a", "b", "c")
    guard.look(102.0, {"a": UP, "b": UP, "c": down(101.0)}, 101.5)
    assert guard.held == set()
    guard.look(109.0, {"a": down(106.0), "b": down(107.0), "c": down(101.0)}, 105.0)
    assert guard.held == {"a", "b"}


def test_one_whose_health_is_not_known_is_not_held_and_hinders_nobody():
    guard = guard_of("a")
    guard.look(106.0, {"a": down(101.0), "b": Seen("unknown")}, 100.5)
    assert guard.held == {"a"}


def test_an_anchor_that_answers_at_once_ends_the_hold_at_once():
    guard = guard_of("a", "b")
    both = {"a": down(101.0), "b": down(101.1)}
    guard.look(101.1, both, 100.5)
    assert guard.held == {"a", "b"}
    guard.look(101.2, both, 101.2)
    assert guard.held == set()
    assert not guard.is_over


def held_pair():
    guard = guard_of("a", "b")
    both = {"a": down(101.0), "b": down(101.1)}
    guard.look(104.0, both, 100.5)
    return guard, both


def test_when_the_anchor_comes_back_each_is_held_until_a_check_that_began_later():
    guard, both = held_pair()
    guard.look(150.0, both, 150.0)
    assert guard.is_over
    assert guard.held == {"a", "b"}
    later = 150.0 + SETTLES
    assert guard.asks_since == later
    both["a"] = replace(both["a"], checked=later)  # down again
    guard.look(152.2, both, 150.0)
    assert guard.held == {"b"}
    both["b"] = Seen("down", later)  # passes; not up again yet
    guard.look(152.3, both, 150.0)
    assert guard.held == {"b"}
    both["b"] = Seen("up", 153.0)
    guard.look(153.0, both, 151.0)
    assert guard.held == set()
    assert not guard.is_over
    assert guard.since is None


def test_a_check_that_began_before_or_in_the_moment_of_its_return_takes_nobody_out():
    """The kernel may still wait with its next question for a server's own address."""
    guard = guard_of("a", "b")
    both = {"a": failing(101.0), "b": failing(101.1)}
    guard.look(104.0, both, 100.5)
    guard.look(150.0, both, 150.0)
    for began in (149.9, 150.1, 150.0 + SETTLES - 0.01):
        both["a"] = Seen("down", began, 101.0)
        guard.look(151.5, both, 150.0)
        assert guard.held == {"a"}
    both["a"] = Seen("down", 150.0 + SETTLES, 101.0)
    guard.look(152.5, both, 150.0)
    assert guard.held == set()


def test_when_one_answers_while_the_anchor_is_silent_the_others_are_checked_once_more():
    guard, both = held_pair()
    both["b"] = Seen("down", 140.0)
    guard.look(140.1, both, 100.5)
    assert guard.is_over
    assert guard.held == {"a", "b"}
    both["a"] = Seen("down", 140.1 + SETTLES, 101.0)
    guard.look(142.0, both, 100.5)
    assert guard.held == {"b"}


def test_a_second_trouble_is_held_too():
    guard, both = held_pair()
    guard.look(150.0, both, 150.0)
    guard.look(151.0, {"a": Seen("up", 150.5), "b": Seen("up", 150.6)}, 151.0)
    guard.look(160.0, {"a": down(158.0), "b": down(159.0)}, 157.0)
    assert guard.held == {"a", "b"}


seen = st.builds(
    Seen, st.sampled_from(["up", "down", "unknown"]), st.floats(0, 100), st.one_of(st.none(), st.floats(0, 100))
)
looks = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abc"), seen), st.one_of(st.none(), st.floats(0, 100))), max_size=20
)


@given(looks)
def test_whatever_happens_only_those_that_are_down_are_held(steps):
    guard, now = Guard(WINDOW), 100.0
    for servers, answered in steps:
        now += 1
        guard.look(now, servers, answered)
        assert all(servers[label].health == "down" for label in guard.held)


@given(looks)
def test_whatever_happened_an_anchor_that_answers_and_one_more_check_end_every_hold(steps):
    guard, now = Guard(WINDOW), 100.0
    for servers, answered in steps:
        now += 1
        guard.look(now, servers, answered)
    now += PATIENCE
    failed = {label: Seen("down", now - 50, now - 50) for label in "abc"}
    guard.look(now, failed, now)
    guard.look(now + 3, {label: replace(one, checked=now + 2) for label, one in failed.items()}, now + 1)
    assert guard.held == set()
    assert guard.since is None
