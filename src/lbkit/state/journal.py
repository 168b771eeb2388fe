"""The process's own log in systemd's journal, each record with the fields of the event that it tells of.

The journal's native protocol: one datagram a record, FIELD=value a line; a value with a line break as FIELD, its length in
eight bytes, and the value (systemd.io/JOURNAL_NATIVE_PROTOCOL, sd_journal_send(3)).
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lbkit.state.events import Event

SOCKET = "/run/systemd/journal/socket"
EVENT = "lbkit_event"  # what a record calls its event: log.info(text, extra={EVENT: event})
LONGEST = 16 << 10  # characters of a message; of four bytes each, and with an event's fields, it fits into one datagram

_PRIORITIES = {"info": 6, "warning": 4, "alarm": 2}  # of an event, by its level (syslog(3))
_FIELDS = ("kind", "vip", "server", "address", "node", "step", "reason", "who", "why", "origin")


class Journal(logging.Handler):
    """Gives records to the journal that listens at `path`, and raises nothing.

    `waits`: seconds for which a journal that is busy holds its caller up, once until it takes records again. What it has not
    taken by then is lost; how many were is said with the next record that it takes.
    """

    def __init__(self, path: str = SOCKET, waits: float = 0.0) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())  # the message alone: basicConfig would give it one with level and name
        self._path = path
        self._waits = waits
        self._lost = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one."""
        try:
            if self._lost:
                self._send(_encoded({"MESSAGE": f"the journal has not taken {self._lost} messages", **_fixed(4)}))
                self._lost = 0
            message = self.format(record)
            if len(message) > LONGEST:
                message = f"{message[:LONGEST]} … (cut)"
            event: Event | None = getattr(record, EVENT, None)
            priority = _PRIORITIES[event.level] if event else priority_of(record.levelno)
            self._send(_encoded({"MESSAGE": message, **_fixed(priority), **(_of_event(event) if event else {})}))
        except OSError:
            self._lost += 1
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Done with it."""
        self._socket.close()
        super().close()

    def _send(self, datagram: bytes) -> None:
        self._socket.settimeout(0.0 if self._lost else self._waits)
        self._socket.sendto(datagram, self._path)


def is_there(path: str = SOCKET) -> bool:
    """Whether a journal listens on this machine."""
    return Path(path).is_socket()


def has_stderr() -> bool:
    """Whether what this process writes on stderr goes to the journal (JOURNAL_STREAM, systemd.exec(5))."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def priority_of(level: int) -> int:
    """That of syslog(3) for a level of `logging`."""
    return {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}.get(level, 2)


def _fixed(priority: int) -> dict[str, str]:
    return {"PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "lbkit"}


def _of_event(event: Event) -> dict[str, str]:
    given = {f"LBKIT_{name.upper()}": str(getattr(event, name)) for name in _FIELDS}
    return {name: value for name, value in given.items() if value} | {"LBKIT_EVENT": event.ident}


def _encoded(fields: dict[str, str]) -> bytes:
    lines = []
    for name, text in fields.items():
        value = text.encode(errors="backslashreplace")
        if b"\n" in value:
            lines.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(value)), value))
        else:
            lines.append(b"%s=%s\n" % (name.encode(), value))
    return b"".join(lines)
