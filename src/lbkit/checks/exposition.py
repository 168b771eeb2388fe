"""Results as Prometheus reads them: text format 0.0.4, for node_exporter's textfile collector and for the agent's own page.

A sample carries the names of steps and reasons, never a message: nothing that a remote said comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from lbkit.checks.result import Result

Sample: TypeAlias = tuple[str, float]  # its labels as `labels` writes them, "": none; and its value
Samples: TypeAlias = Iterator[Sample]
_A_PIECE = 64  # samples


class Metric(NamedTuple):
    """What is announced of a metric before its samples."""

    name: str
    kind: Literal["gauge", "counter"]
    meaning: str


def exposition(rows: Iterable[tuple[Mapping[str, str], Result]]) -> str:
    """The metrics of these results, in their order, with the labels `check`, `target` and those of each row.

    Of rows with equal labels the first counts, since the collector rejects a file that has a series twice. Of a check that
    found nothing out there is only that it is not testable, and why. Durations are in seconds.
    """
    kept: dict[frozenset[tuple[str, str]], tuple[str, Result]] = {}
    for more, result in rows:
        named = {"check": result.check, "target": result.target, **more}
        kept.setdefault(frozenset(named.items()), (labels(named), result))
    return "".join(line for metric, of in OF_A_RESULT for line in lines(metric, samples(of, kept.values())))


def lines(metric: Metric, of_it: Iterable[Sample]) -> Iterator[str]:
    """The metric announced, then a line for each sample, in pieces of a few lines; nothing where there is none."""
    name, left = metric.name, iter(of_it)
    head = f"# HELP {name} {metric.meaning}\n# TYPE {name} {metric.kind}\n"
    while piece := list(islice(left, _A_PIECE)):
        yield head + "".join(
            [f"{name}{{{named}}} {value}\n" if named else f"{name} {value}\n" for named, value in piece]
        )
        head = ""


def samples(of: Callable[[Result], Samples], rows: Iterable[tuple[str, Result]]) -> Samples:
    """Those of results, each with the labels that its row has already."""
    for named, result in rows:
        for more, value in of(result):
            yield (f"{named},{more}" if more else named), value


def labels(named: Mapping[str, str]) -> str:
    """Names and values as they stand between the braces."""
    return ",".join([_label(name, value) for name, value in named.items()])


@lru_cache(maxsize=1 << 12)
def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'


def _up(result: Result) -> Samples:
    if result.status != "not-testable":
        yield "", int(result.status == "up")


def _warnings(result: Result) -> Samples:
    if result.status != "not-testable":
        yield "", len(result.details.get("warnings", ()))


def _duration(result: Result) -> Samples:
    if result.status != "not-testable":
        yield "", result.duration


def _steps(result: Result) -> Samples:
    for step, seconds in result.steps.items():
        yield _label("step", step), seconds


def _failure(result: Result) -> Samples:
    if result.status == "down":
        yield labels({"step": result.step, "reason": result.reason}), 1


def _not_testable(result: Result) -> Samples:
    if result.status == "not-testable":
        yield _label("reason", result.reason), 1


OF_A_RESULT: tuple[tuple[Metric, Callable[[Result], Samples]], ...] = (
    (Metric("lbkit_check_up", "gauge", "Whether the check found the target up (1) or down (0)."), _up),
    (Metric("lbkit_check_warnings", "gauge", "How many warnings the check gave."), _warnings),
    (Metric("lbkit_check_duration_seconds", "gauge", "How long the check took."), _duration),
    (Metric("lbkit_check_step_duration_seconds", "gauge", "How long each step of the check took."), _steps),
    (
        Metric(
            "lbkit_check_failure",
            "gauge",
            "1 for each target that is down, with the step that failed and the reason code.",
        ),
        _failure,
    ),
    (
        Metric("lbkit_check_not_testable", "gauge", "1 for each check that could not be run, or not here."),
        _not_testable,
    ),
)
"""What a result has to say, metric by metric."""
