"""How far each receiver has come in the log of events: `events/places/NAME.json` in the state folder."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from lbkit import disk
from lbkit.errors import CannotRun
from lbkit.state.intents import state_folder
from lbkit.state.log import Place

log = logging.getLogger("lbkit.events")


class Places:
    """Those of this node. `folder`: of its state. Methods raise CannotRun where they are out of reach."""

    def __init__(self, folder: Path | None = None) -> None:
        self._above = state_folder(folder)
        self.folder = self._above / "events" / "places"

    def of(self, receiver: str) -> Place | None:
        """Behind the last event that it has taken. None: it never took one, or what is kept is no place."""
        content = disk.read(self._file(receiver))
        if content is None:
            return None
        match _parsed(content):
            case {"segment": int(segment), "offset": int(offset)} if segment >= 1 and offset >= 0:
                return Place(segment, offset)
        log.warning("%s holds no place in the log: %s begins at its end", self._file(receiver), receiver)
        return None

    def keep(self, receiver: str, place: Place) -> None:
        """In the place of the one before, in one step. One writer for each receiver."""
        try:
            group = self._make_folder()
            content = json.dumps({"segment": place.segment, "offset": place.offset}).encode() + b"\n"
            disk.write(self._file(receiver), content, 0o640, (-1, group))
        except OSError as e:
            raise self._out_of_reach(e) from None

    def forget_all_but(self, receivers: Collection[str]) -> None:
        """A receiver that was away begins at the end of the log when it is back, not where it was last month."""
        try:
            for name in os.listdir(self.folder):
                if name.endswith(".json") and name.removesuffix(".json") not in receivers:
                    (self.folder / name).unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as e:
            raise self._out_of_reach(e) from None

    def _file(self, receiver: str) -> Path:
        return self.folder / f"{receiver}.json"

    def _make_folder(self) -> int:
        """The group of the state folder, where this process may give files to it."""
        self._above.mkdir(parents=True, exist_ok=True)
        group = self._above.stat().st_gid
        group = group if os.geteuid() == 0 or group in os.getgroups() else -1
        for folder in (self.folder.parent, self.folder):
            with suppress(FileExistsError):
                folder.mkdir()
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    os.fchown(fd, -1, group)
                    os.fchmod(fd, 0o770)
                finally:
                    os.close(fd)
        return group

    def _out_of_reach(self, error: OSError) -> CannotRun:
        return CannotRun(
            f"what receivers have taken can't be kept in {self.folder}: {error.strerror}. "
            + disk.way_out(error, "Run this as root, or give a folder of your own (LBKIT_STATE).")
        )


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
