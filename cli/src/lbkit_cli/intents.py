"""`lbkit intents`: what operators asked for on this node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit_cli.terminal import console
from lbkit_cli.verb_options import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit.state.intents import Intent


def intents(
    everything: Annotated[
        bool, typer.Option("--all", help="Those too that say online, and those whose time is up.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what operators asked for: which real servers are to be out, or to have another weight; who, when, why, until.

    \b
    Example: lbkit intents
    """
    from lbkit.state.intents import Intents

    store, now = Intents(), time.time()
    found = [one for one in store.all(now) if everything or one.wanted != "online" or one.weight is not None]
    if everything:
        found = sorted([*found, *store.ended(now)], key=lambda one: (one.vip, one.server))
    if as_json:
        print_json({"intents": [one.as_dict() for one in found]})
    elif found:
        _print(found, now)
    else:
        typer.echo("no real server is asked to be out, or to have another weight")


def _print(found: Sequence[Intent], now: float) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from lbkit.checks.conversation import printable
    from lbkit_cli.moments import moment

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("VIP", "real server", "wanted", "who", "when", "until", "why"):
        table.add_column(head, overflow="fold")
    for one in found:
        until = moment(one.until, now) if one.until else "taken back"
        over = ", over" if one.is_over(now) else ""
        cells = (one.vip, one.server, _wanted(one), one.who, moment(one.when, now), f"{until}{over}", one.why)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(table)


def _wanted(intent: Intent) -> str:
    weight = "" if intent.weight is None else f", weight {intent.weight}"
    return f"{intent.wanted}{', sticky clients move' if intent.sticky else ''}{weight}"
