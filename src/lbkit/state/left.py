"""That a node has left the pair: the other one goes on alone, until a site is synced again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.errors import CannotRun
from lbkit.state.folder import state_folder


@dataclass(frozen=True, slots=True)
class Left:
    """Which node, who had it leave, when (seconds since the epoch)."""

    node: str
    who: str
    when: float

    def __str__(self) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.when))
        return f"{self.node} left the pair at {moment} ({self.who})"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable."""
        return asdict(self)


def read(state: Path | None = None) -> Left | None:
    """None: both nodes are in the pair; or what is noted can't be read, and says nothing then."""
    content = disk.read(_path(state))
    try:
        found = json.loads(content or b"null")
    except (ValueError, RecursionError):
        return None
    match found:
        case {"node": str(node), "who": str(who), "when": int(when) | float(when)}:
            return Left(node, who, float(when))
    return None


def write(found: Left, state: Path | None = None) -> None:
    """Note it. Raises CannotRun."""
    path = _path(state)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write(path, json.dumps(found.as_dict()).encode() + b"\n", 0o644)
    except OSError as e:
        raise CannotRun(f"{path} can't be written: {e.strerror}. {disk.way_out(e, 'Run this as root.')}") from None


def forget(state: Path | None = None) -> None:
    """The node is in the pair again."""
    _path(state).unlink(missing_ok=True)


def _path(state: Path | None) -> Path:
    return state_folder(state) / "left.json"
