"""Results and explanations for a human at a terminal (Rich)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lbkit.checks.result import milliseconds

if TYPE_CHECKING:
    from lbkit.checks.explanation import Explanation
    from lbkit.checks.result import Result

_COLOURS = {0: "green", 1: "yellow", 2: "red"}


def show(result: Result, console: Console | None = None) -> None:
    """One result: the verdict, the sentence, each step with its time, everything learnt."""
    colour = _COLOURS[result.exit_code]
    verdict = Text.assemble((result.status.upper(), f"bold {colour}"), f"  {result.check}  {result.target}")
    if result.status == "down":
        verdict.append(f"  at {result.step}: {result.reason}", colour)
    steps = _grid()
    for step, seconds in result.steps.items():
        share = seconds / result.duration if result.duration else 0
        failed = result.status == "down" and step == result.step
        steps.add_row(
            Text(step),
            Text(milliseconds(seconds), justify="right"),
            Text("━" * max(1, round(share * 40)), "red" if failed else colour),
        )
    steps.add_row(Text("altogether", "dim"), Text(milliseconds(result.duration), "dim"), "")
    parts: list[Text | Table] = [Text(result.message), Text(), steps]
    if result.details:
        details = _grid()
        for name, value in result.details.items():
            if value == []:
                continue
            details.add_row(Text(name.replace("_", " "), "dim"), Text(_plain(value)))
        parts += [Text(), details]
    (console or Console()).print(Panel(Group(*parts), title=verdict, title_align="left", border_style=colour))


def show_explanation(explanation: Explanation, console: Console | None = None) -> None:
    """The document of `lbkit explain`."""
    out = console or Console()
    out.print(Text(explanation.title, "bold"))
    for section in explanation.sections:
        out.print()
        out.print(Text(section.title, "bold cyan"))
        rows = _grid()
        for name, value in section.rows:
            rows.add_row(Text(f"  {name}"), Text(value))
        out.print(rows)
    if explanation.advice:
        out.print()
        out.print(Text("What to do", "bold cyan"))
        sentences = Table.grid(padding=(0, 1))
        for sentence in explanation.advice:
            sentences.add_row("  •", Text(sentence))
        out.print(sentences)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    return grid


def _plain(value: object) -> str:
    if isinstance(value, list):
        tables = any(isinstance(one, dict) for one in value)
        return ("\n" if tables else "; ").join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items() if v not in (None, ""))
    return str(value)
