"""One file's step from what is there to what is wanted, and the way back, which needs no space on the disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lbkit import disk


class Replacement:
    """Of the file at `place` (no symbolic link) by `content`, or its removal where that is None.

    The old file itself, with its owner, times and attributes, stays beside as a second link until `clear`; putting it back
    is a rename. `keep_as` names a link to it that stays, unless something has that name already. All methods raise OSError.
    """

    def __init__(self, place: Path, content: bytes | None, mode: int = 0o644, keep_as: Path | None = None) -> None:
        self.place = place
        self._content = content
        self._mode = mode
        self._keep_as = keep_as
        self._old = _old_of(place)
        self._new: Path | None = None
        self._was_there = False
        self._kept = False
        self._begun = False

    def prepare(self) -> None:
        """Write the new content beside the place, and link the old file there. Nothing is in force yet.

        What is to be kept is so from here on: once a manifest calls the file lbkit's, nobody would keep it any more.
        """
        self._old.unlink(missing_ok=True)
        owner = (-1, -1)
        with suppress(FileNotFoundError):
            os.link(self.place, self._old)
            self._was_there = True
            there = self._old.stat()
            owner = (there.st_uid, there.st_gid)
        if self._keep_as and self._was_there and not os.path.lexists(self._keep_as):
            self._kept = True
            os.link(self._old, self._keep_as)
        if self._content is not None:
            self._new = disk.write_beside(self.place, self._content, self._mode, owner)

    def carry_out(self) -> None:
        """Put the new content in force."""
        self._begun = True
        if self._new:
            os.replace(self._new, self.place)
        else:
            self.place.unlink(missing_ok=True)
        disk.sync(self.place.parent)

    def undo(self) -> None:
        """Put back what was there, nothing where nothing was. May be called at any time."""
        if self._kept and self._keep_as:
            self._keep_as.unlink(missing_ok=True)
        if not self._begun:
            return
        if self._was_there:
            os.replace(self._old, self.place)
        else:
            self.place.unlink(missing_ok=True)
        disk.sync(self.place.parent)


def clear(place: Path) -> None:
    """Take away what a replacement leaves beside the place. Raises OSError."""
    _old_of(place).unlink(missing_ok=True)
    disk.beside(place).unlink(missing_ok=True)


def _old_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.lbkit-old")
