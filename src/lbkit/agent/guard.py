"""Against blaming the servers for the balancer's own trouble. One guard for each VIP; no clock and no I/O.

When all real servers that are in fail together, and the anchor has not answered since the first of these failures, it is the
balancer that is cut off: they are held, so that its table is whole when its network comes back. One that has not been
checked since that failure says nothing against it. The hold ends when the anchor answers, or one of them does. A check that
fails counts from SETTLES seconds after that: a server is out when one that began later fails, and stays in when one passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbkit.state.observed import Health

# An anchor that answers within this many seconds of the first failure was never away: nothing is held a moment longer.
PATIENCE = 1.0
# A kernel that has asked in vain for a neighbour's address asks again a second later (arp(7), retrans_time; RFC 4861, 10).
SETTLES = 1.1  # seconds from the end of the trouble until every server can be reached again


@dataclass(frozen=True, slots=True)
class Seen:
    """A real server as its checks have it. `checked`: when the last check with a result began. `failing_since`: when its
    downs in a row began, None: the last result was up.
    """

    health: Health
    checked: float = 0.0
    failing_since: float | None = None


class Guard:
    """`window`: seconds within which first failures count as together; may be changed.

    `held`: the real servers that are down and are left in. `since`: the first failure of the trouble, None: there is none.
    `unasked`: those whose next check decides.
    """

    def __init__(self, window: float) -> None:
        self.held: frozenset[str] = frozenset()
        self.since: float | None = None
        self.unasked: frozenset[str] = frozenset()
        self.window = window
        self._in: frozenset[str] = frozenset()
        self._over: float | None = None  # from when checks count again, after a trouble that has ended

    @property
    def is_over(self) -> bool:
        """Whether the trouble has ended, and servers wait for a check that began after it."""
        return self._over is not None

    @property
    def asks_since(self) -> float | None:
        """Checks that began before this moment decide nothing; None: all do."""
        return self.since if self._over is None else self._over

    def look(self, now: float, servers: Mapping[str, Seen], answered: float | None) -> None:
        """Take in how all servers are. `answered`: when the anchor did last, None: there is none that ever has."""
        members = {
            label: one
            for label, one in servers.items()
            if one.health == "up" or (one.health == "down" and label in self._in)
        }
        first = self._cut_off_since(members, answered)
        if first is not None:
            self.since, self._over = first, None
        elif self.since is not None and self._over is None:
            if now - self.since < PATIENCE:
                self.since = None
            else:
                self._over = now + SETTLES
        self.held = frozenset(label for label, one in members.items() if one.health == "down" and self._holds(one))
        self.unasked = frozenset(label for label, one in members.items() if self._is_unasked(one))
        if self._over is not None and not self.held and not self.unasked:
            self.since = self._over = None
        self._in = self.held.union(label for label, one in members.items() if one.health == "up")

    def _cut_off_since(self, members: Mapping[str, Seen], answered: float | None) -> float | None:
        """The first failure, where all fail together and the anchor is silent since."""
        failures = [one.failing_since for one in members.values() if one.failing_since is not None]
        first = min(failures, default=None)
        if first is None or answered is None or answered >= first or max(failures) - first > self.window:
            return None
        answers = any(one.failing_since is None and one.checked >= first for one in members.values())
        return None if answers else first

    def _holds(self, one: Seen) -> bool:
        if self.since is None:
            return False
        return self._over is None or one.checked < self._over or one.failing_since is None

    def _is_unasked(self, one: Seen) -> bool:
        if self._over is not None:
            return one.checked < self._over
        return self.since is not None and one.failing_since is None and one.checked < self.since
