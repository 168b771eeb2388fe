"""Files that are written whole or not at all, reads with a limit, and locks that are not waited for without end."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lbkit.errors import CannotRun, Misuse

LIMIT = 64 << 20  # bytes; nothing that lbkit installs or keeps comes near it
_EVERY = 0.02  # seconds between two tries for a lock


def read(path: Path) -> bytes | None:
    """All bytes of a file, None where there is none. Raises CannotRun where it can't be read, Misuse beyond 64 MiB."""
    try:
        with open(path, "rb") as file:
            content = file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise CannotRun(f"{path} can't be read: {e.strerror}. Check the path and who may read it.") from None
    if len(content) > LIMIT:
        raise Misuse(f"{path} has more than {LIMIT >> 20} MiB: it is something else. Check the path.")
    return content


def write(path: Path, content: bytes, mode: int, owner: tuple[int, int] = (-1, -1)) -> None:
    """Put `content` at `path` in one step: a reader, and a crash, find the old or the new. Raises OSError."""
    os.replace(write_beside(path, content, mode, owner), path)
    sync(path.parent)


def write_beside(path: Path, content: bytes, mode: int, owner: tuple[int, int] = (-1, -1)) -> Path:
    """Write what is to be at `path` into a hidden file in the same folder, down to the disk, and return that file.

    `owner` is user and group by number, -1: as the process. The caller holds a lock: the hidden file has one name, so
    that a crash leaves one at most. Raises OSError.
    """
    hidden = beside(path)
    hidden.unlink(missing_ok=True)
    fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(fd, *owner)
            os.fchmod(fd, mode)  # after the owner: a change of owner takes bits away
            os.fsync(fd)
    except BaseException:
        with suppress(OSError):
            hidden.unlink()
        raise
    return hidden


def way_out(error: OSError, otherwise: str) -> str:
    """What to do where a file can't be written: `otherwise`, unless the disk is full or read-only."""
    if error.errno == errno.EROFS:
        return "Mount that disk for writing; if it was until now, dmesg says what is wrong with it."
    return "Make room there (df -h)." if error.errno in (errno.ENOSPC, errno.EDQUOT) else otherwise


def beside(path: Path) -> Path:
    """The hidden file that `write_beside` writes for `path`."""
    return path.with_name(f".{path.name}.lbkit-new")


def sync(folder: Path) -> None:
    """Have the names in a folder outlive a power cut. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def locked(path: Path, timeout: float, mode: int = 0o600, group: int = -1) -> Iterator[None]:
    """Hold the lock file at `path`; it is made with `mode` and `group` where it is missing, and stays.

    Raises CannotRun where another process (or thread) holds it for longer than `timeout` seconds, or it can't be opened.
    Whoever may open it may hold it up, hence the mode. A symbolic link is not followed: who may write in the folder, as the
    agent may in that of the state, would have root give another file away.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as e:
        raise CannotRun(f"{path} can't be opened: {e.strerror}. Check the folder and who may write it.") from None
    try:
        found = os.fstat(fd)
        given = stat.S_IMODE(found.st_mode) == mode and group in (-1, found.st_gid)
        if found.st_uid == os.geteuid() and not given:  # what is right is left alone: the disk may be read-only by now
            os.fchown(fd, -1, group)
            os.fchmod(fd, mode)
        _wait_for(fd, path, timeout)
        yield
    finally:
        os.close(fd)


def _wait_for(fd: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise CannotRun(
                    f"another lbkit has held {path} for {timeout:g} s. Try again when it has ended; "
                    f"`fuser {path}` names it."
                ) from None
        time.sleep(_EVERY)
