"""Why an operator works on this node: beside the file that tells keepalived so."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lbkit import disk
from lbkit.errors import CannotRun
from lbkit.state.folder import state_folder

_TEXT = 1000  # characters


@dataclass(frozen=True, slots=True)
class Maintenance:
    """`when`: seconds since the epoch."""

    who: str
    when: float
    why: str = ""

    def __str__(self) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.when))
        return f"by {self.who} at {moment}{f': {self.why}' if self.why else ''}"


def note(on: bool, who: str, why: str, state: Path | None = None) -> None:
    """Keep it, or forget it. Raises CannotRun."""
    path = _path(state)
    try:
        if not on:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(asdict(Maintenance(who[:_TEXT], round(time.time(), 3), why[:_TEXT]))).encode()
        disk.write(path, content + b"\n", 0o644)
    except OSError as e:
        raise CannotRun(f"{path} can't be written: {e.strerror}. {disk.way_out(e, 'Run this as root.')}") from None


def read(state: Path | None = None) -> Maintenance | None:
    """None: nobody said anything. Raises CannotRun."""
    content = disk.read(_path(state))
    try:
        values = json.loads(content or b"null")
        return Maintenance(str(values["who"]), float(values["when"]), str(values["why"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _path(state: Path | None) -> Path:
    return state_folder(state) / "maintenance.json"
