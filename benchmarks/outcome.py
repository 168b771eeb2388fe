"""What a benchmark comes to: a goal, what was measured, or why nothing could be."""

from dataclasses import dataclass
from typing import Literal


class NotInstalledError(Exception):
    """Something that a benchmark needs is not on this machine; the text names it."""


class BenchmarkError(Exception):
    """A run did not do what is measured: a check that should have said `up` did not, a client died."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure has to come to."""

    relation: Literal["<=", ">=", "reported"]
    bound: float
    unit: str

    def holds(self, value: float) -> bool:
        """Whether a measured figure meets it."""
        if self.relation == "reported":
            return True
        return value <= self.bound if self.relation == "<=" else value >= self.bound

    def __str__(self) -> str:
        return self.relation if self.relation == "reported" else f"{self.relation} {self.bound:g}"


def at_most(bound: float, unit: str) -> Goal:
    """The goal that a figure stays at or below `bound`."""
    return Goal("<=", bound, unit)


def at_least(bound: float, unit: str) -> Goal:
    """The goal that a figure reaches `bound`."""
    return Goal(">=", bound, unit)


def reported(unit: str) -> Goal:
    """No goal: the figure is worth knowing."""
    return Goal("reported", 0.0, unit)


@dataclass(frozen=True, slots=True)
class Measured:
    """The figure that the goal is about, the number of rounds, and in words the plain medians behind it."""

    value: float
    n: int
    behind: str


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report. Where there is no value, `behind` says why."""

    name: str
    goal: Goal
    baseline: str
    value: float | None
    holds: bool | None
    n: int
    behind: str
