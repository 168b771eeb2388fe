"""A receiver that writes down what it takes, and what follows the log for it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from math import inf

from lbkit.agent.following import Follower
from lbkit.state.events import Event
from lbkit.state.log import EventLog, Place
from lbkit.state.places import Places

PATIENCE = 10.0  # seconds; the machine may be busy


class Taker:
    """Writes down what it took; `refuse(events)` may raise, `again` is what it returns."""

    def __init__(self, name="taker", at_once=100, refuse=lambda events: None, again=None):
        self.name = name
        self.at_once = at_once
        self.refuse = refuse
        self.again = again
        self.calls = []
        self.taken = []
        self.active = []

    def take(self, events, active):
        self.calls.append((time.monotonic(), [one.text for one in events]))
        self.refuse(events)
        self.taken += [one.text for one in events]
        self.active.append(active)
        return self.again


@contextmanager
def follows(receiver, state, until=lambda: inf, after=None, make=None):
    """`until`: as the follower has it. `make`: makes the receiver."""
    follower = Follower(receiver.name, make or (lambda: receiver), state, until, after)
    follower.start()
    try:
        yield follower
    finally:
        follower.end()
        assert follower.join(PATIENCE)


def eventually(found):
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.005)
    return value


def tell(state, *texts, when=1.0):
    EventLog(state).append([Event("test", text, "lb1", when) for text in texts])


def begins(receiver, state):
    """It has a place in the log."""
    eventually(lambda: Places(state).of(receiver.name))


def known(state, name="taker"):
    """A receiver that was there before the first event."""
    Places(state).keep(name, Place())


def texts(count):
    return [str(number) for number in range(count)]
