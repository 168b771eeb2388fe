"""Results as Prometheus reads them: text format 0.0.4, for node_exporter's textfile collector.

A sample carries the names of steps and reasons, never a message: nothing that a remote said comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from lbkit.checks.result import Result

Samples: TypeAlias = Iterator[tuple[dict[str, str], float]]  # labels beside those of the row, and a value


def exposition(rows: Iterable[tuple[Mapping[str, str], Result]]) -> str:
    """The metrics of these results, in their order, with the labels `check`, `target` and those of each row.

    Of rows with equal labels the first counts, since the collector rejects a file that has a series twice. Of a check that
    found nothing out there is only that it is not testable, and why. Durations are in seconds.
    """
    kept: dict[frozenset[tuple[str, str]], tuple[dict[str, str], Result]] = {}
    for labels, result in rows:
        named = {"check": result.check, "target": result.target, **labels}
        kept.setdefault(frozenset(named.items()), (named, result))
    return "".join(line for family in _FAMILIES for line in _lines(*family, kept.values()))


def _lines(
    name: str, meaning: str, samples: Callable[[Result], Samples], rows: Iterable[tuple[dict[str, str], Result]]
) -> Iterator[str]:
    lines = [
        f"{name}{{{_labels(named | more)}}} {value}\n" for named, result in rows for more, value in samples(result)
    ]
    if lines:
        yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n"
        yield from lines


def _labels(labels: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _up(result: Result) -> Samples:
    if result.status != "not-testable":
        yield {}, int(result.status == "up")


def _warnings(result: Result) -> Samples:
    if result.status != "not-testable":
        yield {}, len(result.details.get("warnings", ()))


def _duration(result: Result) -> Samples:
    if result.status != "not-testable":
        yield {}, result.duration


def _steps(result: Result) -> Samples:
    for step, seconds in result.steps.items():
        yield {"step": step}, seconds


def _failure(result: Result) -> Samples:
    if result.status == "down":
        yield {"step": result.step, "reason": result.reason}, 1


def _not_testable(result: Result) -> Samples:
    if result.status == "not-testable":
        yield {"reason": result.reason}, 1


_FAMILIES = (
    ("lbkit_check_up", "Whether the check found the target up (1) or down (0).", _up),
    ("lbkit_check_warnings", "How many warnings the check gave.", _warnings),
    ("lbkit_check_duration_seconds", "How long the check took.", _duration),
    ("lbkit_check_step_duration_seconds", "How long each step of the check took.", _steps),
    ("lbkit_check_failure", "1 for each target that is down, with the step that failed and the reason code.", _failure),
    ("lbkit_check_not_testable", "1 for each check that could not be run, or not here.", _not_testable),
)
