"""Deeds that end at any of their lines: by an exception there, or by SIGKILL in a child."""

import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager


@contextmanager
def at_line(number, files, then):
    """Within the block, call `then` as the line `number` (from 1) in one of the files begins. Gives the lines seen."""
    seen = [0]

    def on_line(frame, event, arg):
        if event == "line":
            seen[0] += 1
            if seen[0] == number:
                then()
        return on_line

    def on_call(frame, event, arg):
        return on_line if frame.f_code.co_filename.endswith(files) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield seen
    finally:
        sys.settrace(before)


def interrupted_at_line(number, files, deed):
    """Run `deed` with Ctrl-C at this line; what it raised, None where it ended before.

    In a thread of its own: an exception out of nowhere can leave the interpreter's notes on handled ones in disorder.
    """
    raised = []

    def interrupt():
        raise KeyboardInterrupt

    def run():
        try:
            with at_line(number, files, interrupt):
                deed()
        except BaseException as e:
            raised.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at_line(number, files, deed):
    """Run `deed` in a child that is killed at this line. False: it ended before."""
    with warnings.catch_warnings():
        if threading.active_count() > 1:
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # the child runs Python code alone, and no other thread's
        child = os.fork()
    if not child:
        try:
            with at_line(number, files, kill_self):
                deed()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
