"""An exchange of https-get, driven by scripted bytes without a socket."""

from lbkit.checks.conversation import Lost
from lbkit.testing import play
from lbkit_https_get.exchange import exchange
from lbkit_https_get.terms import Terms

TIMED_OUT = Lost("timed-out", "no answer within 5 s")
RESET = Lost("reset", "the remote reset the connection")
CLOSED = b""
ENDINGS = [(TIMED_OUT, "timed-out"), (RESET, "reset"), (CLOSED, "closed")]


def get(*chunks, at="192.0.2.1", port=443, **terms):
    outcome, sent = play(exchange(Terms(**terms), at, port), *chunks)
    assert outcome is not None, "it waits for more"
    assert outcome.message.isprintable()
    return outcome, sent


def waits(*chunks, **terms):
    return play(exchange(Terms(**terms), "192.0.2.1", 443), *chunks)[0] is None


def assert_up(outcome):
    assert (outcome.up, outcome.step, outcome.reason) == (True, "body", "ok"), outcome.message


def assert_down(outcome, step, reason, *parts):
    assert (outcome.up, outcome.step, outcome.reason) == (False, step, reason), outcome.message
    for part in parts:
        assert part in outcome.message
