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
    """The parts of a node: the engines that VIPs are on, what moves their addresses, what lets clients in, and SNMP."""

    HAPROXY = "haproxy"
    IPVS = "ipvs"
    KEEPALIVED = "keepalived"
    FIREWALL = "firewall"
    SNMPD = "snmpd"


Only: TypeAlias = Annotated[
    Engine | None, typer.Option("--only", help="This part alone. [default: all]", show_default=False)
]
CutsSession: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Load a firewall although it cuts the ssh session that this runs in.")
]
render_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@render_app.callback()
def _render() -> None:
    """Print what lbkit makes of the site file, without touching anything.

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


@render_app.command("keepalived")
def keepalived(node: Node = None, as_json: Json = False, site: SiteFile = None) -> None:
    """Print keepalived.conf: how the pair's addresses move.

    \b
    Example: lbkit render keepalived --node lb2
    """
    from lbkit import load_site
    from lbkit.errors import Misuse
    from lbkit.pair.render import render

    loaded = load_site(site)
    made = render(loaded, node)
    if not made:
        raise Misuse(
            f"site {loaded.name} has no [pair]: keepalived has nothing to move. Give it one, or ask for haproxy."
        )
    text = made[0].content.decode()
    if as_json:
        print_json({"configuration": text})
    else:
        typer.echo(text, nl=False)


@render_app.command("nftables")
def nftables(node: Node = None, as_json: Json = False, site: SiteFile = None) -> None:
    """Print the firewall: what this site's node listens on is let in, the rest is dropped.

    \b
    Example: lbkit render nftables --node lb2
    """
    from lbkit import load_site
    from lbkit.firewall.ruleset import render

    text = render(load_site(site), node)
    if as_json:
        print_json({"ruleset": text})
    else:
        typer.echo(text, nl=False)


@render_app.command("snmpd")
def snmpd(as_json: Json = False, site: SiteFile = None) -> None:
    """Print snmpd.conf: who may ask what by SNMP. The community and the passphrases are hidden.

    \b
    Example: lbkit render snmpd
    """
    from lbkit import load_site
    from lbkit.snmp.render import shown

    text = shown(load_site(site))
    if as_json:
        print_json({"configuration": text})
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
        print_changes(changes)
    raise typer.Exit(1 if changes else 0)


def apply(
    only: Only = None,
    node: Node = None,
    dry_run: DryRun = False,
    force: CutsSession = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Make the engines run with what the site file says: checked first, written, reloaded without losing a connection,
    verified, and taken back by itself when it does not hold. IPVS is the agent's affair where one runs;
    keepalived goes last of the engines, the firewall first, snmpd after all.

    \b
    Example: lbkit apply --dry-run
    """
    from lbkit import Registry, load_site
    from lbkit.operate.generation import apply as verb
    from lbkit.site.found import site_file

    file, loaded = site_file(site), load_site(site)
    with progress() as tell:
        applied = verb(
            file, loaded, Registry().kind, node, dry_run=dry_run, engines=_engines(only), progress=tell, force=force
        )
    _tell(applied, as_json)


def _engines(only: Engine | None) -> tuple[EngineName, ...]:
    from lbkit.operate.apply import ENGINES

    return tuple(one for one in ENGINES if only is None or one == only.value)


def reload(dry_run: DryRun = False, as_json: Json = False, site: SiteFile = None) -> None:
    """Start the engines anew with the configuration that is installed, without losing or misrouting a connection.

    \b
    Example: lbkit reload
    """
    from lbkit import load_site
    from lbkit.operate.reload import reload as verb

    loaded = load_site(site)
    with progress() as tell:
        applied = verb(loaded, dry_run=dry_run, progress=tell)
    _tell(applied, as_json)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
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


def print_changes(changes: Sequence[Change]) -> None:
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
