"""`lbkit overview`: every VIP with its real servers, once or again and again."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit_cli.site_option import SiteFile, Vips
from lbkit_cli.terminal import console
from lbkit_cli.verb_options import duration, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lbkit.operate.outcome import VipView
    from lbkit.site.model import Site


def overview(
    vips: Vips = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
    interval: Annotated[
        str, typer.Option("--interval", metavar="DURATION", help="With --watch: from one look to the next.")
    ] = "2s",
    stats_url: Annotated[
        str | None,
        typer.Option("--stats-url", metavar="URL", help="Ask HAProxy's statistics page, perhaps of another machine."),
    ] = None,
    stats_auth_file: Annotated[
        str, typer.Option("--stats-auth-file", metavar="FILE", help="Holds USER:PASSWORD for that page.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; with --watch one a line.")] = False,
    site: SiteFile = None,
) -> None:
    """Show every VIP with its real servers: what operators asked for, and what the checks found.

    A VIP is green when all its real servers take new clients, yellow when some do, red when none does. A real server
    that an operator took out is blue. ▸ marks the one that a Last Successful VIP is stuck to. With a pair a line says
    which node has the VIPs.
    Exits with 0 if all is green, 1 if something is yellow, unknown or taken out, 2 if a VIP is red; after --watch with 0.

    \b
    Example: lbkit overview CCW_NOTIFICATION --watch
    """
    from lbkit import load_site
    from lbkit_cli.overview_table import exit_code, show

    pause = duration("--interval", interval)
    loaded = load_site(site)
    look = _looking(loaded, vips or (), stats_url, stats_auth_file)
    find = _finding(loaded, stats_url)
    if watch:
        _watch(look, find, pause, as_json, loaded.name)
        return
    views, where = look(), find()
    if as_json:
        print_json(_document(loaded.name, views, where))
    else:
        show(views, console())
        if where:
            typer.echo(where)
    raise typer.Exit(exit_code(views))


def _finding(site: Site, url: str | None) -> Callable[[], str]:
    """What says which node of a pair has the VIPs; of a page of another machine nothing is said."""
    from lbkit.checks.conversation import printable
    from lbkit.operate.whereabouts import whereabouts

    return lambda: "" if url else printable(whereabouts(site))


def _looking(site: Site, vips: Sequence[str], url: str | None, auth_file: str) -> Callable[[], Sequence[VipView]]:
    """What looks once: at this machine's HAProxy, or at a statistics page."""
    from lbkit.errors import Misuse
    from lbkit.operate.overview import overview, overview_of_page

    if url is None:
        if auth_file:
            raise Misuse("--stats-auth-file is for --stats-url. Give that too, or neither.")
        return lambda: overview(site, vips)
    from lbkit.haproxy.statistics_page import StatisticsPage

    page = StatisticsPage(url, auth_file=auth_file)
    return lambda: overview_of_page(site, page, vips)


def _watch(
    look: Callable[[], Sequence[VipView]], find: Callable[[], str], pause: float, as_json: bool, name: str
) -> None:
    """Until Ctrl-C. An engine that does not answer, as while it restarts, is told, and asked again."""
    from rich.live import Live

    from lbkit.errors import EngineError
    from lbkit_cli.overview_table import screen, show

    terminal = console()
    on_screen = terminal.is_terminal and not as_json
    try:
        with Live(console=terminal, screen=True, auto_refresh=False) if on_screen else nullcontext() as live:
            while True:
                views: Sequence[VipView] = ()
                trouble = ""
                try:
                    views = look()
                except EngineError as e:
                    trouble = str(e)
                where = find()
                if live:
                    live.update(screen(views, trouble, terminal, where), refresh=True)
                elif trouble:
                    print(f"lbkit: {trouble}", file=sys.stderr)
                elif as_json:
                    typer.echo(json.dumps(_document(name, views, where), ensure_ascii=False))
                else:
                    terminal.print(f"{time.strftime('%H:%M:%S')}  {name}{f'  {where}' if where else ''}")
                    show(views, terminal)
                time.sleep(pause)
    except KeyboardInterrupt:
        return


def _document(name: str, views: Sequence[VipView], where: str) -> dict[str, object]:
    found: dict[str, object] = {"site": name, "vips": [view.as_dict() for view in views]}
    return found | {"pair": where} if where else found
