"""`lbkit pair maintenance on|off`: a node is left alone by the VIPs while somebody works on it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lbkit_cli.failover import DrainTimeout, Sessions, SessionsAre, here_of, tell_moved, tell_progress
from lbkit_cli.site_option import SiteFile, node_names
from lbkit_cli.verb_options import DryRun, Force, Json, duration, print_json


class Switch(StrEnum):
    """Begin or end."""

    ON = "on"
    OFF = "off"


def maintenance(
    switch: Annotated[
        Switch,
        typer.Argument(
            metavar="on|off", help="on: the VIPs leave the node, and stay away. off: it may have them again."
        ),
    ],
    node: Annotated[
        str | None, typer.Argument(metavar="NODE", help="By name. [default: this one]", autocompletion=node_names)
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; `lbkit pair status` shows it.")] = "",
    sessions: SessionsAre = Sessions.KEEP,
    drain_timeout: DrainTimeout = "10m",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Take a node of the pair out of service, or give it back. It holds over a reboot, until it is switched off.

    `on` moves the VIPs to the other node first, as `lbkit failover`; `off` leaves them where they are.
    A node in maintenance takes over only if the other one can't serve at all. Exits as `lbkit failover`.

    \b
    Example: lbkit pair maintenance on lb1 --reason "new kernel"
    """
    from lbkit.operate.failover import Order
    from lbkit.operate.maintenance import maintenance as verb

    order = Order(None, sessions.value, duration("--drain-timeout", drain_timeout), force, dry_run)
    progress = tell_progress(as_json or dry_run)
    done = verb(here_of(site), switch is Switch.ON, node, why=reason, order=order, progress=progress)
    if as_json:
        print_json(done.as_dict())
    else:
        if done.moved:
            tell_moved(done.moved)
        for step in done.steps:
            typer.echo(f"{'would: ' if dry_run else ''}{step}")
    raise typer.Exit(1 if done.moved and done.moved.unconfirmed else 0)
