"""One target under one check, all day: when it is checked, and the health that its results add up to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import random

from lbkit.agent.schedule import Schedule
from lbkit.checks.health import Health, State
from lbkit.checks.kind import Check
from lbkit.checks.many import Checker
from lbkit.checks.result import Result
from lbkit.checks.target import Target
from lbkit.errors import LbkitError
from lbkit.site.services import CheckReference


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two watches one: real servers that are equal in several VIPs are checked once."""

    check: Check
    target: Target
    interval: float
    fast_interval: float | None
    rise: int
    fall: int

    @classmethod
    def of(cls, check: Check, target: Target, asked: CheckReference) -> Key:
        """That of a check of a target, as often as a VIP asks for it."""
        return cls(check, target, asked.interval, asked.fast_interval, asked.rise, asked.fall)


class Watch:
    """Checks from `start` to `stop`. `heard`: called with it after each.

    `result`: the last one, of a check that began at `checked`. `failing_since`: when the downs in a row began that it is
    in, None: the last one was up. `error`: why its last check could not be run, "": it ran; that says nothing about the
    target, so its health stays.
    """

    __slots__ = (
        "_checker",
        "_health",
        "_heard",
        "_hurried",
        "_loop",
        "_running",
        "_schedule",
        "_started",
        "_timer",
        "checked",
        "error",
        "failing_since",
        "key",
        "result",
    )

    def __init__(self, key: Key, checker: Checker, heard: Callable[[Watch], None]) -> None:
        self.key = key
        self.result: Result | None = None
        self.checked = 0.0
        self.failing_since: float | None = None
        self.error = ""
        self._checker = checker
        self._heard = heard
        self._health = Health(key.rise, key.fall)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Future[Result] | None = None
        self._hurried: float | None = None  # when it is to check next
        self._started = 0.0

    def start(self, first: float, phase: float) -> None:
        """Check first at `first`, then as `phase` says; both on the loop's clock."""
        self._schedule = Schedule(phase, self.key.interval, self.key.fast_interval, random)
        self._timer = self._loop.call_at(first, self._check)

    def stop(self) -> None:
        """Check no more; a result that is still to come is not heard."""
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None:
            self._running.remove_done_callback(self._ended)
            self._running.add_done_callback(_ignore)

    @property
    def state(self) -> State:
        """What its results add up to."""
        return self._health.state

    @property
    def has_run(self) -> bool:
        """Whether a check has ended, or could not be run."""
        return self.result is not None or bool(self.error)

    @property
    def begins_to_fail(self) -> bool:
        """Whether the last check is the first of its downs in a row."""
        return self.failing_since is not None and self.failing_since >= self.checked

    @property
    def failed_for(self) -> str:
        """The reason code of the last check, "": it found the target up."""
        if self.error:
            return "cannot-run"
        return self.result.reason if self.result is not None and self.result.status == "down" else ""

    def hurry(self, since: float) -> None:
        """Check at `since`, or now where that is over; where a check runs that began before, once it has ended."""
        if self._running is not None:
            self._hurried = since if self._started < since else None
        elif self._timer is not None:
            self._timer.cancel()
            if since > self._loop.time():
                self._timer = self._loop.call_at(since, self._check)
            else:
                self._check()

    def _check(self) -> None:
        self._timer = None
        self._started = self._loop.time()
        self._running = self._checker.start(self.key.check, self.key.target)
        self._running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Future[Result]) -> None:
        if running.cancelled():
            return
        now = self._loop.time()
        self._running = None
        error = running.exception()
        before = self.state
        if error is None:
            self.error = ""
            self._take(running.result(), now)
        else:
            self.error = str(error) if isinstance(error, LbkitError) else f"{type(error).__name__}: {error}"
        contradicts = (self.failing_since is None) is (self.state == "down")
        has_turned = self.state != before != "unknown"
        following = self._schedule.next(self._started, now, contradicts or has_turned)
        self._timer = self._loop.call_at(following if self._hurried is None else self._hurried, self._check)
        self._hurried = None
        self._heard(self)

    def _take(self, result: Result, now: float) -> None:
        self.result = result
        self.checked = self._started
        up = result.status == "up"
        if up:
            self.failing_since = None
        elif self.failing_since is None:
            self.failing_since = now
        self._health.add(up, now)


def _ignore(running: asyncio.Future[Result]) -> None:
    if not running.cancelled():
        running.exception()
