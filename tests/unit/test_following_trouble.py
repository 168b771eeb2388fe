"""What becomes of events where a receiver is slow, broken, hangs or is exchanged: none is lost, and no other waits."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise

import pytest
from unit.taker import PATIENCE, Taker, begins, eventually, follows, known, tell, texts

from lbkit.agent import following
from lbkit.errors import CannotRun
from lbkit.state import log as state_log
from lbkit.state.log import EventLog
from lbkit.state.places import Places


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(following, "_LOOKS_EVERY", 0.02)
    monkeypatch.setattr(following, "_FIRST", 0.02)


def test_what_it_could_not_take_comes_again_until_it_can_and_nothing_overtakes_it(tmp_path):
    known(tmp_path)
    tell(tmp_path, "a", "b")
    broken = threading.Event()
    broken.set()

    def refuse(events):
        if broken.is_set():
            raise CannotRun("the mail server is away. Wait.")

    taker = Taker(refuse=refuse)
    with follows(taker, tmp_path) as follower:
        eventually(lambda: len(taker.calls) >= 3)
        assert follower.trouble == "the mail server is away. Wait."
        assert taker.taken == []
        tell(tmp_path, "c")
        broken.clear()
        eventually(lambda: len(taker.taken) == 3)
        eventually(lambda: not follower.trouble)
    assert taker.taken == ["a", "b", "c"]


def test_trouble_that_a_receiver_has_with_what_it_took_is_its_trouble_too(tmp_path):
    taker = Taker()
    taker.trouble = "2 mails can't be sent yet"
    with follows(taker, tmp_path) as follower:
        eventually(lambda: follower.trouble == "2 mails can't be sent yet")


def test_it_is_tried_again_later_and_later_and_hurrying_changes_nothing(tmp_path):
    known(tmp_path)
    tell(tmp_path, "a")

    def refuse(events):
        raise OSError("away")

    taker = Taker(refuse=refuse)
    with follows(taker, tmp_path) as follower:
        while len(taker.calls) < 6:
            follower.hurry()
            time.sleep(0.002)
    pauses = [after - before for before, after in pairwise(moment for moment, _ in taker.calls)]
    assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses[1:], 1)), pauses


def test_one_that_may_be_mended_is_tried_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_FIRST", 60.0)
    known(tmp_path)
    tell(tmp_path, "a")
    taker = Taker(refuse=lambda events: 1 / 0 if len(taker.calls) == 1 else None)
    with follows(taker, tmp_path) as follower:
        eventually(lambda: follower.trouble)
        follower.retry()
        eventually(lambda: taker.taken)


def test_trouble_is_logged_once_for_each_time_that_it_lasts(tmp_path, caplog):
    known(tmp_path)
    tell(tmp_path, "a")
    taker = Taker(refuse=lambda events: 1 / 0 if len(taker.calls) < 4 else None)
    with follows(taker, tmp_path):
        eventually(lambda: taker.taken)
        tell(tmp_path, "b")
        eventually(lambda: len(taker.taken) == 2)
    assert [one.getMessage().partition(".")[0] for one in caplog.records] == [
        "receiver taker: ZeroDivisionError: division by zero",
        "receiver taker takes events again",
    ]


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "raised", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), Unspeakable()]
)
def test_whatever_a_receiver_raises_it_is_tried_again(tmp_path, raised):
    known(tmp_path)
    tell(tmp_path, "a")

    def refuse(events):
        if len(taker.calls) < 4:
            raise raised

    taker = Taker(refuse=refuse)
    with follows(taker, tmp_path) as follower:
        assert type(raised).__name__ in eventually(lambda: follower.trouble)
        eventually(lambda: taker.taken == ["a"])


def test_one_whose_place_can_not_be_kept_gets_its_events_all_the_same(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(following, "_KEEPS_EVERY", 0.0)
    monkeypatch.setattr(following, "_FIRST", 60.0)
    known(tmp_path)
    tell(tmp_path, *texts(9))
    in_the_way = tmp_path / "events" / "places" / ".taker.json.lbkit-new"
    in_the_way.mkdir()
    taker = Taker(at_once=1)
    with follows(taker, tmp_path) as follower:
        eventually(lambda: len(taker.taken) == 9)
        assert "can't be kept" in eventually(lambda: follower.trouble)
        in_the_way.rmdir()
        eventually(lambda: not follower.trouble)
        assert Places(tmp_path).of("taker") == EventLog(tmp_path).end()
    assert len(caplog.records) == 1


def test_what_a_broken_one_did_not_take_comes_after_a_restart(tmp_path):
    known(tmp_path)
    tell(tmp_path, *texts(4))

    def refuse(events):
        if "2" in [one.text for one in events]:
            raise SystemExit(1)  # whatever a plugin does

    broken, whole = Taker(at_once=1, refuse=refuse), Taker()
    with follows(broken, tmp_path):
        eventually(lambda: len(broken.calls) >= 4)
    with follows(whole, tmp_path):
        eventually(lambda: len(whole.taken) == 2)
    assert broken.taken + whole.taken == texts(4)


def test_a_slow_one_and_one_that_hangs_delay_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_HANGS_AFTER", 0.05)
    free = threading.Event()
    slow = Taker("slow", at_once=1, refuse=lambda events: time.sleep(0.2))
    hangs = Taker("hangs", at_once=1, refuse=lambda events: free.wait(PATIENCE))
    quick = Taker("quick")
    for one in (slow, hangs, quick):
        known(tmp_path, one.name)
    tell(tmp_path, *texts(20))
    try:
        with follows(slow, tmp_path), follows(hangs, tmp_path) as hanging, follows(quick, tmp_path):
            eventually(lambda: len(quick.taken) == 20)
            assert len(slow.taken) < 20
            assert not hangs.taken
            assert "it hangs" in eventually(lambda: hanging.trouble)
            hanging.end()
            assert not hanging.join(0.05)
            free.set()
    finally:
        free.set()


def test_segments_that_are_gone_are_one_event_that_says_how_many(tmp_path, monkeypatch):
    monkeypatch.setattr(state_log, "SEGMENT", 1)
    tell(tmp_path, "first")
    Places(tmp_path).keep("taker", EventLog(tmp_path).end())
    for number in range(5):
        tell(tmp_path, str(number))
    for number in (1, 2, 3):
        (tmp_path / "events" / f"{number:08}.jsonl").unlink()
    given = []
    refused = []

    def refuse(events):
        if not refused:
            refused.append(events[0])
            raise OSError("not now")
        given.extend(events)

    taker = Taker(refuse=refuse)
    with follows(taker, tmp_path):
        eventually(lambda: len(given) == 4)
    lost, *rest = given
    assert (lost.kind, lost.details) == ("events-lost", {"receiver": "taker", "segments": 3})
    assert lost.ident == refused[0].ident
    assert [one.text for one in rest] == ["2", "3", "4"]


@pytest.mark.parametrize("is_new", [False, True])
def test_one_that_can_not_be_made_is_made_later_and_loses_nothing(tmp_path, is_new):
    if not is_new:
        known(tmp_path)
        tell(tmp_path, "a")
    taker, mended = Taker(), threading.Event()

    def make():
        if not mended.is_set():
            raise CannotRun("no such file. Put it there.")
        return taker

    with follows(taker, tmp_path, make=make) as follower:
        assert eventually(lambda: follower.trouble) == "no such file. Put it there."
        if is_new:
            tell(tmp_path, "a")
        mended.set()
        eventually(lambda: taker.taken == ["a"])


def test_one_that_hangs_while_it_is_made_is_said_to(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_HANGS_AFTER", 0.05)
    taker, free = Taker(), threading.Event()
    with follows(taker, tmp_path, make=lambda: free.wait(PATIENCE) and taker) as follower:
        assert "it hangs" in eventually(lambda: follower.trouble)
        free.set()
        eventually(lambda: not follower.trouble)


def test_one_that_is_ended_before_it_was_made_takes_nothing(tmp_path):
    known(tmp_path)
    tell(tmp_path, "a")
    taker, begun, go_on = Taker(), threading.Event(), threading.Event()

    def make():
        begun.set()
        go_on.wait(PATIENCE)
        return taker

    with follows(taker, tmp_path, make=make) as follower:
        assert begun.wait(PATIENCE)
        follower.end()
        go_on.set()
    assert not taker.calls


def test_a_log_out_of_reach_is_trouble_that_passes(tmp_path):
    (tmp_path / "events").write_text("in the way")
    taker = Taker()
    with follows(taker, tmp_path) as follower:
        assert "can't be" in eventually(lambda: follower.trouble)
        (tmp_path / "events").unlink()
        begins(taker, tmp_path)
        tell(tmp_path, "a")
        eventually(lambda: taker.taken)


def test_the_next_one_of_a_name_waits_for_all_of_before(tmp_path):
    known(tmp_path)
    tell(tmp_path, "a")
    free, order = threading.Event(), []

    def first(events):
        free.wait(PATIENCE)
        order.append("first")

    one, never, two = Taker(refuse=first), Taker(), Taker(refuse=lambda events: order.append("second"))
    with follows(one, tmp_path) as before:
        eventually(lambda: one.calls)
        before.end()
        with follows(never, tmp_path, after=before) as between:
            between.end()
            with follows(two, tmp_path, after=between):
                time.sleep(0.1)
                assert order == []
                free.set()
                eventually(lambda: len(order) == 2)
    assert order == ["first", "second"]
    assert one.taken == ["a"]
    assert never.calls == []
    assert two.calls[0][1] == []


def test_the_next_one_of_a_name_does_not_wait_for_ever_and_is_not_put_back(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_HANGS_AFTER", 0.1)
    known(tmp_path)
    tell(tmp_path, "a", "b")
    free = threading.Event()
    one, two = Taker(at_once=1, refuse=lambda events: free.wait(PATIENCE)), Taker()
    try:
        with follows(one, tmp_path) as before:
            eventually(lambda: one.calls)
            before.end()
            with follows(two, tmp_path, after=before):
                eventually(lambda: two.taken == ["a", "b"])
            end = EventLog(tmp_path).end()
            assert Places(tmp_path).of("taker") == end
            free.set()
            assert before.join(PATIENCE)
            assert Places(tmp_path).of("taker") == end
    finally:
        free.set()
