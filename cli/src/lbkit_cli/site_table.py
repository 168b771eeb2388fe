"""The checks of a site for a human at a terminal: one row a VIP, then what is wrong, in words."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lbkit.checks import direct_routing
from lbkit.checks.conversation import printable
from lbkit.checks.plan import CANNOT_RUN
from lbkit.checks.result import milliseconds
from lbkit.checks.survey import SEVERITY, code_of, counts, exit_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lbkit.checks.result import Result
    from lbkit.checks.survey import Found

_COLOURS = {0: "green", 1: "yellow", 2: "bold red", 3: "yellow"}


def show(name: str, found: Sequence[Found], seconds: float, verbose: bool) -> None:
    """The table, then every check that is not simply up (`verbose`: every check), then the sums."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("VIP", "check", "the VIP itself", "its real servers"):
        table.add_column(head, overflow="fold")
    for label, group in groupby(found, key=lambda one: one.vip):
        rows = list(group)
        table.add_row(label, rows[0].result.check, _virtual(rows), _real(rows))
    console.print(table)
    _sentences(console, [one for one in found if verbose or code_of(one.result)])
    many = counts(found)
    text = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in many.items() if number)
    print(f"{name}: {text or 'nothing to check'} in {milliseconds(seconds)}", file=sys.stderr)


def _virtual(rows: Iterable[Found]) -> Text:
    results = [one.result for one in rows if one.server is None]
    if not results:
        return Text("not checked", "dim")
    tested = [result for result in results if result.status != "not-testable"]
    return _sum(tested) if tested else _not_testable(results[0])


def _real(rows: Iterable[Found]) -> Text:
    """By server: one with several ports is up when all of them are."""
    of_servers: dict[str, list[Result]] = {}
    for one in rows:
        if one.server is not None:
            of_servers.setdefault(one.server, []).append(one.result)
    if not of_servers:
        return Text("not checked", "dim")
    worst = [min(results, key=lambda result: SEVERITY.index(code_of(result))) for results in of_servers.values()]
    return _sum(worst) if any(result.status != "not-testable" for result in worst) else _not_testable(worst[0])


def _not_testable(result: Result) -> Text:
    return Text("could not be run", "yellow") if result.reason == CANNOT_RUN else Text("not testable here", "dim")


def _sum(results: Sequence[Result]) -> Text:
    statuses = [result.status for result in results]
    colour = _COLOURS[exit_code(results)]
    many, up, down = len(statuses), statuses.count("up"), statuses.count("down")
    if many == 1:
        return Text("DOWN" if down else "up", colour)
    return Text(f"{down} of {many} DOWN" if down else f"{up} of {many} up", colour)


def _who(one: Found) -> str:
    if one.server:
        return f"{one.vip} / {one.server}"
    return f"{one.vip} {one.result.check}" if one.result.check == direct_routing.KIND else f"{one.vip} itself"


def _sentences(console: Console, found: Sequence[Found]) -> None:
    """Checks that are equal, as servers that VIPs share have, are told once."""
    told: dict[int, list[Found]] = {}
    for one in found:
        told.setdefault(id(one.result) if one.result.status != "not-testable" else id(one), []).append(one)
    for same in told.values():
        result = same[0].result
        who = ", ".join(map(_who, same))
        word = "could not be run" if result.reason == CANNOT_RUN else result.status.replace("-", " ")
        head = Text.assemble((word, _COLOURS[code_of(result)]), "  ", (who, "bold"), f"  {result.target}")
        if result.status == "down":
            head.append(f"  at {result.step}: {result.reason}", "red")
        elif result.status == "up":
            head.append(f"  {milliseconds(result.duration)}", "dim")
        console.print(head, soft_wrap=not console.is_terminal)
        beside = [*result.details.get("warnings", ()), *result.details.get("notes", ())]
        for sentence in (result.message, *beside):
            text = Text(printable(sentence))
            if console.is_terminal:
                console.print(Padding(text, (0, 0, 0, 4), expand=False))
            else:  # for grep
                console.print("    ", text, sep="", soft_wrap=True)
    if told:
        console.print()
