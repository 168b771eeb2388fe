"""`lbkit pair leave` and `lbkit pair replace-node`: a node goes out of the pair, or its machine for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lbkit_cli.failover import DrainTimeout, Sessions, SessionsAre, here_of, tell_moved, tell_progress
from lbkit_cli.site_option import SiteFile
from lbkit_cli.verb_options import DryRun, Force, Json, duration, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence


def leave(
    sessions: SessionsAre = Sessions.KEEP,
    drain_timeout: DrainTimeout = "10m",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Take this node out of the pair: the VIPs go to the other one, keepalived stops here, the other one goes on alone.

    The site file stays as it is on both. Back again: `lbkit apply` and `lbkit pair maintenance off` here, then
    `lbkit pair sync` there.

    Exits with 0 if it has left, 1 if the other node could not be told, 2 if it failed, 4 if the VIPs would go down with it.

    \b
    Example: lbkit pair leave --dry-run
    """
    from lbkit.operate.failover import Order
    from lbkit.operate.leave import leave as verb

    order = Order(None, sessions.value, duration("--drain-timeout", drain_timeout), force, dry_run)
    done = verb(here_of(site), order, tell_progress(as_json or dry_run))
    if as_json:
        print_json(done.as_dict())
    else:
        if done.moved:
            tell_moved(done.moved)
        _tell(done.steps, done.warnings, dry_run)
    raise typer.Exit(0 if done.told or dry_run else 1)


def replace_node(force: Force = False, dry_run: DryRun = False, as_json: Json = False, site: SiteFile = None) -> None:
    """Forget the other node's machine, which is gone, and say what to type so that a new one takes its place.

    Run it on the node that is left; the new machine is built from its site. Should the old one come back, it is let in no
    more, and overwrites nothing. Exits with 0, 4 while the other node still answers.

    \b
    Example: lbkit pair replace-node
    """
    from lbkit import load_site
    from lbkit.operate.replace_node import replace_node as verb
    from lbkit.site.found import site_file

    file = site_file(site)
    done = verb(load_site(str(file)), file, force=force, dry_run=dry_run)
    if as_json:
        print_json(done.as_dict())
        return
    _tell(done.steps, (), dry_run)
    for number, one in enumerate(done.todo, 1):
        typer.echo(f"{number}. {one}")


def _tell(steps: Sequence[str], warnings: Sequence[str], dry_run: bool) -> None:
    from lbkit.checks.conversation import printable

    for step in steps:
        typer.echo(f"{'would: ' if dry_run else ''}{printable(step)}")
    for warning in warnings:
        typer.echo(f"warning: {printable(warning)}", err=True)
