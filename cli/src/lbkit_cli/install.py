"""`lbkit render`, `diff`, `apply`, `reload`: from the site file to a load balancer that runs with it."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from lbkit_cli.real_server import real_server
from lbkit_cli.site_option import Node, SiteFile
from lbkit_cli.verb_options import DryRun, Json, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lbkit.install.difference import Change
    from lbkit.operate.apply import EngineName
    from lbkit.operate.outcome import Applied


class Engine(StrEnum):
    """The engines that VIPs are on."""

    HAPROXY = "haproxy"
    IPVS = "ipvs"


Only: TypeAlias = Annotated[
    Engine | None, typer.Option("--only", help="This engine's part alone. [default: all]", show_default=False)
]
render_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@render_app.callback()
def _render() -> None:
    """Print what lbkit makes of the site file for an engine, without touching anything.

    \b
    Example: lbkit render haproxy
    """


@render_app.command("haproxy")
def haproxy(node: Node = None, as_json: Json = False, site: SiteFile = None) -> None:
    """Print haproxy.cfg: the layer-7 VIPs of the site.

    \b
    Example: lbkit render haproxy --node lb2
    """
    from lbkit import Registry, load_site
    from lbkit.operate.apply import render

    text = render(load_site(site), Registry().kind, node).configuration
    if as_json:
        print_json({"configuration": text})
    else:
        typer.echo(text, nl=False)


@render_app.command("ipvs")
def ipvs(as_json: Json = False, site: SiteFile = None) -> None:
    """Print the layer-4 VIPs of the site as `ipvsadm -R` takes them, every real server online and up.

    \b
    Example: lbkit render ipvs
    """
    from lbkit import load_site
    from lbkit.operate.apply_ipvs import render

    text = render(load_site(site))
    if as_json:
        print_json({"rules": text.splitlines()})
    else:
        typer.echo(text, nl=False)


render_app.command("real-server")(real_server)


def diff(only: Only = None, node: Node = None, as_json: Json = False, site: SiteFile = None) -> None:
    """Show what `lbkit apply` would change on this machine. Exits with 0 if nothing differs, else with 1.

    \b
    Example: lbkit diff
    """
    from lbkit import Registry, load_site
    from lbkit.operate.apply import diff as compare

    changes = compare(load_site(site), Registry().kind, node, engines=_engines(only))
    if as_json:
        print_json({"changes": [_change(change) for change in changes]})
    else:
        _print(changes)
    raise typer.Exit(1 if changes else 0)


def apply(
    only: Only = None, node: Node = None, dry_run: DryRun = False, as_json: Json = False, site: SiteFile = None
) -> None:
    """Make the engines run with what the site file says: checked first, written, reloaded without losing a connection,
    verified, and taken back by itself when it does not hold. IPVS is the agent's affair where one runs.

    \b
    Example: lbkit apply --dry-run
    """
    from lbkit import Registry, load_site
    from lbkit.operate.apply import apply as verb

    loaded = load_site(site)
    with _progress() as progress:
        applied = verb(loaded, Registry().kind, node, dry_run=dry_run, engines=_engines(only), progress=progress)
    _tell(applied, as_json)


def _engines(only: Engine | None) -> tuple[EngineName, ...]:
    from lbkit.operate.apply import ENGINES

    if only is None:
        return ENGINES
    return ("haproxy",) if only is Engine.HAPROXY else ("ipvs",)


def reload(dry_run: DryRun = False, as_json: Json = False, site: SiteFile = None) -> None:
    """Start the engines anew with the configuration that is installed, without losing or misrouting a connection.

    \b
    Example: lbkit reload
    """
    from lbkit import load_site
    from lbkit.operate.reload import reload as verb

    loaded = load_site(site)
    with _progress() as progress:
        applied = verb(loaded, dry_run=dry_run, progress=progress)
    _tell(applied, as_json)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done, as a line on stderr that goes again; nothing where that is no terminal."""
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status("") as line:
        yield lambda sentence: line.update(Text(sentence))


def _tell(applied: Applied, as_json: bool) -> None:
    from lbkit.checks.conversation import printable

    if as_json:
        print_json(applied.as_dict())
        return
    for step in applied.steps:
        typer.echo(printable(step))
    for warning in applied.warnings:
        typer.echo(f"warning: {printable(warning)}", err=True)


def _change(change: Change) -> dict[str, Any]:
    return {"file": str(change.path), "change": change.kind, "lines": list(change.lines), "notes": list(change.notes)}


def _print(changes: Sequence[Change]) -> None:
    """A unified diff; what has no lines to be shown is told by its summary, which `patch` takes for a comment."""
    from rich.console import Console
    from rich.text import Text

    from lbkit.checks.conversation import printable

    console = Console(highlight=False, soft_wrap=True)
    for change in changes:
        console.print(Text(printable(change.summary), "bold"))
        for line in change.lines:
            console.print(Text(printable(line), _STYLES.get(line[:1], "")))


_STYLES = {"+": "green", "-": "red", "@": "cyan"}
