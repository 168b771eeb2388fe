"""A deed in a process of its own, that starts at once with all that this one has loaded."""

from __future__ import annotations

import os
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

ENDS_WITHIN = 60.0  # seconds


class Child:
    """`pid`; it ends with 0 if the deed was done, 1 if it raised."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (`close` closes it)
        self._status: int | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: this process has threads
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                deed()
                status = 0
            except BaseException:
                self._log.write(traceback.format_exc().encode())
                self._log.flush()
            finally:
                os._exit(status)

    def ended(self) -> int:
        """How it ended: as `Popen.returncode`."""
        deadline = time.monotonic() + ENDS_WITHIN
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                pytest.fail(f"a forked process has not ended: {self.said()}")
            else:
                time.sleep(0.01)
        return self._status

    def said(self) -> str:
        """What it raised."""
        self._log.seek(0)
        return self._log.read().decode()

    def close(self) -> None:
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self._log.close()


@contextmanager
def forked(deed: Callable[[], object]) -> Iterator[Child]:
    """While the block runs, at most; then what still runs is killed."""
    child = Child(deed)
    try:
        yield child
    finally:
        child.close()
