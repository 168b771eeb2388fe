"""The state folder, and folders in it: of its group, as far as this process may give them to it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lbkit import disk
from lbkit.errors import CannotRun

FOLDER = Path("/var/lib/lbkit")


def state_folder(folder: Path | None = None) -> Path:
    """Where this node's state is kept: `folder`, or $LBKIT_STATE, or /var/lib/lbkit."""
    return folder or Path(os.environ.get("LBKIT_STATE") or FOLDER)


def made(state: Path, *below: Path) -> int:
    """The group of the state folder, -1 where this process may not give files to it. Folders that are missing are made.

    Raises OSError.
    """
    with suppress(FileExistsError):
        state.mkdir(parents=True)
        state.chmod(state.stat().st_mode & 0o2000 | 0o770)
    group = state.stat().st_gid
    if os.geteuid() != 0 and group not in os.getgroups():
        group = -1
    for folder in below:
        with suppress(FileExistsError):
            folder.mkdir()
            _give(folder, group)
    return group


def _give(folder: Path, group: int) -> None:
    """Not through a symbolic link: who may write in the folder above, as the agent, would be given another one."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fchown(fd, -1, group)
        os.fchmod(fd, 0o770)
    finally:
        os.close(fd)


def out_of_reach(what: str, folder: Path, error: OSError) -> CannotRun:
    """For `what`, in words, which can't be kept there."""
    todo = disk.way_out(error, "Run this as root, or give a folder of your own (LBKIT_STATE).")
    return CannotRun(f"{what} can't be kept in {folder}: {error.strerror}. {todo}")
