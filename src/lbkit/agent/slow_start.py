"""What share of its weight a real server gets that has come up again. No clock: times are passed in."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

_STEPS = 10

K = TypeVar("K", bound=Hashable)


class SlowStart(Generic[K]):
    """Who is starting: each gets a tenth of its weight at first, and a tenth more after each tenth of its time."""

    def __init__(self) -> None:
        self._begun: dict[K, tuple[float, float]] = {}

    def begin(self, key: K, now: float, duration: float) -> None:
        """It is up again."""
        self._begun[key] = now, duration

    def end(self, key: K) -> None:
        """It is down, or gone."""
        self._begun.pop(key, None)

    def shares(self, now: float) -> dict[K, float]:
        """Of those that have not their whole weight yet: more than 0, less than 1."""
        steps = {key: int((now - begun) / duration * _STEPS) + 1 for key, (begun, duration) in self._begun.items()}
        for key in [key for key, step in steps.items() if step >= _STEPS]:
            del self._begun[key], steps[key]
        return {key: step / _STEPS for key, step in steps.items()}

    def next_step(self, now: float) -> float | None:
        """When a share changes next; None: nobody is starting."""
        return min((_next(now, *begun) for begun in self._begun.values()), default=None)


def _next(now: float, begun: float, duration: float) -> float:
    """A thousandth of a step late, so that the division of `shares` has reached the next number by then."""
    step = duration / _STEPS
    return begun + (int((now - begun) / step) + 1.001) * step
