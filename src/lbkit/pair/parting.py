"""The other node is forgotten: neither its key nor its host keys count any more (`lbkit.pair.meeting` made them count)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lbkit import disk
from lbkit.errors import CannotRun


def shut_out(node: str, home: Path) -> bool:
    """Take the line of this node out of authorized_keys; whether there was one. Raises CannotRun."""
    mark = f" lbkit-{node}".encode()
    return _without((home / ".ssh" / "authorized_keys").resolve(), lambda line: line.endswith(mark))


def unknow(node: str, known_hosts: Path) -> bool:
    """Forget its host keys; whether there were any. Raises CannotRun."""
    return _without(known_hosts, lambda line: line.split(b" ")[0] == node.encode())


def _without(path: Path, goes: Callable[[bytes], bool]) -> bool:
    before = disk.read(path)
    if before is None or not any(map(goes, before.splitlines())):
        return False
    try:
        there = path.stat()
        after = b"".join(line + b"\n" for line in before.splitlines() if not goes(line))
        disk.write(path, after, there.st_mode & 0o777, (there.st_uid, there.st_gid))
    except OSError as e:
        raise CannotRun(f"{path} can't be written: {e.strerror}. {disk.way_out(e, 'Run this as root.')}") from None
    return True
