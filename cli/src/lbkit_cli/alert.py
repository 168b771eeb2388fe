"""`lbkit alert test`: whether alerts arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lbkit_cli.site_option import SiteFile
from lbkit_cli.verb_options import Json, duration, print_json

if TYPE_CHECKING:
    from lbkit.operate.alert_test import AlertTest

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _alert() -> None:
    """Try whether news gets to those whom the site names: by mail, SNMP traps, plugins.

    \b
    Example: lbkit alert test
    """


@app.command("test")
def try_alerts(
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="Wait no longer for all of them.")] = "15s",
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Record an event that says it is a test, and wait until the agent has given it to every receiver of the site.

    Exits with 0 if all have taken it, 2 if one has not or no agent runs, 3 if the site names none, or is wrong there.

    \b
    Example: lbkit alert test
    """
    from lbkit import Registry
    from lbkit.operate.alert_test import alert_test
    from lbkit.site.found import site_file

    found = alert_test(site_file(site), Registry().models(), duration("--timeout", timeout))
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)
    raise typer.Exit(0 if all(one.is_well for one in found.receivers) else 2)


def _print(found: AlertTest) -> None:
    from lbkit.checks.conversation import printable

    for one in found.receivers:
        done = "has taken it" if one.taken else "has NOT taken it"
        rest = f": {one.trouble}" if one.trouble else f", for {one.to}" if one.to else ""
        typer.echo(printable(f"{one.receiver}: {done}{rest}"))
    if found.passive:
        typer.echo("this node follows: what happens the other one tells. Type it there too.", err=True)
