"""`lbkit pair sync`: the other node gets this node's site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lbkit_cli.install import print_changes, progress
from lbkit_cli.site_option import SiteFile
from lbkit_cli.terminal import console
from lbkit_cli.verb_options import DryRun, Force, Json, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit.operate.own_settings import Line
    from lbkit.operate.sync import Synced


def sync(dry_run: DryRun = False, force: Force = False, as_json: Json = False, site: SiteFile = None) -> None:
    """Give the other node this node's site: the site file, the certificates, keys and passwords that it names, the intents.

    The other node tries it first, with its own engines, and puts it in force whole or not at all. It refuses what is older
    than what it has, or was changed on both nodes; --force has this node's win. What each node has for itself (addresses,
    routes, DNS, NTP, time zone, SNMP) is never copied: --dry-run shows both side by side.

    Exits with 0 if the other node has it in force, 2 if it could not, and everything there is as it was, 4 if it refuses.

    \b
    Example: lbkit pair sync --dry-run
    """
    from lbkit import load_site
    from lbkit.operate.sync import Sync, the_two
    from lbkit.pair.link import Link
    from lbkit.site.found import site_file

    file = site_file(site)
    loaded = load_site(str(file))
    with Link(loaded, the_two(loaded, file)[1]) as link:
        with progress() as tell:
            work = Sync(loaded, file, link, force=force, progress=tell)
            would = work.look()
        if not as_json:
            print_changes(would.changes)
        if dry_run:
            _tell(would, as_json)
            return
        with progress() as tell:
            work.tell = tell
            done = work.carry_out()
    done.own, done.warnings = would.own, [*would.warnings, *done.warnings]
    _tell(done, as_json)


def _tell(done: Synced, as_json: bool) -> None:
    from lbkit.checks.conversation import printable

    if as_json:
        print_json(done.as_dict())
        return
    for step in done.steps:
        typer.echo(f"{done.node}: {printable(step)}")
    if done.dry_run:
        _print(done.own, done.node)
    else:
        typer.echo(f"{done.node} has generation {done.generation} of the site in force")
    for warning in done.warnings:
        typer.echo(f"warning: {printable(warning)}", err=True)


def _print(own: Sequence[Line], node: str) -> None:
    """What is not copied, side by side; yellow where it differs and should not."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from lbkit.checks.conversation import printable

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="never copied", title_justify="left")
    for head in ("setting", "here", node):
        table.add_column(head, overflow="fold")
    for line in own:
        style = "yellow" if line.matters else ""
        values = ("\n".join(map(printable, value)) or "-" for value in (line.here, line.there))
        table.add_row(line.name, *(Text(value, style) for value in values))
    console().print(table)
