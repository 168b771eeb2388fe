"""How late the event loop is: whoever waits for it waits that much longer."""

from __future__ import annotations

import asyncio
import gc
from collections import deque

_EVERY = 0.1  # seconds
_KEPT = 600  # of the last minute


def leave_alone() -> None:
    """Have the garbage collector not look through what is there now: for 10,000 real servers that takes it 0.1 s."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Lag:
    """Measures from `start` to `stop`."""

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=_KEPT)
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin."""
        self._timer = self._loop.call_at(self._loop.time() + _EVERY, self._wake, self._loop.time() + _EVERY)

    def stop(self) -> None:
        """End."""
        self._timer.cancel()

    def _wake(self, due: float) -> None:
        now = self._loop.time()
        late = max(0.0, now - due)
        # whoever came while it hung has waited too: as long as was left
        self._late.extend(late - missed * _EVERY for missed in range(min(int(late / _EVERY) + 1, _KEPT)))
        self._timer = self._loop.call_at(now + _EVERY, self._wake, now + _EVERY)

    @property
    def high(self) -> float:
        """Seconds, at the 99th percentile of the last minute."""
        late = sorted(self._late)
        return late[int(len(late) * 0.99)] if late else 0.0
