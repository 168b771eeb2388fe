"""What others have changed in an engine, and lbkit has put right: told once, not each time. No clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from lbkit.agent.worded import event, listed
from lbkit.state.events import Event

_QUIET = 60.0  # seconds without another that end an episode


class Drift:
    """Of one engine, by the name of it. For any thread."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._last: float | None = None
        self._again = False
        self._lock = Lock()

    def mended(self, done: Sequence[str], now: float) -> list[Event]:
        """These were put right. The first time in an episode is told as found and repaired; the second as found again and
        again, and as repaired when nothing more has come for a minute.
        """
        with self._lock:
            begins, self._last = self._last is None, now
            if begins:
                return [
                    self._found("was not as lbkit had left it.", done),
                    self._repaired(listed(done)),
                ]
            if self._again:
                return []
            self._again = True
            return [self._found("is changed again and again. What else writes there?", done)]

    def quiet(self, now: float) -> list[Event]:
        """All was right."""
        with self._lock:
            if self._last is None or now - self._last < _QUIET:
                return []
            again, self._last, self._again = self._again, None, False
            return [self._repaired("nobody else has changed it for a minute")] if again else []

    def _found(self, what: str, done: Sequence[str]) -> Event:
        text = f"{self._engine} {what} Put right: {listed(done)}."
        return event("drift-found", text, details={"engine": self._engine, "changes": len(done)})

    def _repaired(self, how: str) -> Event:
        return event(
            "drift-repaired", f"{self._engine} is as it should be again: {how}.", details={"engine": self._engine}
        )
