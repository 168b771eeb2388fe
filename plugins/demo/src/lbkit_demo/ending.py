"""The end of a demo by Ctrl-C, SIGTERM or SIGHUP: once, and never in the middle of starting what it would have to stop."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOKS = 0.2  # seconds


class Ending:
    """From here on the first of these signals raises KeyboardInterrupt, and those after it do nothing."""

    def __init__(self) -> None:
        self._is_held = False
        self._came = False
        for number in SIGNALS:
            signal.signal(number, self._end)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal that comes within the block waits for its end, and is what counts, whatever else went wrong in it.

        Ctrl-C reaches a HAProxy that is being started as well.
        """
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            if self._came:
                raise KeyboardInterrupt

    def wait(self) -> NoReturn:
        """Until one of them comes; an exception that Python threw away, as it does in destructors, counts too."""
        while not self._came:
            time.sleep(_LOOKS)
        raise KeyboardInterrupt

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._came:
            return
        self._came = True
        if not self._is_held:
            raise KeyboardInterrupt
