"""Rise and fall: what many results of one check add up to. No clock and no I/O: the time is passed in.

The first result decides. A balancer that starts, or whose checks have been away, knows nothing else, and to wait for `rise`
results would keep every server out meanwhile, as ldirectord does until each has passed its first check. After that
`rise` ups in a row bring a server up, and `fall` downs in a row take it down.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from lbkit.errors import Misuse

State: TypeAlias = Literal["unknown", "up", "down"]


class Health:
    """The health of one target: its `state`, and `since` when it has it; None before the first result.

    `rise`, `fall`: results in a row, at least 1. `stale_after`: seconds without a result after which the state is unknown;
    None: a result counts for ever. Times are seconds of one monotonic clock; one before that of the last result counts as
    the same. Raises Misuse.
    """

    __slots__ = ("_against", "_fall", "_last", "_rise", "_stale_after", "since", "state")

    def __init__(self, rise: int = 2, fall: int = 3, stale_after: float | None = None) -> None:
        for name, value in (("rise", rise), ("fall", fall)):
            if value < 1:
                raise Misuse(f"{name} is {value}. It is a number of results in a row: give 1 or more.")
        if stale_after is not None and not stale_after > 0:
            raise Misuse(
                f"stale_after is {stale_after}. Give seconds, more than 0, or None for results that stay valid."
            )
        self.state: State = "unknown"
        self.since: float | None = None
        self._rise = rise
        self._fall = fall
        self._stale_after = stale_after
        self._against = 0  # results in a row that say the opposite of the state
        self._last: float | None = None  # when the last result came

    def add(self, up: bool, now: float) -> bool:
        """Take a result in; returns whether the state is now another than before."""
        before = self.state
        self.expire(now)
        self._last = now if self._last is None else max(now, self._last)
        said: State = "up" if up else "down"
        self._against = 0 if said == self.state else self._against + 1
        if self._against >= self._needed():
            self._become(said, self._last)
        return self.state != before

    def expire(self, now: float) -> bool:
        """Make it unknown if its last result is too old by now; returns whether the state is now another than before.

        `since` is then when that result grew too old, so how often this is called does not matter.
        """
        if self.state == "unknown" or self._stale_after is None or self._last is None:
            return False
        if now - self._last < self._stale_after:
            return False
        self._become("unknown", self._last + self._stale_after)
        return True

    def _needed(self) -> int:
        return {"unknown": 1, "down": self._rise, "up": self._fall}[self.state]

    def _become(self, state: State, when: float) -> None:
        self.state = state
        self.since = when
        self._against = 0
