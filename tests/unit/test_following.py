"""Each receiver follows the log by itself: real threads, real files."""

from __future__ import annotations

import threading
import time
from math import inf

import pytest
from unit.taker import PATIENCE, Taker, begins, eventually, follows, known, tell, texts

from lbkit.agent import following
from lbkit.state.log import EventLog
from lbkit.state.places import Places


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(following, "_LOOKS_EVERY", 0.02)
    monkeypatch.setattr(following, "_FIRST", 0.02)


def test_events_come_in_order_and_each_once(tmp_path):
    known(tmp_path)
    taker = Taker(at_once=7)
    tell(tmp_path, *texts(50))
    with follows(taker, tmp_path):
        eventually(lambda: len(taker.taken) == 50)
        tell(tmp_path, "late")
        eventually(lambda: len(taker.taken) == 51)
    assert taker.taken == [*texts(50), "late"]


def test_one_that_is_hurried_does_not_wait_for_its_next_look(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_LOOKS_EVERY", 60.0)
    taker = Taker()
    with follows(taker, tmp_path) as follower:
        begins(taker, tmp_path)
        tell(tmp_path, "a")
        follower.hurry()
        eventually(lambda: taker.taken)


def test_no_more_come_in_one_go_than_it_takes(tmp_path):
    known(tmp_path)
    taker = Taker(at_once=3)
    tell(tmp_path, *texts(10))
    with follows(taker, tmp_path):
        eventually(lambda: len(taker.taken) == 10)
    assert [len(given) for _, given in taker.calls] == [3, 3, 3, 1]


def test_a_receiver_that_is_new_hears_nothing_of_last_week(tmp_path):
    tell(tmp_path, "last week")
    taker = Taker()
    with follows(taker, tmp_path):
        begins(taker, tmp_path)
        tell(tmp_path, "now")
        eventually(lambda: taker.taken)
    assert taker.taken == ["now"]


def test_a_receiver_that_is_new_loses_nothing_that_comes_while_the_agent_is_away(tmp_path):
    taker = Taker()
    with follows(taker, tmp_path):
        begins(taker, tmp_path)
    tell(tmp_path, "meanwhile")
    with follows(taker, tmp_path):
        eventually(lambda: taker.taken)
    assert taker.taken == ["meanwhile"]


def test_it_goes_on_where_it_was_over_a_restart(tmp_path):
    known(tmp_path)
    tell(tmp_path, *texts(5))
    before, after = Taker(), Taker()
    with follows(before, tmp_path):
        eventually(lambda: len(before.taken) == 5)
    tell(tmp_path, "5")
    with follows(after, tmp_path):
        eventually(lambda: after.taken)
    assert after.taken == ["5"]


def test_its_place_is_kept_as_soon_as_it_has_all(tmp_path):
    known(tmp_path)
    tell(tmp_path, *texts(5))
    taker = Taker(at_once=2)
    with follows(taker, tmp_path):
        eventually(lambda: Places(tmp_path).of("taker") == EventLog(tmp_path).end())


def test_in_a_burst_its_place_is_written_once_a_second_at_most(tmp_path, monkeypatch):
    known(tmp_path)
    tell(tmp_path, *texts(300))
    written = []
    monkeypatch.setattr(following, "_KEEPS_EVERY", 3600.0)
    monkeypatch.setattr(following, "monotonic", lambda: time.monotonic() + 7200)  # the last was long ago
    keep = Places.keep
    monkeypatch.setattr(Places, "keep", lambda self, *given: (written.append(given), keep(self, *given)))
    taker = Taker(at_once=1)
    with follows(taker, tmp_path):
        eventually(lambda: len(taker.taken) == 300 and Places(tmp_path).of("taker") == EventLog(tmp_path).end())
    assert len(written) == 2  # the first, and the last


@pytest.mark.parametrize(("forget", "again"), [(False, ["2", "3"]), (True, texts(4))])
def test_at_its_end_its_place_is_kept_unless_nobody_wants_it_any_more(tmp_path, monkeypatch, forget, again):
    monkeypatch.setattr(following, "_KEEPS_EVERY", 1e9)
    known(tmp_path)
    tell(tmp_path, *texts(4))
    free = threading.Event()
    before, after = Taker(at_once=1, refuse=lambda events: events[0].text == "1" and free.wait(PATIENCE)), Taker()
    with follows(before, tmp_path) as follower:
        eventually(lambda: len(before.calls) == 2)
        follower.end(forget)
        free.set()
    assert before.taken == ["0", "1"]
    with follows(after, tmp_path):
        eventually(lambda: after.taken == again)


def test_it_is_called_again_without_news_when_it_has_asked_for_that(tmp_path):
    known(tmp_path)
    tell(tmp_path, "a")
    taker = Taker(again=0.2)
    with follows(taker, tmp_path):
        eventually(lambda: len(taker.calls) >= 3)
    (first, given), (second, none), (third, _) = taker.calls[:3]
    assert (given, none) == (["a"], [])
    assert second - first >= 0.2
    assert third - second >= 0.2


def test_it_is_called_once_at_the_start_for_what_is_left_from_before_and_then_only_with_news(tmp_path):
    taker = Taker()
    with follows(taker, tmp_path):
        begins(taker, tmp_path)
        time.sleep(0.2)
    assert [given for _, given in taker.calls] == [[]]


def test_one_that_wants_to_be_called_at_once_does_not_spin(tmp_path):
    taker = Taker(again=0.0)
    with follows(taker, tmp_path):
        time.sleep(0.35)
    assert len(taker.calls) <= 4


def test_it_is_told_whether_this_node_is_active_each_time(tmp_path):
    known(tmp_path)
    until = [0.0]
    taker = Taker()
    tell(tmp_path, "a")
    with follows(taker, tmp_path, lambda: until[0]):
        eventually(lambda: taker.taken == ["a"])
        until[0] = inf
        tell(tmp_path, "b")
        eventually(lambda: taker.taken == ["a", "b"])
    assert taker.active == [False, True]


@pytest.mark.parametrize(("at_once", "active"), [(1, [True, False]), (9, [False])])
def test_one_that_takes_them_singly_hears_whether_this_node_was_active_when_each_came(tmp_path, at_once, active):
    """Else what waited here is told by nobody after a failover: the other node has dropped its own. Mail has its own way."""
    known(tmp_path)
    tell(tmp_path, "before", when=10.0)
    tell(tmp_path, "after", when=12.0)
    taker = Taker(at_once=at_once)
    with follows(taker, tmp_path, lambda: 11.0):
        eventually(lambda: len(taker.taken) == 2)
    assert taker.active == active


def test_before_it_shows_whether_this_node_is_active_nothing_is_given_and_nothing_is_missed(tmp_path):
    until = [None]
    taker = Taker()
    with follows(taker, tmp_path, lambda: until[0]):
        begins(taker, tmp_path)
        tell(tmp_path, "a")
        time.sleep(0.1)
        assert taker.calls == []
        until[0] = inf
        eventually(lambda: taker.taken == ["a"])


def test_while_nothing_is_new_the_log_is_not_read(tmp_path, monkeypatch):
    known(tmp_path)
    tell(tmp_path, "a")
    taker = Taker()
    with follows(taker, tmp_path):
        eventually(lambda: taker.taken and Places(tmp_path).of("taker") == EventLog(tmp_path).end())
        reads = []
        monkeypatch.setattr(EventLog, "read", lambda *given: reads.append(given))
        time.sleep(0.2)
        monkeypatch.undo()
    assert reads == []
