"""What a protocol and a driver say to each other: steps and their times, the end of the stream, the outcome."""

import subprocess
import sys
from contextlib import suppress

import pytest

from lbkit.checks.conversation import Conversation, Lost, down, up
from lbkit.testing import play, splits


def greeting():
    received = yield "greet", b"HELO\r\n"
    while not received.endswith(b"\n"):
        more = yield "greet", b""
        if not more:
            return down("closed", "it stopped in the middle of its greeting")
        received += more
    yield "quit", b"QUIT\r\n"
    return up("it greets", "greet", {"said": received}, b"BYE\r\n")


def silent():
    return up("takes connections", "connect")
    yield


def forgiving():
    try:
        yield "ask", b"?"
    except Lost as lost:
        return up("the verdict was fixed before", details={"notes": [lost.message]}, last_words=b"bye")


def stubborn():
    while True:
        with suppress(Lost):
            yield "ask", b"?"


def test_bytes_go_back_and_forth_until_there_is_an_outcome():
    conversation = Conversation(greeting(), {})
    assert conversation.begin(0.0) == b"HELO\r\n"
    assert conversation.step == "greet"
    assert conversation.receive(b"220", 0.5) == b""
    assert conversation.receive(b" hi\n", 1.0) == b"QUIT\r\n"
    assert conversation.step == "quit"
    assert conversation.outcome is None
    assert conversation.farewell() == b""
    assert conversation.receive(b"ok", 3.0) is None
    assert (conversation.outcome.up, conversation.outcome.step) == (True, "greet")
    assert conversation.farewell() == b"BYE\r\n"


def test_the_time_of_each_step_is_added_to_what_the_driver_measured():
    steps = {"connect": 0.25, "quit": 1.0}
    conversation = Conversation(greeting(), steps)
    conversation.begin(10.0)
    conversation.receive(b"220", 10.5)
    conversation.receive(b"\n", 12.0)
    conversation.receive(b"", 12.25)
    assert steps == {"connect": 0.25, "greet": 2.0, "quit": 1.25}


def test_a_protocol_may_end_before_it_has_said_anything():
    conversation = Conversation(silent(), {})
    assert conversation.begin(0.0) is None
    assert (conversation.outcome.step, conversation.steps) == ("connect", {})


def test_an_outcome_without_a_step_falls_at_the_step_it_was_in():
    outcome, _ = play(greeting(), b"220", b"")
    assert (outcome.up, outcome.step, outcome.reason) == (False, "greet", "closed")
    assert outcome.message == "it stopped in the middle of its greeting"


def test_a_protocol_that_waits_on_after_the_end_of_the_stream_is_down_closed():
    for protocol, step in ((greeting(), "greet"), (stubborn(), "ask")):
        outcome, _ = play(protocol, b"")
        assert (outcome.up, outcome.step, outcome.reason) == (False, step, "closed")
        assert outcome.message == "the remote closed the connection"


@pytest.mark.parametrize("protocol", [greeting, stubborn])
def test_what_ends_the_connection_from_below_is_the_outcome_where_the_protocol_has_nothing_better(protocol):
    outcome, sent = play(protocol(), Lost("reset", "the remote reset the connection"))
    assert (outcome.up, outcome.reason, outcome.message) == (False, "reset", "the remote reset the connection")
    assert outcome.step == ("greet" if protocol is greeting else "ask")
    assert len(sent) == 1


def test_a_protocol_that_goes_on_after_the_end_is_closed():
    protocol = stubborn()
    play(protocol, b"?", Lost("reset", "the remote reset the connection"))
    assert protocol.gi_frame is None


def test_what_ends_the_connection_may_count_at_a_step_of_its_own():
    outcome, _ = play(greeting(), Lost("tls-refused", "refused", "tls"))
    assert outcome.step == "tls"


def test_a_protocol_whose_verdict_is_fixed_keeps_it():
    outcome, sent = play(forgiving(), Lost("timed-out", "no answer within 5 s"))
    assert (outcome.up, outcome.step, outcome.reason) == (True, "ask", "ok")
    assert outcome.details == {"notes": ["no answer within 5 s"]}
    assert sent == [b"?", b"bye"]


def test_what_a_protocol_gets_wrong_itself_is_raised():
    def broken():
        yield "ask", b""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(broken(), b"?")


def test_outcomes_do_not_share_their_details():
    first, second = up("a"), up("b")
    first.details["notes"] = []
    assert second.details == {}


def test_play_tells_a_protocol_that_waits_and_leaves_what_comes_after_the_outcome():
    assert play(greeting(), b"220") == (None, [b"HELO\r\n"])
    outcome, sent = play(greeting(), b"220\n", b"ok", b"and more", b"")
    assert outcome.up
    assert sent == [b"HELO\r\n", b"QUIT\r\n", b"BYE\r\n"]


def test_splits_give_all_bytes_in_order_whole_single_and_in_two():
    found = list(splits(b"abc"))
    assert found == [(b"abc",), (b"a", b"b", b"c"), (b"a", b"bc"), (b"ab", b"c")]


def test_the_contract_imports_nothing():
    """lbkit-probe passes through it."""
    script = "import sys; before = {*sys.modules}; import lbkit.checks.conversation; print(*{*sys.modules} - before)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert sorted(ran.stdout.split()) == ["lbkit", "lbkit.checks", "lbkit.checks.conversation"]
