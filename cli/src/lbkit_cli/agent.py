"""`lbkit agent`: the process that watches layer 4 and the pair, and tells; and how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lbkit.errors import Misuse, NotAnswering, NotRunning
from lbkit_cli.site_option import SiteFile
from lbkit_cli.verb_options import Json, print_json

if TYPE_CHECKING:
    from lbkit.site.model import Site
    from lbkit.state.agent import AgentState
    from lbkit.state.pair import PairSeen


def agent(
    observe: Annotated[
        bool,
        typer.Option("--observe", help="Do everything, and change nothing: events are recorded, and sent to nobody."),
    ] = False,
    flush_on_exit: Annotated[
        bool, typer.Option("--flush-on-exit", help="At a clean end, take the site's services out of IPVS.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how the agent is that runs, and end.")] = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Check the real servers of layer 4 all day, keep IPVS right, tell of what happens, and watch over the pair.

    It sends alerts, and serves metrics and what snmpd answers, on a site of layer 7 alone too. In a pair it tells keepalived
    what this node is fit for, and asks the other node each second. SIGHUP reads the site file anew. SIGTERM ends it, and
    leaves IPVS and what keepalived was told as they are.
    --status exits with 0 if all is well, 1 if there is trouble, 2 if none runs, or it hangs.

    \b
    Example: lbkit agent --observe
    """
    from lbkit.checks.registry import Registry
    from lbkit.site.found import site_file
    from lbkit.site.load import load_site

    if (as_json and not status) or (status and (observe or flush_on_exit)):
        raise Misuse("--json goes with --status; --observe and --flush-on-exit do not. Leave one out.")
    if observe and flush_on_exit:
        raise Misuse("--observe writes nothing, so there is nothing to flush. Leave out --flush-on-exit.")
    registry = Registry()
    found = site_file(site)
    if status:
        raise typer.Exit(_status(load_site(found, registry.models()), as_json))

    import asyncio
    import logging
    import os

    from lbkit.agent.agent import Agent, Options
    from lbkit.ipvs.engine import Ipvs
    from lbkit_cli.logs import log_of_service
    from lbkit_cli.sweep import raise_file_limit

    raise_file_limit()
    log_of_service()
    options = Options(str(found.absolute()), None, observe, flush_on_exit)
    asyncio.run(Agent(lambda: load_site(found, registry.models()), registry.kind, Ipvs, options).run())
    logging.shutdown()
    os._exit(0)  # Python would wait for what plugins have begun, as long as that takes


def _status(site: Site, as_json: bool) -> int:
    from lbkit.state.agent import Agent

    try:
        state = Agent(site.agent.socket).state()
    except (NotRunning, NotAnswering) as e:
        if as_json:
            print_json({"running": isinstance(e, NotAnswering), "error": str(e)})
        else:
            typer.echo(f"lbkit: {e}", err=True)
        return 2
    if as_json:
        print_json({"running": True, **state.as_dict()})
    else:
        _print(state)
    return 1 if state.trouble or any(state.receivers.values()) else 0


def _print(state: AgentState) -> None:
    from lbkit.checks.conversation import printable
    from lbkit.checks.result import milliseconds

    what = "observes" if state.observe else "keeps IPVS" if state.vips else "answers HAProxy"
    typer.echo(f"the agent (pid {state.pid}) {what} for site {state.site} ({state.site_file})")
    typer.echo(f"{state.checks} checks; its loop is at most {milliseconds(state.lag)} late (99 %)")
    if state.pair is not None:
        _print_pair(state.pair)
    for label, vip in state.vips.items():
        for name, one in vip.servers.items():
            typer.echo(printable(f"{label}/{name} {one.health}, {one.wanted}: {one.why}"))
        if vip.held:
            typer.echo(printable(f"{label} is held: {vip.held}"))
    if state.receivers:
        typer.echo(printable(f"events go to {', '.join(sorted(state.receivers))}"))
    for name, wrong in state.receivers.items():
        if wrong:
            typer.echo(printable(f"receiver {name}: {wrong}"))
    if state.trouble:
        typer.echo(printable(f"trouble: {state.trouble}"))


def _print_pair(pair: PairSeen) -> None:
    from lbkit.checks.conversation import printable

    able = "" if pair.can_serve else f"; can't serve: {pair.why_not}"
    held = f", holds {' '.join(pair.held)}" if pair.held else ""
    typer.echo(printable(f"node {pair.node} is {pair.role} since {pair.since:.0f} s{held}{able}"))
    told = " ".join(name for name, value in pair.tracked.items() if value) or "nothing"
    typer.echo(f"keepalived {pair.keepalived}, told: {told}; HAProxy {pair.haproxy}")
    peer = pair.peer
    heard = ", ".join(
        f"{what} {'never' if age is None else f'{age:.1f} s ago'}"
        for what, age in (
            ("its agent", peer.answer_age),
            ("its HAProxy", peer.tables_age),
            ("adverts", peer.advert_age),
        )
    )
    able = "can serve" if peer.can_serve else f"can't serve: {peer.why_not or 'it has not said why'}"
    typer.echo(printable(f"the other node is {peer.role}, {able}; heard: {heard}"))
