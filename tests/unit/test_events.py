"""What an event is, before it is written anywhere."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.test_intents import JSON

from lbkit.errors import LbkitError, Misuse
from lbkit.state.events import LEVELS, Event, EventKind

KINDS = get_args(EventKind)
TEXTS = st.text(max_size=40)
DETAILS = st.dictionaries(
    TEXTS, TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e18, 1e18), max_size=5
)
EVENTS = st.builds(
    Event,
    st.sampled_from(KINDS),
    TEXTS,
    node=TEXTS,
    when=st.floats(0, 32_503_679_999),
    vip=TEXTS,
    server=TEXTS,
    address=TEXTS,
    step=TEXTS,
    reason=TEXTS,
    who=TEXTS,
    why=TEXTS,
    origin=TEXTS,
    details=DETAILS,
)


def down(**more):
    return Event("server-down", "one is down", when=1_900_000_000.25, vip="WEB", server="one", **more)


@settings(deadline=None)
@given(EVENTS)
def test_an_event_is_the_same_after_json(event):
    assert Event.of(json.loads(json.dumps(event.as_dict()))) == event


def test_the_time_is_written_as_iso_8601_in_utc_and_what_is_empty_is_left_out():
    assert down(ident="1f").as_dict() == {
        "kind": "server-down",
        "level": "warning",
        "text": "one is down",
        "when": "2030-03-17T17:46:40.250Z",
        "vip": "WEB",
        "server": "one",
        "ident": "1f",
    }


def test_a_key_that_a_newer_lbkit_wrote_is_left_out():
    event = down()
    assert Event.of(event.as_dict() | {"weather": "fine"}) == event


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kind": "server-sad"}, "'server-sad' is no kind of event. Is this lbkit older than the one that wrote it?"),
        ({"kind": ["server-down"]}, "this is no event"),
        ({"text": 5}, "text of an event is 5; give a text of at most 2000 characters."),
        ({"why": "x" * 2001}, "why of an event is 'xxx"),
        (
            {"ident": "a\r\nEvil: 1"},
            "ident of an event is 'a\\r\\nEvil: 1'; give at most 200 letters, digits, dots and dashes.",
        ),
        ({"ident": "x" * 201}, "ident of an event"),
        ({"ident": ""}, "ident of an event"),
        ({"when": 1900000000}, "this is no event"),
        ({"when": "2030-03-17T17:46:40"}, "this is no event"),
        ({"when": "1969-12-31T23:59:59Z"}, "give seconds since the epoch"),
        ({"when": "3000-01-01T00:00:00Z"}, "give seconds since the epoch"),
        ({"details": [1]}, "this is no event"),
        ({"details": {"a": None}}, "details of an event are at most 32"),
        ({"details": {"a": {"b": 1}}}, "details of an event"),
        ({"details": {"a": "x" * 2001}}, "details of an event"),
        ({"details": {"x" * 2001: 1}}, "details of an event"),
        ({"details": {"a": float("nan")}}, "details of an event"),
        ({"details": {"a": float("-inf")}}, "details of an event"),
        ({"details": {"a": 10**30}}, "details of an event"),
        ({"details": {str(number): number for number in range(33)}}, "details of an event"),
    ],
)
def test_what_no_event_can_be_is_misuse(changed, says):
    with pytest.raises(Misuse) as raised:
        Event.of(down().as_dict() | changed)
    assert says in str(raised.value)


@pytest.mark.parametrize("missing", ["kind", "text", "when"])
def test_an_event_without_what_every_event_has_is_misuse(missing):
    values = down().as_dict()
    del values[missing]
    with pytest.raises(Misuse, match="this is no event"):
        Event.of(values)


@pytest.mark.parametrize("when", [float("nan"), float("inf"), -1.0, True])
def test_an_event_has_a_time_that_can_be_written(when):
    with pytest.raises(Misuse, match="when of an event"):
        Event("test", "", when=when)


@settings(deadline=None)
@given(JSON)
def test_no_document_raises_anything_but_what_lbkit_raises(document):
    with pytest.raises(LbkitError):
        Event.of(document)


@settings(deadline=None)
@given(EVENTS, st.sampled_from([*down().as_dict(), "details"]), JSON)
def test_no_value_of_an_event_raises_anything_but_what_lbkit_raises(event, key, value):
    try:
        assert Event.of(event.as_dict() | {key: value}).kind in KINDS
    except LbkitError as e:
        assert " event" in str(e)  # noqa: PT017


def test_each_event_is_its_own():
    assert down() != down()
    assert len({down().ident for _ in range(100)}) == 100


def test_levels_are_of_kinds_that_there_are_and_what_has_none_is_information():
    assert LEVELS.keys() <= set(KINDS)
    assert (Event("vip-down", "").level, down().level, Event("failover-asked", "").level) == (
        "alarm",
        "warning",
        "info",
    )


def test_what_it_is_about_is_the_server_of_the_vip_the_vip_or_nothing():
    assert (down().about, Event("vip-down", "", vip="WEB").about, Event("reloaded", "").about) == ("WEB/one", "WEB", "")
