"""How often the checks of each real server have failed, by reason."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TypeAlias

Place: TypeAlias = tuple[str, str]  # the labels of a VIP and of its real server

MOST = 8  # reasons of a place with a count of their own
OTHER = "other"


class Failures:
    """Counts from its making on. A place's first MOST reasons are counted each, all that come later as OTHER.

    Not those that are most frequent: a count that came and went would look to Prometheus as if it had begun anew.
    """

    def __init__(self) -> None:
        self._counts: dict[Place, dict[str, int]] = {}

    def add(self, place: Place, reason: str) -> None:
        """One more."""
        counts = self._counts.setdefault(place, {})
        if reason not in counts and len(counts) >= MOST:
            reason = OTHER
        counts[reason] = counts.get(reason, 0) + 1

    def keep(self, places: Container[Place]) -> None:
        """Forget all others."""
        self._counts = {place: counts for place, counts in self._counts.items() if place in places}

    def all(self) -> Mapping[Place, Mapping[str, int]]:
        """By place, then by reason; as of now, whatever is added later."""
        return {place: dict(counts) for place, counts in self._counts.items()}
