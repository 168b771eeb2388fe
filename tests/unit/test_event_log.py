"""The log of events: what is in it is read, in order, by whoever reads, falls behind, or finds what is no event."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.test_events import EVENTS

from lbkit.state import log as module
from lbkit.state.events import Event
from lbkit.state.log import BEGIN, EventLog, Place, record


@pytest.fixture
def events(tmp_path):
    return EventLog(tmp_path / "state")


@pytest.fixture
def small(monkeypatch):
    """Segments of two or three events, of which three are kept."""
    monkeypatch.setattr(module, "SEGMENT", 240)
    monkeypatch.setattr(module, "KEPT", 3)


def numbered(*numbers):
    return [Event("test", str(number), when=1_900_000_000.0 + number) for number in numbers]


def texts(read):
    return [event.text for event, _ in read.events]


def segments(events):
    return sorted(path.name for path in events.folder.glob("*.jsonl"))


# --- what is written is read ---


@settings(deadline=None, max_examples=50)
@given(st.lists(EVENTS, max_size=5), st.lists(EVENTS, max_size=5))
def test_what_is_written_is_read_in_order(tmp_path_factory, first, second):
    events = EventLog(tmp_path_factory.mktemp("log"))
    events.append(first)
    events.append(second)
    assert list(events.all()) == [*first, *second]


def test_of_a_log_that_is_not_there_nothing_is_read_and_none_is_made(events):
    assert list(events.all()) == []
    assert (events.read(), events.end(), events.last()) == (([], BEGIN, 0), Place(1, 0), ([], Place(1, 0)))
    events.append([])
    assert not events.folder.exists()


def test_a_record_names_this_node_and_this_moment_unless_it_is_told_others(events, tmp_path):
    assert record(Event("test", "a"), Event("test", "b", node="lb9", when=7.0), state=tmp_path / "state")
    a, b = events.all()
    assert a.node == os.uname().nodename
    assert a.when > 1_700_000_000
    assert (b.node, b.when) == ("lb9", 7.0)


def test_lbkit_state_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LBKIT_STATE", str(tmp_path / "elsewhere"))
    record(Event("test", "a"))
    assert [one.text for one in EventLog(tmp_path / "elsewhere").all()] == ["a"]


def test_a_word_that_no_terminal_can_have_meant_is_written_all_the_same(events, tmp_path):
    assert record(Event("test", "a", why="caf\udce9"), state=tmp_path / "state")
    assert [one.why for one in events.all()] == ["caf?"]


def test_the_files_are_for_owner_and_group_alone(events):
    events.append(numbered(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (events.folder, *events.folder.iterdir())}
    assert modes == {"events": 0o770, "00000001.jsonl": 0o660, ".lock": 0o660}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to any group")
def test_the_files_belong_to_the_group_of_the_state_folder(events):
    events.folder.parent.mkdir(mode=0o770)
    os.chown(events.folder.parent, 0, 4321)
    events.append(numbered(1))
    assert {path.stat().st_gid for path in (events.folder, *events.folder.iterdir())} == {4321}


# --- followers ---


def test_a_follower_goes_on_where_it_was(events):
    events.append(numbered(1, 2, 3))
    first = events.read(most=2)
    assert texts(first) == ["1", "2"]
    assert first.end == first.events[-1][1]
    events.append(numbered(4))
    assert texts(events.read(first.end)) == ["3", "4"]
    assert texts(events.read(first.events[0][1])) == ["2", "3", "4"]
    assert events.read(events.end()).events == []


def test_a_follower_that_begins_at_the_end_gets_what_comes_then(events):
    events.append(numbered(1))
    place = events.end()
    events.append(numbered(2))
    assert texts(events.read(place)) == ["2"]


def test_who_begins_at_the_end_of_an_empty_log_gets_the_first(events):
    place = events.end()
    events.append(numbered(1))
    assert events.read(place).gone == 0
    assert texts(events.read(place)) == ["1"]


def test_a_follower_is_told_whether_there_is_more_before_it_reads(events, small):
    assert events.has_more(events.end())
    for number in range(6):
        events.append(numbered(number))
        place = events.read(most=number).end
        assert events.has_more(place)
        place = events.read(place).end
        assert events.read(place).events == []
    events.append([Event("test", "fills it", why="x" * 200)])
    place = events.end()
    events.append(numbered(7))
    assert events.has_more(place)
    assert not events.has_more(events.end())


def test_a_follower_goes_over_a_new_segment(events, small):
    place, seen = BEGIN, []
    for number in range(20):
        events.append(numbered(number))
        read = events.read(place)
        seen += texts(read)
        assert read.gone == 0
        place = read.end
    assert seen == [str(number) for number in range(20)]
    assert len(segments(events)) == 3
    assert segments(events)[-1] > "00000005"


def test_more_than_a_segment_is_read_in_one_go(events, small):
    for number in range(8):
        events.append(numbered(number))
    assert len(segments(events)) > 1
    assert texts(events.read(most=7)) == list("0123456")
    assert texts(events.read(events.read(most=7).end)) == ["7"]


def test_a_follower_whose_segment_is_gone_is_told_how_many_are_and_goes_on(events, small):
    events.append(numbered(0))
    place = events.read().end
    for number in range(1, 30):
        events.append(numbered(number))
    read = events.read(place)
    first = int(segments(events)[0][:8])
    assert read.gone == first - place.segment > 0
    assert texts(read) == [str(number) for number in range(30 - len(read.events), 30)]


def test_who_reads_from_the_beginning_misses_nothing_that_it_ever_had(events, small):
    for number in range(30):
        events.append(numbered(number))
    assert segments(events)[0] != "00000001.jsonl"
    assert events.read().gone == 0


def test_where_the_folder_was_made_anew_a_follower_begins_anew(events, small):
    for number in range(10):
        events.append(numbered(number))
    place = events.end()
    shutil.rmtree(events.folder)
    events.append(numbered(77))
    assert texts(events.read(place)) == ["77"]


def test_a_log_that_a_power_cut_has_made_shorter_does_not_hold_its_follower_up(events):
    events.append(numbered(1, 2, 3))
    place, second = events.end(), events.read(most=1).end
    os.truncate(events.folder / "00000001.jsonl", second.offset + 5)
    assert events.read(place).events == []
    place = events.read(place).end
    events.append(numbered(4, 5))
    assert texts(events.read(place)) == ["4", "5"]


# --- the last ones ---


def test_the_last_ones_are_told_over_segments_the_newest_last(events, small):
    for number in range(12):
        events.append(numbered(number))
    found, place = events.last(5)
    assert [one.text for one in found] == ["7", "8", "9", "10", "11"]
    assert place == events.end()
    assert [one.text for one in events.last(2, wanted=lambda one: int(one.text) % 2 == 0)[0]] == ["8", "10"]
    assert [one.text for one in events.last(since=1_900_000_010.0)[0]] == ["10", "11"]
    assert [one.text for one in events.last()[0]] == [one.text for one in events.all()]


def test_segments_of_before_are_not_read_for_the_last_ones(events, small, caplog):
    for number in range(12):
        events.append(numbered(number))
    (events.folder / segments(events)[0]).write_text("no event\n")
    events.last(2)
    assert caplog.messages == []
    os.utime(events.folder / segments(events)[1], (1_900_000_000, 1_900_000_000))
    events.last(since=1_900_000_005.0)
    assert caplog.messages == []


# --- what is no event ---


def test_what_a_newer_lbkit_wrote_is_passed_over_with_a_word_and_later_ones_come(events, caplog):
    newer = numbered(2)[0].as_dict() | {"kind": "moon-risen"}
    events.append(numbered(1))
    with open(events.folder / "00000001.jsonl", "a") as file:
        file.write(json.dumps(newer) + "\n")
    events.append(numbered(3))
    with caplog.at_level(logging.WARNING, "lbkit.events"):
        assert [one.text for one in events.all()] == ["1", "3"]
    assert len(caplog.messages) == 1
    assert "00000001.jsonl has a line that is no event" in caplog.text


@pytest.mark.parametrize(
    "rubbish", [b"{", b"\xff\xfe", b"[" * 100_000, b"\0" * 100, b"[1]", b"9" * 5000, b"x" * (17 << 20)]
)
def test_rubbish_is_one_line_that_is_passed_over(events, rubbish):
    events.append(numbered(1))
    with open(events.folder / "00000001.jsonl", "ab") as file:
        file.write(rubbish + b"\n")
    events.append(numbered(2))
    assert [one.text for one in events.all()] == ["1", "2"]


def test_a_line_that_is_being_written_is_waited_for(events):
    events.append(numbered(1, 2))
    path = events.folder / "00000001.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    read = events.read()
    assert texts(read) == ["1"]
    assert events.end() == read.end
    path.write_bytes(whole)
    assert texts(events.read(read.end)) == ["2"]


@pytest.mark.parametrize("torn", [b'{"kind": "te', b"\0" * 500, b'{"kind": "te\0\0\0'])
def test_a_line_that_somebody_died_in_does_not_spoil_the_next(events, torn):
    events.append(numbered(1))
    with open(events.folder / "00000001.jsonl", "ab") as file:
        file.write(torn)
    place = events.read().end
    events.append(numbered(2))
    assert texts(events.read(place)) == ["2"]


def test_a_line_that_somebody_died_in_at_the_end_of_a_segment_does_not_hold_anybody_up(events, small):
    events.append(numbered(1))
    with open(events.folder / "00000001.jsonl", "ab") as file:
        file.write(b'{"kind": "' + b"t" * 400)
    events.append(numbered(2))
    assert len(segments(events)) == 2
    assert [one.text for one in events.all()] == ["1", "2"]
