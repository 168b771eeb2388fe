"""When a watch checks. No clock and no I/O: times are passed in, seconds of one monotonic clock.

Check number k starts at phase + k * interval + a jitter, so that checks of one interval never drift into one moment. What
follows from that: from the start of a check to the start of the next it is `interval` + `most_jitter` at most, or
`fast_interval` while results contradict the health; a check that takes longer than that is followed by the next at once.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor

_GOLDEN = 0.6180339887498949  # its multiples, modulo 1, lie evenly however many there are
_AT_START = 0.0005  # seconds that the first checks lie apart: a core carries out about twice as many


def most_jitter(interval: float) -> float:
    """The longest that a check waits beyond its time."""
    return min(0.1 * interval, 0.5)


class Schedule:
    """`phase`: a moment, from which all others follow. `chance`: gives numbers from 0 to 1."""

    __slots__ = ("_chance", "_fast", "_interval", "_jitter", "_number", "_phase")

    def __init__(self, phase: float, interval: float, fast_interval: float | None, chance: Callable[[], float]) -> None:
        self._phase = phase
        self._interval = interval
        self._fast = fast_interval
        self._jitter = most_jitter(interval)
        self._chance = chance
        self._number = -1  # of the last check whose time had come

    def next(self, started: float, ended: float, fast: bool) -> float:
        """When the check after the one that ran from `started` to `ended` starts. `fast`: its result asks for haste."""
        if fast and self._fast is not None and self._fast < self._interval:
            return max(started + self._fast, ended)
        self._number = max(self._number + 1, floor((started - self._phase) / self._interval) + 1)
        return max(self._phase + self._number * self._interval + self._jitter * self._chance(), ended)


def phase(number: int, now: float, interval: float) -> float:
    """That of watch `number`: any number of them lie evenly in the interval that begins now."""
    return now + interval * (number * _GOLDEN % 1.0)


def first_start(number: int, now: float) -> float:
    """When watch `number` checks first: at once, and no more of them in a moment than can be carried out."""
    return now + number * _AT_START
