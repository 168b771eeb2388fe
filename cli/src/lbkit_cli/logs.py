"""Where the command line logs to: the journal, with the fields of each event; without one, stderr."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

from lbkit.state import journal

_DEV_LOG = "/dev/log"
_WAITS = 1.0  # seconds; a verb ends, and could not say later what the journal has not taken


def log_of_service() -> None:
    """For a process that systemd runs, or somebody at a terminal: all of it, from INFO on."""
    if journal.has_stderr() and journal.is_there():
        handler: logging.Handler = journal.Journal()
    else:
        handler = logging.StreamHandler(sys.stderr)
        plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
        handler.setFormatter(_Prioritised("%(message)s") if os.environ.get("JOURNAL_STREAM") else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def log_without_stderr() -> None:
    """For a process whose stderr nobody on this machine reads."""
    from logging.handlers import SysLogHandler

    log = logging.getLogger("lbkit")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(logging.NullHandler())
    if journal.is_there():
        log.addHandler(journal.Journal(waits=_WAITS))
        return
    with suppress(OSError):  # as in a container: nobody keeps a log there
        handler = SysLogHandler(_DEV_LOG, SysLogHandler.LOG_DAEMON)
        handler.setFormatter(logging.Formatter("lbkit: %(message)s"))
        log.addHandler(handler)


def log_events() -> None:
    """For a verb: the events that it records go to the journal, where there is one, and to no terminal."""
    if not journal.is_there():
        return
    log = logging.getLogger("lbkit.events")
    log.setLevel(logging.INFO)
    log.addHandler(journal.Journal(waits=_WAITS))
    if logging.lastResort:  # which a handler of our own replaces: warnings are for the operator too
        log.addHandler(logging.lastResort)


class _Prioritised(logging.Formatter):
    """A line as the journal takes it from stderr: it has its own clock, and reads the priority from `<N>` (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in it."""
        priority = journal.priority_of(record.levelno)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())
