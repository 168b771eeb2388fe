"""One thing that is not as it should be with the pair."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["note", "wrong", "outage"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`level`: outage: clients can't be served as they should be now; wrong: the pair is not what it should be; note: it is
    well to know. `node`: whose; "": of both. `what`: a sentence. `todo`: what to do, or to type.
    """

    level: Level
    node: str
    what: str
    todo: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return asdict(self)
