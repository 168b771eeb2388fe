"""One finding about a site file: what is wrong or dangerous, where it stands, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from lbkit.errors import Misuse

Key: TypeAlias = tuple[str | int, ...]
Severity = Literal["error", "warning"]


class Problem(NamedTuple):
    """A finding that does not know yet where its key stands. `rule`: a stable code. `message`: one or two sentences."""

    severity: Severity
    rule: str
    key: Key
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`line`: 1-based; 0 where the finding is about the file as a whole."""

    severity: Severity
    rule: str
    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        return f"{where}: {self.severity}:{key} {self.message} ({self.rule})"

    def as_dict(self) -> dict[str, Any]:
        """The object that `lbkit lint --json` prints; the keys are stable."""
        return {
            "severity": self.severity,
            "rule": self.rule,
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "message": self.message,
        }


class SiteInvalid(Misuse):
    """A site file with errors in it; `findings` has each with its place."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, findings)))


def placed(problem: Problem, file: str, places: Mapping[Key, int]) -> Finding:
    """The finding at the line of its key, or of the nearest table around it."""
    key = problem.key
    while key and key not in places:
        key = key[:-1]
    line, message = places.get(key, 0), _printable(problem.message)
    return Finding(problem.severity, problem.rule, file, line, _printable(written(problem.key)), message)


def written(key: Key) -> str:
    """`("vips", 4, "check")` as `vips[4].check`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _printable(text: str) -> str:
    """Text on one line, and safe on a terminal, whatever it quotes of a file."""
    return "".join([one if one.isprintable() else ascii(one)[1:-1] for one in text])
