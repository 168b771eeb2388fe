"""What one run of a check found, and the forms in which it is shown to machines and on one line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from lbkit.checks.conversation import printable

Status = Literal["up", "down", "not-testable"]


@dataclass(slots=True)
class Result:
    """One run of one check against one target.

    `step`: where the verdict fell. `reason`: a stable code (`lbkit.checks.reasons` and the check's own). `message`: what
    happened, what it means, what to do next. `duration`, `steps`: seconds. `details`: what the check learnt besides;
    `details["warnings"]` and `details["notes"]` are sentences.
    """

    check: str
    target: str
    status: Status
    step: str
    reason: str
    message: str
    duration: float
    steps: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 up or not testable, 1 up with a warning, 2 down: what `lbkit check` exits with, and a Nagios plugin too."""
        if self.status == "down":
            return 2
        return 1 if self.details.get("warnings") else 0

    def line(self) -> str:
        """One line for humans and logs."""
        where = f" at {self.step} ({self.reason})" if self.status == "down" else ""
        beside = [*self.details.get("warnings", ()), *self.details.get("notes", ())]
        aside = f" [{'; '.join(beside)}]" if beside else ""
        took = milliseconds(self.duration)
        return printable(f"{self.status} {self.check} {self.target}{where} {took}: {self.message}{aside}")

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints; the keys are stable."""
        return {
            "check": self.check,
            "target": self.target,
            "status": self.status,
            "step": self.step,
            "reason": self.reason,
            "message": self.message,
            "duration_s": round(self.duration, 6),
            "steps": {step: round(seconds, 6) for step, seconds in self.steps.items()},
            "details": self.details,
        }

    def as_json(self) -> str:
        """`as_dict` on one line."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def as_nagios(self) -> str:
        """The status line of a Nagios plugin, with the times as performance data (Nagios plugin guidelines, 2.1 and 2.6)."""
        word = ("OK", "WARNING", "CRITICAL")[self.exit_code]
        beside = "".join(f"; {warning}" for warning in self.details.get("warnings", ()))
        text = printable(f"{self.check.upper()} {word} - {self.target} {self.message}{beside}").replace("|", "/")
        times = {"time": self.duration, **self.steps}
        return f"{text} | {' '.join(f'{name}={seconds:.6f}s;;;0' for name, seconds in times.items())}"


def milliseconds(seconds: float) -> str:
    """A duration as humans read it here: `0.84 ms`, `12.3 ms`, `2.01 s`."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    ms = seconds * 1000
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms"
