"""What a verb did to a table on this node and could not do on the other one, kept until that one is back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lbkit import disk
from lbkit.errors import CannotRun
from lbkit.state.folder import state_folder

_VERSION = 1
_MOST = 100  # the oldest go first
_LOCKED_FOR = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class TableWork:
    """A clear, or a pin to `server`, of a VIP's table. `key`, `server`: as they were asked for; of a clear None: all.

    `who`, `when` (seconds since the epoch): of the operator. `held`: this node had the VIP then, so that it is done where it
    counts, and the other one has only to follow.
    """

    vip: str
    verb: Literal["clear", "pin"]
    key: str | None
    server: str | None
    who: str
    when: float
    held: bool

    @property
    def what(self) -> tuple[str, str, str | None, str | None]:
        """Work of which the newest counts alone."""
        return self.vip, self.verb, self.key, self.server if self.verb == "clear" else None


class Unfinished:
    """`tables.json` in the folder of intents. Raises CannotRun where it can't be written; a broken one is an empty one."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = state_folder(folder) / "tables.json"

    def all(self) -> tuple[TableWork, ...]:
        """The oldest first."""
        content = disk.read(self.path)
        try:
            document = json.loads(content or b"{}")
            return tuple(TableWork(**values) for values in document.get("work", ()))
        except (ValueError, TypeError, AttributeError):
            return ()

    def add(self, work: TableWork) -> None:
        """In the place of the same asked before; at most a hundred are kept."""
        self._change(lambda kept: [*(one for one in kept if one.what != work.what), work])

    def drop(self, done: Collection[TableWork]) -> None:
        """They are done."""
        self._change(lambda kept: [one for one in kept if one not in done])

    def _change(self, change: Callable[[tuple[TableWork, ...]], list[TableWork]]) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            group = folder.stat().st_gid
            group = group if os.geteuid() == 0 or group in os.getgroups() else -1
            with disk.locked(self.path.with_name("tables.lock"), _LOCKED_FOR, 0o660, group):
                work = [asdict(one) for one in change(self.all())[-_MOST:]]
                document = {"version": _VERSION, "work": work}
                disk.write(self.path, json.dumps(document, indent=1).encode() + b"\n", 0o660, (-1, group))
        except OSError as e:
            raise CannotRun(
                f"{self.path} can't be written: {e.strerror}. "
                + disk.way_out(e, "Run this as root, or as a member of the folder's group.")
            ) from None
