"""How a demo ends by a signal."""

import os
import signal
import sys
import threading

import pytest

from lbkit.errors import EngineError
from lbkit_demo.ending import SIGNALS, Ending


@pytest.fixture
def ending():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield Ending()
    for number, handler in before.items():
        signal.signal(number, handler)


def come(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_ends_the_demo_and_those_after_it_do_not_disturb_the_end(ending, number):
    with pytest.raises(KeyboardInterrupt):
        come(number)
    for late in SIGNALS:
        come(late)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_while_the_site_starts(ending, number):
    reached = []

    def start():
        with ending.held():
            come(number)
            reached.append(number)

    with pytest.raises(KeyboardInterrupt):
        start()
    assert reached


def test_what_a_signal_broke_in_the_start_is_not_said(ending):
    def start():
        with ending.held():
            come(signal.SIGINT)
            raise EngineError("HAProxy does not start: it does not say why")

    with pytest.raises(KeyboardInterrupt):
        start()


def test_without_a_signal_the_start_fails_as_it_fails(ending):
    with pytest.raises(EngineError), ending.held():
        raise EngineError("HAProxy does not start: it does not say why")
    with ending.held():
        pass


def test_a_site_that_stays_ends_though_the_exception_was_lost(ending):
    """Python throws away what is raised while it tidies up, as in a destructor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)
        Interrupted()
    with pytest.raises(KeyboardInterrupt):
        ending.wait()


class Interrupted:
    def __del__(self) -> None:
        come(signal.SIGINT)


def test_a_signal_ends_the_wait(ending):
    threading.Timer(0.05, come, (signal.SIGTERM,)).start()
    with pytest.raises(KeyboardInterrupt):
        ending.wait()
