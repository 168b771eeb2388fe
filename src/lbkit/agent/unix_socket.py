"""A unix socket that this process and one group may connect to."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from pathlib import Path

from lbkit.errors import Misuse


def group_number(group: str | None) -> int:
    """For `bound`: -1, the group of whoever runs this, where none is named. Raises Misuse for one that is not there."""
    if group is None:
        return -1
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise Misuse(f"[agent] group: this machine has no group {group}. Make it, or name another.") from None


def bound(path: Path, group: int) -> socket.socket:
    """Mode 0660, in the place of a socket that a process left there. Raises OSError, also where something else is there, and
    where somebody listens.
    """
    if _is_served(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    remove(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), 0o600)  # what it will be bound with: never wider than in the end
        made.bind(str(path))
        os.chown(path, -1, group)
        path.chmod(0o660)
    except OSError:
        made.close()
        raise
    return made


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(str(path))
        except BlockingIOError:  # as many wait as may
            return True
        except OSError:
            return False
    return True


def remove(path: Path) -> None:
    """Take a socket away; what is none stays. Raises OSError."""
    try:
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        pass
