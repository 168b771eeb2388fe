"""The check itself, tried with each pair of AE titles that `lbkit explain` was given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from lbkit.checks.result import Result
from lbkit.checks.target import Target
from lbkit_dicom_echo.plugin import lbkit_checks


@dataclass(frozen=True, slots=True)
class Attempt:
    """One check with one pair of AE titles."""

    calling: str
    called: str
    result: Result

    @property
    def associated(self) -> bool:
        """Whether the remote accepted the association, whatever came of it."""
        return self.result.step == "echo" or self.result.reason == "context-rejected"

    def row(self) -> tuple[str, str]:
        """For the document: the pair, and the first sentence of what the check says."""
        said = self.result.message.partition(". ")[0].rstrip(".")
        return f"{self.calling} → {self.called}", said


def try_titles(target: Target, tls: dict[str, Any], pairs: Iterable[tuple[str, str]], deadline: float) -> list[Attempt]:
    """Check with one pair after the other, until `deadline`, or until one shows that no other would do better."""
    (kind,) = lbkit_checks()
    tried: list[Attempt] = []
    for calling, called in pairs:
        left = deadline - monotonic()
        if tried and (left <= 0 or _is_hopeless(tried[-1].result)):
            break
        check = kind.prepare({**tls, "aet": calling, "aec": called, "timeout": max(left, 0.001)})
        tried.append(Attempt(calling, called, check.run(target)))
    return tried


def _is_hopeless(result: Result) -> bool:
    return result.step in ("dns", "connect", "tls") or result.reason in ("not-dicom", "timed-out")


def most_promising(attempts: list[Attempt]) -> Attempt | None:
    """The first that was up, or else the first whose association was accepted."""
    up = [attempt for attempt in attempts if attempt.result.status == "up"]
    return next(iter(up + [attempt for attempt in attempts if attempt.associated]), None)
