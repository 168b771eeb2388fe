"""Results as Prometheus reads them: for node_exporter's textfile collector, and for the agent's own page.

A sample carries the names of steps and reasons, never a message: nothing that a remote said comes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lbkit.checks.result import Result
from lbkit.checks.told import Samples, ToldOfRows, label, labels


class ResultRow(NamedTuple):
    """A result. `named`: its labels, as `labels` writes them."""

    named: str
    result: Result


OF_A_RESULT: ToldOfRows[ResultRow] = ToldOfRows()


def exposition(rows: Iterable[tuple[Mapping[str, str], Result]]) -> str:
    """The metrics of these results, in their order, with the labels `check`, `target` and those of each row.

    Of rows with equal labels the first counts, since the collector rejects a file that has a series twice. Of a check that
    found nothing out there is only that it is not testable, and why. Durations are in seconds, to six digits.
    """
    kept: dict[frozenset[tuple[str, str]], ResultRow] = {}
    for more, result in rows:
        named = {"check": result.check, "target": result.target, **more}
        kept.setdefault(frozenset(named.items()), ResultRow(labels(named), result))
    return "".join(OF_A_RESULT.lines(kept.values()))


@OF_A_RESULT.value("lbkit_check_up", "Whether the check found the target up (1) or down (0).")
def _up(row: ResultRow) -> int | None:
    return None if row.result.status == "not-testable" else int(row.result.status == "up")


@OF_A_RESULT.value("lbkit_check_warnings", "How many warnings the check gave.")
def _warnings(row: ResultRow) -> int | None:
    return None if row.result.status == "not-testable" else len(row.result.details.get("warnings", ()))


@OF_A_RESULT.value("lbkit_check_duration_seconds", "How long the check took.")
def _duration(row: ResultRow) -> str | None:
    return None if row.result.status == "not-testable" else f"{row.result.duration:.6g}"


@OF_A_RESULT.seconds("lbkit_check_step_duration_seconds", "How long each step of the check took.", "step")
def _steps(row: ResultRow) -> Mapping[str, float]:
    return row.result.steps


@OF_A_RESULT.metric(
    "lbkit_check_failure", "1 for each target that is down, with the step that failed and the reason code."
)
def _failure(row: ResultRow) -> Samples:
    if row.result.status == "down":
        yield f"{row.named},{labels({'step': row.result.step, 'reason': row.result.reason})}", 1


@OF_A_RESULT.metric("lbkit_check_not_testable", "1 for each check that could not be run, or not here.")
def _not_testable(row: ResultRow) -> Samples:
    if row.result.status == "not-testable":
        yield f"{row.named},{label('reason', row.result.reason)}", 1
