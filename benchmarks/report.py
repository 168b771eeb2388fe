"""How results are shown: one line of a table, one line of JSON, one page."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from benchmarks.machine import Machine
from benchmarks.outcome import Result
from benchmarks.registry import Benchmark

ROW = "{:<29} {:>9}  {:<9} {:<13} {:<6} {:>4}  {}"
HEADER = ROW.format("benchmark", "measured", "goal", "", "", "n", "medians")


def as_line(result: Result) -> str:
    """One line of the table for a human."""
    return ROW.format(
        result.name, _figure(result), str(result.goal), result.goal.unit, _verdict(result), result.n, result.behind
    )


def as_json(result: Result, machine: Machine) -> str:
    """One line of JSON. Where nothing was measured `value` is null, and `behind` says why."""
    line = {
        "name": result.name,
        "value": None if result.value is None else float(f"{result.value:.6g}"),
        "unit": result.goal.unit,
        "goal": str(result.goal),
        "holds": result.holds,
        "n": result.n,
        "baseline": result.baseline,
        "behind": result.behind,
        "machine": machine,
    }
    return json.dumps(line)


def as_page(table: Sequence[Benchmark], results: Sequence[Result], machine: Machine, *, quick: bool) -> str:
    """The page `docs/performance.md`."""
    descriptions = {entry.family: entry.description for entry in table}
    rows = "\n".join(
        f"| {r.name} | {r.baseline} | {_figure(r)} | {r.goal} {r.goal.unit} | {_verdict(r)} | {r.n} | {r.behind} |"
        for r in results
    )
    return PAGE.format(
        rows=rows,
        descriptions="\n".join(f"- **{family}**: {description}" for family, description in descriptions.items()),
        date=datetime.now(UTC).date().isoformat(),
        lbkit=_lbkit_version(),
        rounds="the few rounds of `--quick`" if quick else "all rounds",
        **machine,
    )


def _figure(result: Result) -> str:
    return "-" if result.value is None else f"{result.value:.3g}"


def _verdict(result: Result) -> str:
    return {True: "holds", False: "FAILS", None: "-"}[result.holds]


def _lbkit_version() -> str:
    try:
        return version("lbkit-core")
    except PackageNotFoundError:
        return "(not installed)"


PAGE = """\
# Performance

`make bench` measures and writes this page; do not edit it. `python -m benchmarks --help` says how to run single
benchmarks, `--quick` for a first impression within a minute, `--json` for one line of JSON for each figure.

| benchmark | compared with | measured | goal | | n | medians behind it |
|---|---|---|---|---|---|---|
{rows}

Taken on {date} with lbkit {lbkit}, {rounds}: {cores} cores ({cpu}), Python {python}, {kernel}.

## How to read it

- Believe the ratios, not the milliseconds. lbkit and what it is compared with take turns within one run, in an order
  that turns around every round. A ratio or a difference is the median over the `n` rounds, each from one turn of both
  sides; the plain medians stand beside it. Each side warms up with one turn (the clients of `scale`, `memory` and
  `sweep` with 50 checks), and after that nothing is dropped.
- A run counts only when every check in it said what it should (up; in `sweep` also refused and timed out, each as often
  as there are such targets). Otherwise the benchmark fails.
- What is not installed is named, and its goal does not count as met: the exit code is 1.
- All remotes are on this machine, so there is no network between the two sides.

## What is measured

The remotes are dcmtk's `storescp`, Orthanc, and `replayd`, a small responder in C that keeps up with any client.

{descriptions}
"""
