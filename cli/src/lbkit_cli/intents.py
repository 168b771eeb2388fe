"""`lbkit intents`: what operators asked for on this node."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit_cli.site_option import SiteFile
from lbkit_cli.terminal import console
from lbkit_cli.verb_options import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit.operate.both import PeerIntents
    from lbkit.site.model import Site
    from lbkit.state.intents import Intent


def intents(
    everything: Annotated[
        bool, typer.Option("--all", help="Those too that say online, and those whose time is up.")
    ] = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """List what operators asked for: which real servers are to be out, or to have another weight; who, when, why, until.

    Of a pair it says whether the other node has the same.

    \b
    Example: lbkit intents
    """
    from lbkit.operate.both import PeerIntents, peer_intents
    from lbkit.state.intents import Intents

    store, now = Intents(), time.time()
    found = [one for one in store.all(now) if everything or one.wanted != "online" or one.weight is not None]
    if everything:
        found = sorted([*found, *store.ended(now)], key=lambda one: (one.vip, one.server))
    loaded = _site(site)
    peer = peer_intents(loaded) if loaded else PeerIntents()
    if as_json:
        print_json({"intents": [one.as_dict() for one in found], "peer": peer.as_dict() if peer.node else None})
        return
    if found:
        _print(found, now)
    else:
        typer.echo("no real server is asked to be out, or to have another weight")
    sys.stdout.flush()
    _print_peer(peer)


def _site(given: str | None) -> Site | None:
    """None: nobody has named one, and none is there."""
    from lbkit import load_site
    from lbkit.errors import Misuse
    from lbkit.site.found import site_file

    try:
        file = site_file(given)
    except Misuse:
        return None
    return load_site(str(file))


def _print_peer(peer: PeerIntents) -> None:
    from lbkit.checks.conversation import printable

    if peer.why:
        typer.echo(f"warning: whether node {peer.node} has the same is not known: {printable(peer.why)}", err=True)
    elif peer.differs:
        places = ", ".join(peer.differs)
        typer.echo(f"warning: node {peer.node} differs: {printable(places)}. The agents make them equal.", err=True)
    elif peer.node:
        typer.echo(f"node {peer.node} has the same")


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
