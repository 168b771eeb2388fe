"""Which generation of the site a node runs with, so that an older one never overwrites a newer one.

Each `lbkit apply` of a site that differs from the one before makes a new generation. A node that takes the site of the other
one takes its generations with it. One site is newer than another where its history knows the other; where neither knows
the other, both nodes were changed, and nobody but an operator can say whose holds.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lbkit import disk
from lbkit.errors import CannotRun, Misuse
from lbkit.state.folder import state_folder
from lbkit.state.who import who_asks

VERSION = 1
_LATEST = 32_503_680_000  # seconds since the epoch: the year 3000
REMEMBERED = 50  # generations; a node that was away for more is asked about with --force

Relation = Literal["same", "newer", "older", "diverged"]


@dataclass(frozen=True, slots=True)
class Applied:
    """The site that was applied last. `digest`: of the site file and all it names, "": none was ever applied.

    `node`, `who`, `when` (seconds since the epoch): where it was applied first, by whom. `history`: generation and digest of
    the sites before and of this one, the oldest first.
    """

    generation: int = 0
    digest: str = ""
    node: str = ""
    who: str = ""
    when: float = 0.0
    history: tuple[tuple[int, str], ...] = ()

    def __str__(self) -> str:
        if not self.digest:
            return "no generation"
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.when))
        return f"generation {self.generation} ({self.digest[:12]}), applied by {self.who} on {self.node} at {moment}"

    @property
    def key(self) -> tuple[int, str]:
        """What it is known by in a history."""
        return self.generation, self.digest

    def compared(self, other: Applied) -> Relation:
        """This one is newer than `other`, or older, or the same; or both were changed since they were the same."""
        if self.key == other.key:
            return "same"
        if not other.digest or (self.digest and other.key in self.history):
            return "newer"
        return "older" if not self.digest or self.key in other.history else "diverged"

    def next(self, digest: str, node: str) -> Applied:
        """The generation after this one."""
        return self._after(self.generation + 1, digest, node, self.history)

    def over(self, other: Applied, node: str) -> Applied:
        """This site once more, as a generation that is newer than both."""
        last = (other.key, self.key)  # at the end, where they are not forgotten
        known = dict.fromkeys(one for one in (*other.history, *self.history) if one not in last)
        known.update(dict.fromkeys(last))
        return self._after(max(self.generation, other.generation) + 1, self.digest, node, tuple(known))

    @staticmethod
    def _after(generation: int, digest: str, node: str, before: tuple[tuple[int, str], ...]) -> Applied:
        history = (*before, (generation, digest))[-REMEMBERED:]
        return Applied(generation, digest, node, who_asks(), round(time.time(), 3), history)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable."""
        return {**asdict(self), "history": [list(one) for one in self.history]}

    @classmethod
    def of(cls, values: object) -> Applied:
        """The one that `as_dict` gave. Raises Misuse for anything else."""
        match values:
            case {
                "generation": int(generation),
                "digest": str(digest),
                "node": str(node),
                "who": str(who),
                "when": int(when) | float(when),
                "history": list(history),
            } if generation >= 0 and 0 <= when <= _LATEST and all(_is_key(one) for one in history):
                return cls(generation, digest, node, who, float(when), tuple((one[0], one[1]) for one in history))
        raise Misuse("this is no generation of a site, as lbkit keeps it.")

    @classmethod
    def read(cls, state: Path | None = None) -> Applied:
        """This node's; one without a digest where nothing was ever applied. Raises Misuse for a broken file, CannotRun."""
        path = _path(state)
        content = disk.read(path)
        if content is None:
            return cls()
        advice = "Move it away: then the next lbkit apply begins anew, and lbkit pair sync asks whose site holds."
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise Misuse(f"{path} is no JSON. {advice}") from None
        found = document.pop("version", None) if isinstance(document, dict) else None
        if type(found) is int and found > VERSION:
            raise Misuse(f"a newer lbkit wrote {path} (version {found}). Use that lbkit.")
        try:
            return cls.of(document if found == VERSION else None)
        except Misuse:
            raise Misuse(f"{path} holds no generation of version {VERSION}. {advice}") from None

    def write(self, state: Path | None = None) -> None:
        """Keep it as this node's, in one step. Raises CannotRun."""
        path = _path(state)
        content = json.dumps({"version": VERSION, **self.as_dict()}, indent=1).encode() + b"\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.write(path, content, 0o644)
        except OSError as e:
            raise CannotRun(f"{path} can't be written: {e.strerror}. {disk.way_out(e, 'Run this as root.')}") from None


def note(digest: str, node: str, state: Path | None = None) -> Applied:
    """The site of this digest was applied on this node: a new generation, unless it is the one from before."""
    before = Applied.read(state)
    if before.digest == digest:
        return before
    made = before.next(digest, node)
    made.write(state)
    return made


def _path(state: Path | None) -> Path:
    return state_folder(state) / "applied.json"


def _is_key(value: object) -> bool:
    match value:
        case [int(), str()]:
            return True
    return False
