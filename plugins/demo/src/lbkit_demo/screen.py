"""The demo on a terminal, readable at 80 columns. What a remote or a tool said is printed as text, never as markup."""

from __future__ import annotations

import sys
from os.path import relpath
from shutil import which
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from lbkit import Result
    from lbkit_demo.echoscu import Said
    from lbkit_demo.server import SimulatedServer
    from lbkit_demo.story import Chapter

COLOURS = {"up": "green", "down": "red"}


def result_line(result: Result) -> Text:
    """The line that `lbkit check` prints."""
    line = Text(result.line())
    line.stylize(f"bold {COLOURS[result.status]}", 0, len(result.status))
    return line


def echoscu_line(said: Said, status: str) -> Text:
    """What a script would take its exit code for, whether that is right, and its words."""
    taken_for = "up" if said.up else "down"
    wrong = ", WRONG" if taken_for != status else ""
    exit_code = "killed" if said.exit is None else f"exit {said.exit}"
    return Text.assemble(
        (taken_for, f"bold {COLOURS[taken_for]}"),
        (wrong, "bold yellow"),
        f" ({exit_code}): {said.said or 'not a word'}",
    )


def opening(console: Console, servers: Sequence[SimulatedServer], results: Sequence[Result]) -> None:
    """The servers, all checked before any is broken."""
    console.print(Text("Simulated DICOM servers on this machine, and what lbkit says of them\n", style="bold"))
    for server, result in zip(servers, results, strict=True):
        lines = Text.assemble((f"{server.label}\n", "dim"), result_line(result))
        console.print(Padding(lines, (0, 0, 0, 4), expand=False))
    console.print()


def chapter(console: Console, number: int, told: Chapter) -> None:
    """What was broken, and what each tool says."""
    broken = Table.grid(padding=(0, 2))
    broken.add_row(f"{number:2}", Text(told.fault.summary, style="bold"))
    broken.add_row("", Text(told.server.label, style="dim"))
    console.print(broken)
    said = Table.grid(padding=(0, 2))
    said.add_row("lbkit", result_line(told.result))
    if told.echoscu is not None:
        said.add_row("echoscu", echoscu_line(told.echoscu, told.fault.expected.status))
    said.add_row("mended", result_line(told.mended))
    if not told.told:
        said.add_row("EXPECTED", Text(" ".join(told.fault.expected), style="bold red"))
    console.print(Padding(said, (0, 0, 1, 4), expand=False))


def tally(console: Console, told: Sequence[Chapter]) -> None:
    """What this run showed, in figures."""
    right = sum(chapter.told for chapter in told)
    console.print(Text(f"{len(told)} faults. lbkit told {right} of them apart, and saw them mended.", style="bold"))
    said = [(one.echoscu.up, one.fault.expected.status == "up") for one in told if one.echoscu]
    if not said:
        console.print("echoscu is not installed here, so what it would have said is left out.\n")
        return
    missed, blamed = said.count((True, False)), said.count((False, True))
    console.print(f"echoscu's exit code said up for {missed} that were down, and down for {blamed} that answered.\n")


def standing(console: Console, servers: Sequence[SimulatedServer]) -> None:
    """The servers that stay: where they are, what is wrong with them, and what a check will say."""
    table = Table("address", "what is wrong with it", "what lbkit will say", box=None, padding=(0, 2, 0, 0))
    for server in servers:
        expected = server.fault.expected
        said = Text(" ".join(expected), style=COLOURS[expected.status])
        table.add_row(server.target, Text(server.fault.summary), said)
    console.print(table)
    console.print(f"\nIn another terminal: lbkit check c-echo {servers[0].target}\nCtrl-C ends them all.")


def what_next(console: Console) -> None:
    """What to type next, with the command as this shell finds it."""
    table = Table.grid(padding=(0, 2))
    lbkit = "lbkit" if which("lbkit") else relpath(sys.argv[0])
    table.add_row(f"{lbkit} check c-echo HOST:PORT", "a server of your own")
    table.add_row(f"{lbkit} explain c-echo HOST:PORT", "its negotiation, in words")
    table.add_row(f"{lbkit} demo --stay", "keep such servers running")
    table.add_row(f"{lbkit} --help", "what else there is")
    console.print("What to type next:")
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
