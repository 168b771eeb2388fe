"""`lbkit failover`, `lbkit failback`: the VIPs move to the other node of the pair, or home."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lbkit_cli.site_option import SiteFile, node_names
from lbkit_cli.verb_options import DryRun, Force, Json, Reason, duration, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from lbkit.operate.failover import Moved, Order
    from lbkit.operate.receive import Here


class Sessions(StrEnum):
    """What becomes of open sessions."""

    KEEP = "keep"
    CUT = "cut"


SessionsAre: TypeAlias = Annotated[
    Sessions,
    typer.Option(
        "--sessions",
        help="keep: open sessions of layer 7 live on at the old node until they end. cut: they end at once.",
    ),
]
DrainTimeout: TypeAlias = Annotated[
    str, typer.Option("--drain-timeout", metavar="DURATION", help="With keep: sessions that still live then are ended.")
]


def failover(
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="NODE", help="Who is to have them. [default: who does not]", autocompletion=node_names
        ),
    ] = None,
    sessions: SessionsAre = Sessions.KEEP,
    drain_timeout: DrainTimeout = "10m",
    reason: Reason = "",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Move the VIPs to the other node. It has them before this one lets go; it may be typed on either.

    They stay there until `lbkit failback`, or another failover, or the node fails.
    Exits with 1 if it is done and the other node could not confirm it, 2 if the other node did not take them (then all is as
    it was), 4 if it is not fit to (--force).

    \b
    Example: lbkit failover --dry-run
    """
    from lbkit.operate.failover import failover as verb

    _run(verb, _order(to, sessions, drain_timeout, reason, force, dry_run), site, as_json)


def failback(
    sessions: SessionsAre = Sessions.KEEP,
    drain_timeout: DrainTimeout = "10m",
    reason: Reason = "",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Move the VIPs home, to the first node of the site, and no longer prefer the other one.

    Sessions of the failover that still live stay alive. Exits as `lbkit failover`.

    \b
    Example: lbkit failback
    """
    from lbkit.operate.failover import failback as verb

    _run(verb, _order(None, sessions, drain_timeout, reason, force, dry_run), site, as_json)


def here_of(site: str | None) -> Here:
    """This node, with the site that is at `site` or where it is looked for."""
    from lbkit import Registry, load_site
    from lbkit.operate.receive import Here
    from lbkit.site.found import site_file

    file = site_file(site)
    return Here(file, lambda: load_site(str(file)), Registry().kind)


def tell_progress(as_json: bool) -> Callable[[str], None]:
    """What happens, on stderr as it does."""
    from lbkit.checks.conversation import printable

    return lambda text: None if as_json else print(printable(text), file=sys.stderr, flush=True)


def tell_moved(moved: Moved) -> None:
    """What came of it: sentences on stdout, warnings on stderr."""
    from lbkit.checks.conversation import printable

    if moved.already or moved.dry_run:
        for step in moved.steps:
            typer.echo(f"{'would: ' if moved.dry_run and not moved.already else ''}{printable(step)}")
    elif moved.took is not None:
        nobody = "not known" if moved.nobody is None else f"{moved.nobody * 1000:.0f} ms"
        typer.echo(f"{moved.new} has the VIPs, {moved.took * 1000:.0f} ms after the order; without a node: {nobody}")
        typer.echo(_of_sessions(moved))
    sys.stdout.flush()
    for warning in (*moved.warnings, *([f"not confirmed: {moved.unconfirmed}"] if moved.unconfirmed else [])):
        typer.echo(f"warning: {printable(warning)}", err=True)


def _of_sessions(moved: Moved) -> str:
    from lbkit.durations import written

    if moved.sessions == "cut":
        return f"{moved.cut} open sessions of layer 7 were cut"
    end = f", for at most {written(moved.drains_for)}" if moved.kept else ""
    return f"{moved.kept} open sessions of layer 7 live on at {moved.old}{end}"


def _order(to: str | None, sessions: Sessions, drain_timeout: str, why: str, force: bool, dry_run: bool) -> Order:
    from lbkit.operate.failover import Order

    return Order(to, sessions.value, duration("--drain-timeout", drain_timeout), force, dry_run, why)


def _run(verb: Callable[..., Moved], order: Order, site: str | None, as_json: bool) -> None:
    moved = verb(here_of(site), order, tell_progress(as_json or order.dry_run))
    if as_json:
        print_json(moved.as_dict())
    else:
        tell_moved(moved)
    raise typer.Exit(1 if moved.unconfirmed else 0)
