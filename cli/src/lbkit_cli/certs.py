"""`lbkit certs`: which certificates the engines have, until when, and new ones in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lbkit_cli.site_option import Node, SiteFile
from lbkit_cli.terminal import console
from lbkit_cli.verb_options import DryRun, Json, print_json, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit.operate.certs import CertView

SOON = 30  # days, as `lbkit lint` warns


class _ListUnlessTold(TyperGroup):
    """`lbkit certs` is `lbkit certs list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ListUnlessTold, rich_markup_mode=None)


@app.callback()
def _certs() -> None:
    """List the certificates, CAs and revocation lists of the site, and put new ones in force (rotate).

    \b
    Example: lbkit certs
    """


@app.command("list")
def list_(as_json: Json = False, site: SiteFile = None) -> None:
    """List the certificates, CAs and revocation lists: until when, of which VIPs, and whether the engine has them.

    Exits with 0 if all is well, 1 if one ends within 30 days or the engine has not this one, 2 if one has ended.

    \b
    Example: lbkit certs list
    """
    from lbkit import load_site
    from lbkit.operate.certs import listed

    found = listed(load_site(site))
    if as_json:
        print_json({"certificates": [one.as_dict() for one in found]})
    elif found:
        _print(found)
    else:
        typer.echo("the site names no certificate and no CA")
    raise typer.Exit(exit_code(found))


@app.command("rotate")
def rotate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="As `lbkit certs` lists them. [default: all]")
    ] = None,
    node: Node = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Put certificates, CAs and revocation lists in force as their files are now; seen in a handshake. No connection ends.

    \b
    Example: lbkit certs rotate client-cert --dry-run
    """
    from lbkit import Registry, load_site
    from lbkit.operate.rotate import rotate as verb

    done = verb(load_site(site), Registry().kind, node, names or (), dry_run=dry_run)
    tell(done, as_json)
    if not done and not as_json:
        typer.echo("nothing differs, and nothing was replaced")


def exit_code(found: Sequence[CertView]) -> int:
    """2: one has ended. 1: one ends soon, or is used and not in force. Else 0."""
    if any(one.days_left < 0 for one in found):
        return 2
    return 1 if any(one.days_left < SOON or (one.used_by and one.state != "in force") for one in found) else 0


def _print(found: Sequence[CertView]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from lbkit.checks.conversation import printable

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("name", "kind", "subject", "ends", "used by", "state"):
        table.add_column(head, overflow="fold")
    for one in found:
        ends = Text(f"{one.not_after:%Y-%m-%d}, {_left(one.days_left)}", _style(one.days_left))
        state = Text(one.state, "green" if one.state == "in force" else "yellow")
        subject, users = printable(one.subject), ", ".join(one.used_by)
        table.add_row(Text(one.name), Text(one.kind), Text(subject), ends, Text(users), state)
    console().print(table)


def _left(days: float) -> str:
    return "ENDED" if days < 0 else "in a day" if 1 <= days < 2 else f"in {int(days)} days"


def _style(days: float) -> str:
    return "bold red" if days < 0 else "yellow" if days < SOON else "green"
