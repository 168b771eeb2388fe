"""What is told goes into the log of events, whatever keeps it from there for a while, and nobody waits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbkit import disk
from lbkit.agent import news
from lbkit.agent.drift import Drift
from lbkit.agent.expiry import due
from lbkit.agent.news import News
from lbkit.agent.picture import Picture, read, write
from lbkit.metrics.figures import Expiry
from lbkit.state.events import Event
from lbkit.state.log import EventLog

Make = Callable[[Path], News]


def until(holds: Callable[[], object], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes one that is stopped at the end."""
    made: list[News] = []

    def one(state: Path) -> News:
        made.append(News(state, lambda: None))
        return made[-1]

    yield one
    for each in made:
        each.stop()


def texts(state: Path) -> list[str]:
    return [one.text for one in EventLog(state).all()]


def in_the_way(state: Path) -> Path:
    """Nobody can write the log while this is there."""
    state.mkdir(exist_ok=True)
    file = state / "events"
    file.write_text("no folder")
    return file


# --- news ---


def test_what_is_told_is_recorded_in_order_as_of_the_moment_when_it_was_told(make, tmp_path):
    told = make(tmp_path)
    told.node = "lb1"
    with disk.locked(_lock(tmp_path), 1.0):
        before = time.time()
        told.tell(Event("server-down", "1"), Event("server-up", "2"))
        told.tell(Event("test", "3", node="lb2", when=5.0))
        after = time.time()
        time.sleep(0.05)
    until(lambda: len(texts(tmp_path)) == 3)
    one, two, three = EventLog(tmp_path).all()
    assert [one.text, two.text, three.text] == ["1", "2", "3"]
    assert before - 0.001 <= one.when <= after + 0.001
    assert (one.node, three.node, three.when) == ("lb1", "lb2", 5.0)
    assert told.counts == {"server-down": 1, "server-up": 1, "test": 1}


def _lock(state: Path) -> Path:
    (state / "events").mkdir()
    return state / "events" / ".lock"


def test_whoever_follows_is_told_that_there_is_something_new(tmp_path):
    heard: list[int] = []
    told = News(tmp_path, lambda: heard.append(len(texts(tmp_path))))
    told.tell(Event("test", "1"))
    until(lambda: heard == [1])
    told.stop()


def test_what_is_to_be_done_then_is_done_when_all_is_recorded(make, tmp_path):
    told, found = make(tmp_path), []
    told.tell(*(Event("test", str(number)) for number in range(1200)), then=lambda: found.append(len(texts(tmp_path))))
    until(lambda: found)
    assert found == [1200]
    told.tell(then=lambda: found.append(0))
    until(lambda: found == [1200, 0])


def test_a_log_that_cannot_be_written_is_tried_again_and_loses_nothing(make, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(news, "_AGAIN", (0.02, 0.05))
    file, done = in_the_way(tmp_path / "state"), []
    told = make(tmp_path / "state")
    told.tell(Event("test", "1"), then=lambda: done.append(texts(tmp_path / "state")))
    until(lambda: "wait to be recorded" in told.trouble)
    told.tell(Event("test", "2"))
    assert not done
    file.unlink()
    until(lambda: done and texts(tmp_path / "state") == ["1", "2"] and not told.trouble)
    assert sum("not in the log of events: 1" in one.getMessage() for one in caplog.records) == 1


def test_beyond_the_limit_the_oldest_of_least_account_go_and_one_event_says_how_many(make, tmp_path, monkeypatch):
    monkeypatch.setattr(news, "_AGAIN", (0.02, 0.05))
    monkeypatch.setattr(news, "MOST", 100)
    monkeypatch.setattr(news, "_ROOM", 10)
    state = tmp_path / "state"
    file, told = in_the_way(state), make(state)
    told.tell(Event("test", "under way"))
    until(lambda: "wait to be recorded" in told.trouble)
    told.tell(*(Event("vip-down" if number % 2 else "test", str(number)) for number in range(100)))
    told.tell(Event("server-down", "one more"))
    file.unlink()
    until(lambda: "one more" in texts(state) and "events-lost" in {one.kind for one in EventLog(state).all()})
    kept = [one for one in EventLog(state).all() if one.text.isdigit()]
    assert [int(one.text) for one in kept] == [number for number in range(100) if number % 2 or number >= 20]
    (lost,) = [one for one in EventLog(state).all() if one.kind == "events-lost"]
    assert (lost.details, lost.text.split()[0]) == ({"events": 10}, "10")
    assert told.counts == {"test": 51, "vip-down": 50, "server-down": 1, "events-lost": 1}


def test_alarms_go_too_where_there_is_nothing_else(make, tmp_path, monkeypatch):
    monkeypatch.setattr(news, "MOST", 100)
    monkeypatch.setattr(news, "_AGAIN", (0.02, 0.05))
    state = tmp_path / "state"
    file, told = in_the_way(state), make(state)
    told.tell(Event("test", "under way"))
    until(lambda: "wait to be recorded" in told.trouble)
    told.tell(*(Event("vip-down", str(number)) for number in range(250)))
    file.unlink()
    until(lambda: "249" in texts(state) and "events-lost" in {one.kind for one in EventLog(state).all()})
    assert [one.text for one in EventLog(state).all() if one.kind == "vip-down"] == [str(n) for n in range(150, 250)]


def test_the_end_waits_for_what_was_told_and_not_for_a_log_out_of_reach(tmp_path):
    told = News(tmp_path / "well", lambda: None)
    told.tell(*(Event("test", str(number)) for number in range(500)))
    told.stop(within=30)
    assert len(texts(tmp_path / "well")) == 500
    in_the_way(tmp_path / "ill")
    done: list[int] = []
    told = News(tmp_path / "ill", lambda: None)
    told.tell(Event("test", "1"), then=lambda: done.append(1))
    begun = time.monotonic()
    told.stop()
    assert time.monotonic() - begun < 0.5
    assert not done  # the next agent tells it again


# --- drift ---


def kinds(events: list[Event]) -> list[str]:
    return [one.kind for one in events]


def test_drift_is_told_with_what_was_put_right():
    found, repaired = Drift("IPVS").mended(["add 192.0.2.21:104", "set x"], 0.0)
    assert (found.kind, found.level, found.details) == ("drift-found", "warning", {"engine": "IPVS", "changes": 2})
    assert found.text == "IPVS was not as lbkit had left it. Put right: add 192.0.2.21:104, set x."
    assert (repaired.kind, repaired.details) == ("drift-repaired", {"engine": "IPVS"})


def test_drift_that_comes_again_and_again_is_one_more_event_and_one_when_it_is_over():
    drift = Drift("IPVS")
    assert kinds(drift.mended(["x"], 0.0)) == ["drift-found", "drift-repaired"]
    assert kinds(drift.mended(["x"], 10.0)) == ["drift-found"]
    assert [one for at in range(20, 100, 10) for one in drift.mended(["x"], at)] == []
    assert drift.quiet(149.9) == []
    assert kinds(drift.quiet(150.0)) == ["drift-repaired"]
    assert drift.quiet(300.0) == []
    assert kinds(drift.mended(["x"], 301.0)) == ["drift-found", "drift-repaired"]
    assert drift.quiet(400.0) == []
    assert kinds(drift.mended(["x"], 401.0)) == ["drift-found", "drift-repaired"]


def test_of_many_changes_the_first_are_named():
    found, _ = Drift("HAProxy").mended([f"V/s{number}" for number in range(30)], 0.0)
    assert found.text.endswith("V/s7, and 22 more.")


# --- certificates ---

DAY = 86_400.0


def test_a_certificate_is_told_at_each_step_once_until_it_is_renewed():
    told, said = {}, []
    for hour in range(33 * 24):
        events, told = due([Expiry("certificate", "client-cert", 32 * DAY)], told, hour * 3600.0)
        said += [(hour / 24, one.details["days"]) for one in events]
    assert said == [(2, 30), (18, 14), (25, 7), (29, 3), (31, 1), (32, 0)]
    assert due([Expiry("certificate", "client-cert", 400 * DAY)], told, 33 * DAY) == ([], {})


def test_the_first_look_tells_the_step_it_is_at_and_no_other():
    events, told = due([Expiry("ca", "mTLS", 5.5 * DAY), Expiry("crl", "mTLS", -DAY)], {}, 0.0)
    soon, over = events
    assert soon.text.startswith("The first CA of family mTLS ends in 5 days (1970-01-06 12:00 UTC): ")
    assert soon.details == {"name": "mTLS", "kind": "ca", "days": 5, "ends": 5.5 * DAY}
    assert over.text.startswith("The first revocation list of family mTLS has ended (1969-12-31 00:00 UTC): ")
    assert due([Expiry("ca", "mTLS", 5.5 * DAY), Expiry("crl", "mTLS", -DAY)], told, 0.0) == ([], told)


def test_an_issuer_that_ends_is_told_beside_its_certificate():
    events, _ = due([Expiry("certificate", "own", 90 * DAY), Expiry("issuer", "own", 2 * DAY)], {}, 0.0)
    assert [one.text.partition(" ends in 2 days")[0] for one in events] == [
        "The first issuer in the file of certificate own"
    ]


@pytest.mark.parametrize(
    ("left", "days", "said"),
    [
        (14 * DAY - 3000, 14, "ends in 14 days"),
        (DAY - 3000, 1, "ends in 1 day "),
        (DAY - 4000, 0, "ends in less than a day "),
        (1, 0, "ends in less than a day "),
    ],
)
def test_a_step_that_was_passed_within_the_last_hour_is_told_as_that_step(left, days, said):
    (event,), _ = due([Expiry("certificate", "a", left)], {}, 0.0)
    assert (event.details["days"], said in event.text) == (days, True), event.text


@pytest.mark.parametrize(("lasts", "every"), [(7, 5), (2, 1), (1, 0.5)])
def test_a_revocation_list_that_is_issued_anew_in_time_is_no_news_for_ever(lasts, every):
    told, said = {}, []
    for number in range(20):
        begun = number * every * DAY
        for now in (begun + 60, begun + every * DAY - 60):
            events, told = due([Expiry("crl", "mTLS", begun + lasts * DAY)], told, now)
            said += [(number, one.details["days"]) for one in events]
    assert said == ([] if lasts > 1 else [(0, 1)])
    (over,), _ = due([Expiry("crl", "mTLS", 0.0)], told, 60.0)
    assert "has ended" in over.text


def test_a_file_that_can_not_be_read_for_once_is_not_told_anew():
    _, told = due([Expiry("certificate", "a", 5 * DAY)], {}, 0.0)
    assert due([], told, 3600.0) == ([], told)
    assert due([Expiry("certificate", "a", 5 * DAY)], told, 7200.0) == ([], told)
    assert due([], told, 36 * DAY) == ([], {})


def test_another_certificate_that_ends_soon_too_is_told():
    _, told = due([Expiry("certificate", "a", 5 * DAY)], {}, 0.0)
    assert len(due([Expiry("certificate", "a", 6 * DAY)], told, 0.0)[0]) == 1


# --- what is kept ---


def test_a_picture_is_kept_and_read_again(tmp_path):
    assert read(tmp_path) is None
    made = Picture(
        frozenset({("V", "s")}),
        {"V": "down", "W": "degraded"},
        "master",
        True,
        True,
        {("V", "s"): 5.5},
        {"ca/x": (9.0, 3)},
    )
    write(made, tmp_path / "new")
    assert read(tmp_path / "new") == made


ODD = json.dumps(Picture().as_dict() | {"role": []}).encode()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"7", b'{"version": 2}', b'{"version": 1, "down": [["a"]]}', ODD]
)
def test_a_picture_that_cannot_be_used_counts_for_none_and_is_named(tmp_path, content, caplog):
    (tmp_path / "seen.json").write_bytes(content)
    assert read(tmp_path) is None
    assert "seen.json" in caplog.text


def test_a_picture_that_cannot_be_kept_is_said(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    write(Picture(), tmp_path / "file")
    assert "seen.json can't be written" in caplog.text
