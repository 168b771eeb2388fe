"""How far each receiver has come in the log of events: `events/places/NAME.json` in the state folder."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from pathlib import Path

from lbkit import disk
from lbkit.state.folder import made, out_of_reach, state_folder
from lbkit.state.log import Place

log = logging.getLogger("lbkit.events")

_WHAT = "what receivers have taken"


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
            group = made(self._above, self.folder.parent, self.folder)
            content = json.dumps({"segment": place.segment, "offset": place.offset}).encode() + b"\n"
            disk.write(self._file(receiver), content, 0o640, (-1, group))
        except OSError as e:
            raise out_of_reach(_WHAT, self.folder, e) from None

    def forget_all_but(self, receivers: Collection[str]) -> None:
        """A receiver that was away begins at the end of the log when it is back, not where it was last month."""
        try:
            for name in os.listdir(self.folder):
                if name.endswith(".json") and name.removesuffix(".json") not in receivers:
                    (self.folder / name).unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as e:
            raise out_of_reach(_WHAT, self.folder, e) from None

    def _file(self, receiver: str) -> Path:
        return self.folder / f"{receiver}.json"


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
