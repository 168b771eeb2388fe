"""Giving a receiver the events of the log, in a thread of its own: whatever it waits for, nobody waits for it."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import monotonic
from traceback import format_exception_only

from lbkit.checks.conversation import printable
from lbkit.errors import LbkitError
from lbkit.state.events import Event
from lbkit.state.log import EventLog, Place
from lbkit.state.places import Places
from lbkit.state.receiver import Receiver

log = logging.getLogger("lbkit.agent")

_LOOKS_EVERY = 0.5  # seconds: other processes record events too
_KEEPS_EVERY = 1.0  # seconds between two writes of its place while it has more to do
_NEVER_SOONER = 0.1  # seconds until it is called again without news, whatever it asks for
_FIRST = 1.0  # seconds until it is tried again; then 2, 4, …
_LONGEST = 300.0
_HANGS_AFTER = 60.0  # seconds in which it has not taken what it was given
_WORDS = 300  # characters of what it raised


class Follower:
    """One receiver, from its place in the log on. `make`: the receiver; called in the thread, again where it raises.

    `state`: the folder of state. `until`: until when this node is the one that tells others, in seconds since the epoch;
    infinite: it is now, None: that will show, and nothing is given before. `after`: the one of the same name that was there
    before; it is waited for, so that two never do the same work at once.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Receiver],
        state: Path | None,
        until: Callable[[], float | None],
        after: Follower | None = None,
    ) -> None:
        self._name = name
        self._make = make
        self._until = until
        self._after = after
        self._log = EventLog(state)
        self._places = Places(state)
        self._receiver: Receiver | None = None
        self._place: Place | None = None
        self._kept: Place | None = None
        self._kept_at = 0.0
        self._due = 0.0  # when it wants to be called without news; at the start for what is left from before
        self._tries = 0
        self._trouble = ""
        self._unkept = ""  # why its place could not be kept
        self._busy_since: float | None = None
        self._wake = Flag()
        self._ending = Flag()
        self._keeps = True
        self._thread = Thread(target=self._run, name=f"lbkit-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hurry(self) -> None:
        """There is something new. One that is to be tried again later is not hurried."""
        if not self._tries:
            self._wake.set()

    def retry(self) -> None:
        """What was wrong with it may be mended: it does not wait until it is to be tried again."""
        self._wake.set()

    def end(self, forget: bool = False) -> None:
        """Take no more; blocks for nothing. `forget`: its place is not kept any more."""
        self._keeps = self._keeps and not forget
        self._ending.set()
        self._wake.set()

    def join(self, timeout: float) -> bool:
        """Wait for the end, at most so many seconds. Whether it has ended; one that hangs ends with the process."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def trouble(self) -> str:
        """What keeps it from taking events, or from sending on what it took, in words; "": nothing."""
        since = self._busy_since
        if since is not None and monotonic() - since > _HANGS_AFTER:
            return f"it has been busy for {monotonic() - since:.0f} s: it hangs"
        return self._trouble or self._unkept or getattr(self._receiver, "trouble", "")

    # --- the thread ---

    def _run(self) -> None:
        self._wait_for_the_one_before()
        while not self._ending.is_set():
            try:
                pause = self._step()
            except BaseException as e:  # of a plugin anything may come, and asyncio's CancelledError is no Exception
                pause = self._failed(e)
            else:
                self._went_well()
            if self._wake.wait(pause):
                self._wake.clear()
        self._keep()

    def _wait_for_the_one_before(self) -> None:
        before, self._after = self._after, None
        deadline = monotonic() + _HANGS_AFTER
        while before is not None and not before.join(_LOOKS_EVERY):  # whoever comes after this one waits for both
            if monotonic() > deadline:
                before.end(forget=True)  # where it has come to does not count any more
                break

    def _step(self) -> float:
        """Give it what is new, or call it where it has asked for that; seconds until the next look."""
        if self._place is None:
            self._place = self._begin()  # first of all: what comes while it can't be made is for it too
        until = self._until()
        if until is None:
            self._keep()
            return _LOOKS_EVERY
        if self._receiver is None:
            with self._busy():
                self._receiver = self._make()
        events, behind = self._read(self._receiver.at_once, self._place)
        if not events and monotonic() < self._due:
            self._place = behind
            self._keep()
            return min(_LOOKS_EVERY, max(0.0, self._due - monotonic()))
        if self._ending.is_set():  # it was long until here
            return 0.0
        again = self._give(self._receiver, events, until)
        self._place = behind
        self._due = inf if again is None else monotonic() + max(_NEVER_SOONER, again)
        if monotonic() - self._kept_at >= _KEEPS_EVERY:
            self._keep()
        return 0.0

    def _begin(self) -> Place:
        """Where it was; a receiver that is new hears nothing of last week."""
        self._kept = self._places.of(self._name)
        return self._kept or self._log.end()

    def _read(self, most: int, place: Place) -> tuple[Sequence[Event], Place]:
        if not self._log.has_more(place):
            return (), place
        read = self._log.read(place, most)
        if read.gone:
            first = Place(place.segment + read.gone)
            return [self._lost(read.gone, first)], first
        return [event for event, _ in read.events], read.end

    def _lost(self, segments: int, first: Place) -> Event:
        node = socket.gethostname()
        text = (
            f"{self._name} fell so far behind that {segments} segments of the log of events were gone before it had read "
            "them: what was in them it never tells."
        )
        details: dict[str, str | int] = {"receiver": self._name, "segments": segments}
        ident = re.sub(r"[^A-Za-z0-9._-]", "-", f"lost-{node}-{self._name}-{first.segment}")  # each time the same
        return Event("events-lost", text, node, time.time(), details=details, ident=ident)

    def _give(self, receiver: Receiver, events: Sequence[Event], until: float) -> float | None:
        """What waited here while this node told others is its to tell: the other one has dropped its own by then."""
        waited = receiver.at_once == 1 and any(one.when < until for one in events)
        with self._busy():
            return receiver.take(events, waited or until == inf)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._busy_since = monotonic()
        try:
            yield
        finally:
            self._busy_since = None

    def _keep(self) -> None:
        """Where that can't be done it gets its events all the same: after a crash they come once more."""
        if self._place is None or self._place == self._kept or not self._keeps:
            return
        self._kept_at = monotonic()
        try:
            self._places.keep(self._name, self._place)
        except LbkitError as e:
            if not self._unkept:
                log.warning("receiver %s: %s What it has taken comes again when an agent starts.", self._name, e)
            self._unkept = str(e)
        else:
            self._kept, self._unkept = self._place, ""

    # --- how it goes ---

    def _failed(self, error: BaseException) -> float:
        """Seconds until it is tried again."""
        self._trouble = _in_words(error)
        pause = min(_LONGEST, _FIRST * 2.0**self._tries)
        if not self._tries:
            ours = isinstance(error, LbkitError | OSError)
            log.warning(
                "receiver %s: %s It is tried again, later and later, and loses nothing.",
                self._name,
                self._trouble,
                exc_info=None if ours else error,
            )
        self._tries = min(self._tries + 1, 30)
        self._keep()
        return pause

    def _went_well(self) -> None:
        if self._tries:
            log.warning("receiver %s takes events again", self._name)
        self._tries, self._trouble = 0, ""


def _in_words(error: BaseException) -> str:
    said = str(error) if isinstance(error, LbkitError) else f"{format_exception_only(error)[-1].strip()}."
    return printable(" ".join(said.split()))[:_WORDS]
