"""What keepalived tells of each change, by its notify FIFO: `INSTANCE "lbkit_51" MASTER 248` (keepalived.conf(5)).

keepalived keeps the FIFO open, so what it tells while nobody reads waits there. Where there is none it makes one, for root
alone; one that is there already it takes as it is, and leaves.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lbkit import disk
from lbkit.errors import CannotRun
from lbkit.state.pair import Role

_LINE = re.compile(r'INSTANCE "([^"]{1,255})" ([A-Z_]{1,32}) (\d{1,3})')
_ROLES: Mapping[str, Role] = {"MASTER": "master", "BACKUP": "backup", "FAULT": "fault", "STOP": "unknown"}
_LONGEST = 512  # bytes of a line
_READS = 16  # at once


class Told(NamedTuple):
    """`what`: MASTER, BACKUP, FAULT, STOP; MASTER_PRIORITY and the like: only the priority is another;
    MASTER_RX_LOWER_PRI: a node with a lower one sends adverts too. `priority`: the one that is in force.
    """

    instance: str
    what: str
    priority: int

    @property
    def role(self) -> Role | None:
        """The new role, None: it stays."""
        return _ROLES.get(self.what)


def told(line: str) -> Told | None:
    """What a line says, None: nothing of an instance."""
    found = _LINE.fullmatch(line.strip())
    return None if found is None else Told(found[1], found[2], int(found[3]))


class Fifo:
    """`fd`: to wait for, None: it is not open."""

    def __init__(self, path: Path) -> None:
        self.fd: int | None = None
        self._path = path
        self._rest = b""

    def open(self) -> bool:
        """Open it, and make it where there is none; nothing where it is open and still at its place. Whether it was opened.

        Raises CannotRun.
        """
        if self.fd is not None and os.fstat(self.fd).st_nlink:
            return False
        self.close()
        try:
            if not self._path.exists():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                os.mkfifo(self._path, 0o600)
            # for writing too: else its end is read again and again while keepalived does not run
            fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as e:
            raise CannotRun(
                f"{self._path} can't be read: {e.strerror}. keepalived tells there of each change of role: "
                + disk.way_out(e, "remove it, and restart this and keepalived.")
            ) from None
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            raise CannotRun(f"{self._path} is no FIFO. Remove it, and restart keepalived.")
        self.fd = fd
        return True

    def close(self) -> None:
        """Let go of it."""
        if self.fd is not None:
            os.close(self.fd)
        self.fd, self._rest = None, b""

    def read(self) -> list[Told]:
        """What has been told since. A line that is not whole yet waits for its rest."""
        assert self.fd is not None  # noqa: S101
        for _ in range(_READS):
            try:
                part = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                break
            self._rest += part
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest if len(rest) <= _LONGEST else b""
        found = (told(line.decode("ascii", "replace")) for line in lines)
        return [one for one in found if one is not None]
