"""What gets every event: mail, traps, plugins. The agent gives each its own thread, and keeps its place in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lbkit.state.events import Event


class Receiver(Protocol):
    """One. `name`: a label, under which its place is kept. `at_once`: events that it is given in one go, at most.

    One that takes events and sends them on later may have a `trouble: str` besides: what keeps it from that, "": nothing.
    """

    name: str
    at_once: int

    def take(self, events: Sequence[Event], active: bool) -> float | None:
        """Take these, the ones after those it took before, in order; none at the start, and when its time has come.

        Returns the seconds after which it wants to be called even without news, None: only with news. What it still means to
        do it has written down itself by then. Whatever it raises, nothing of these counts as taken: the same come again,
        later and later. `active`: this node is the one that tells others; the other one of a pair only follows. To one that
        is given an event at a time: or it was when that happened.
        """
