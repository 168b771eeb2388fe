"""The document behind `lbkit explain`: what a remote negotiates, for a human, and what to change on which side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from lbkit.checks.kind import Params
from lbkit.checks.target import Target

P = TypeVar("P", bound=Params)


@dataclass(slots=True)
class Section:
    """Facts under one heading, in the order in which they are to be read."""

    title: str
    rows: list[tuple[str, str]]


@dataclass(slots=True)
class Explanation:
    """What was found out about one target. `advice`: sentences, each with what to change and on which side."""

    title: str
    sections: list[Section] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The object that `lbkit explain --json` prints."""
        found = asdict(self)
        found["sections"] = [{"title": s.title, "rows": [list(row) for row in s.rows]} for s in self.sections]
        return found


@dataclass(frozen=True, slots=True)
class Explainer(Generic[P]):
    """How a kind of check explains: its own parameters, and the function. What `CheckKind.explain` names."""

    params: type[P]
    explain: Callable[[Target, P], Explanation]
