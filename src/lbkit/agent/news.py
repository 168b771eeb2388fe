"""What the agent itself has seen goes into the log of events from here: told from anywhere, written by one thread."""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Condition, Thread

from lbkit.errors import LbkitError
from lbkit.state.events import Event
from lbkit.state.log import EventLog, record

log = logging.getLogger("lbkit.agent")

MOST = 10_000  # events that wait
_ROOM = MOST // 10  # that go at a time where there is none
_AT_ONCE = 500
_AGAIN = (1.0, 30.0)  # seconds until a log that could not be written is tried again, at first and at most


class News:
    """`state`: the state folder. `recorded`: called in the thread whenever events have come into the log. `node`: may be
    changed; events have it that name none.
    """

    def __init__(self, state: Path | None, recorded: Callable[[], None]) -> None:
        self._state = state
        self.node = socket.gethostname()
        self._recorded = recorded
        self._waiting: list[Event] = []
        self._then: Callable[[], None] | None = None
        self._lost = 0
        self._counts: Counter[str] = Counter()
        self._trouble = ""
        self._changed = Condition()
        self._ending = False
        self._thread = Thread(target=self._work, name="lbkit-news", daemon=True)
        self._thread.start()

    def tell(self, *events: Event, then: Callable[[], None] | None = None) -> None:
        """Have these recorded, as of this moment. From any thread, and nobody waits. Where the log can't be written they do;
        beyond MOST the oldest go, those that matter least first, and one event says how many.

        `then`: called in the thread once they are; one that was given before and not called yet is forgotten.
        """
        now = time.time()
        stamped = [replace(one, when=one.when or now, node=one.node or self.node) for one in events]
        with self._changed:
            self._counts.update(one.kind for one in stamped)
            self._waiting += stamped
            if len(self._waiting) > MOST:
                self._make_room()
            self._then = then or self._then
            self._changed.notify()

    @property
    def counts(self) -> Mapping[str, int]:
        """Events by kind, since the agent began."""
        with self._changed:
            return dict(self._counts)

    @property
    def trouble(self) -> str:
        """Why the log can't be written, in words; "": it can."""
        return self._trouble

    def stop(self, within: float = 0.5) -> None:
        """Record what waits, for so many seconds."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(within)

    def _make_room(self) -> None:
        kept, dropped, too_many = [], 0, max(_ROOM, len(self._waiting) - MOST)
        for one in self._waiting:
            if one.level == "info" and dropped < too_many:
                dropped += 1
            else:
                kept.append(one)
        left = max(0, len(kept) - MOST)
        self._waiting, self._lost = kept[left:], self._lost + dropped + left

    # --- the thread ---

    def _work(self) -> None:
        while self._wait():
            try:
                batch, then = self._take()
                if batch:
                    if not self._record(batch):
                        return  # what it saw is told again by the agent that comes next
                    self._recorded()
                if then is not None:
                    then()
            except Exception:  # the next events come, whatever these ran into
                log.exception("news can't be recorded")

    def _wait(self) -> bool:
        """Whether there is anything to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._then or self._ending)
            return bool(self._waiting or self._then)

    def _take(self) -> tuple[list[Event], Callable[[], None] | None]:
        with self._changed:
            batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            then = None
            if not self._waiting:
                then, self._then = self._then, None
            if self._lost:
                batch.append(_lost(self._lost, self.node))
                self._counts["events-lost"] += 1
                self._lost = 0
        return batch, then

    def _record(self, batch: list[Event]) -> bool:
        """Whether they are in the log; it tries until the agent ends."""
        if record(*batch, state=self._state):
            return True
        pause = _AGAIN[0]
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._ending, pause):
                    return False
            try:
                EventLog(self._state).append(batch)
            except LbkitError as e:
                self._trouble = f"events wait to be recorded: {e}"
                pause = min(2 * pause, _AGAIN[1])
            else:
                log.warning("the log of events can be written again")
                self._trouble = ""
                return True


def _lost(number: int, node: str) -> Event:
    text = f"{number} events could not wait any longer to be recorded, and are lost: the oldest, and those of least account."
    return Event("events-lost", text, node, time.time(), details={"events": number})
