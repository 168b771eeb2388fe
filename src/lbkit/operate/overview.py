"""How a site is now (guide 10)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lbkit.haproxy import from_page
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.persistence import stuck_to
from lbkit.operate.engines import LAYER_4
from lbkit.operate.outcome import ServerView, VipView
from lbkit.operate.wording import IN_FORCE
from lbkit.site.model import Site
from lbkit.site.naming import vips_of
from lbkit.site.services import RealServer, Vip
from lbkit.state.intents import Intent, Intents
from lbkit.state.observed import ServerState, VipState

if TYPE_CHECKING:
    from lbkit.haproxy.statistics_page import StatisticsPage

NOT_THERE = "{vip} is not in HAProxy's configuration. Apply the site: lbkit apply"


def overview(site: Site, vips: Collection[str] = (), state: Path | None = None) -> list[VipView]:
    """These VIPs (none given: all), in the site's order. `state`: the folder of intents.

    Raises Misuse for a VIP that is not there, and EngineError where HAProxy does not answer.
    """
    chosen = vips_of(site, vips)
    intents = {(one.vip, one.server): one for one in Intents(state).all()}
    haproxy = Haproxy(site)
    seen = haproxy.look() if any(vip.mode == "l7-snat" for vip in chosen) else {}
    return [_view(haproxy, vip, seen.get(vip.label), intents) for vip in chosen]


def overview_of_page(site: Site, page: StatisticsPage, vips: Collection[str] = ()) -> list[VipView]:
    """The same as a statistics page has it: of another machine too, and without what operators asked there.

    Raises Misuse for a VIP that is not there, and EngineError where the page can't be read.
    """
    seen = from_page.look(site, page.stats())
    return [_view_of_page(vip, seen.get(vip.label)) for vip in vips_of(site, vips)]


def _view_of_page(vip: Vip, seen: VipState | None) -> VipView:
    if vip.mode != "l7-snat" or seen is None:
        return VipView(vip, (), unseen=(LAYER_4 if vip.mode != "l7-snat" else NOT_THERE).format(vip=vip.label))
    servers = (_server(server, seen.servers.get(server.label), None) for server in vip.servers)
    return VipView(vip, tuple(replace(one, drift="") for one in servers), seen.connections, fallback=seen.fallback)


def _view(haproxy: Haproxy, vip: Vip, seen: VipState | None, intents: Mapping[tuple[str, str], Intent]) -> VipView:
    if vip.mode != "l7-snat":
        return VipView(vip, (), unseen=LAYER_4.format(vip=vip.label))
    if seen is None:
        return VipView(vip, (), unseen=NOT_THERE.format(vip=vip.label))
    servers = tuple(
        _server(server, seen.servers.get(server.label), intents.get((vip.label, server.label)))
        for server in vip.servers
    )
    stuck = stuck_to(haproxy, vip)
    warnings = list(_warnings(vip, servers, stuck, seen))
    if haproxy.uncounted and vip is haproxy.vips[0]:
        warnings.append(f"connections of before a reload are not counted: {haproxy.uncounted}")
    return VipView(vip, servers, seen.connections, stuck, seen.fallback, tuple(warnings))


def _server(server: RealServer, state: ServerState | None, intent: Intent | None) -> ServerView:
    if state is None:
        drift = "it is in the site, and not in HAProxy: lbkit apply"
        return ServerView(server, intent, "absent", "unknown", "", 0.0, 0, 0, 0, 0, drift)
    return ServerView(
        server,
        intent,
        state.wanted,
        state.health,
        state.why,
        state.since,
        state.weight,
        state.connections,
        state.old_connections,
        state.total,
        _drift(server, state, intent),
    )


def _drift(server: RealServer, state: ServerState, intent: Intent | None) -> str:
    wanted = intent.wanted if intent else "online"
    weight = server.weight if intent is None or intent.weight is None else intent.weight
    if state.wanted == wanted and state.weight == weight:
        return ""
    said = []
    if state.wanted != wanted:
        said.append(f"HAProxy has it {IN_FORCE[state.wanted]}, and {wanted} is wanted")
    if state.weight != weight:
        said.append(f"HAProxy has weight {state.weight}, and {weight} is wanted")
    return f"{'; '.join(said)}: lbkit apply brings it back"


def _warnings(vip: Vip, servers: tuple[ServerView, ...], stuck: str | None, seen: VipState) -> Iterator[str]:
    first = servers[0]
    if stuck is not None and stuck != first.label:
        back = f"lbkit pin {vip.label} --first"
        if first.serves:
            yield f"{vip.label} is stuck to {stuck}, and its first server {first.label} is up: {back}"
        else:
            yield f"{vip.label} is stuck to {stuck}; its first server {first.label} does not serve. Once it does: {back}"
    if stuck is not None and stuck not in {server.label for server in servers}:
        yield f"{vip.label} is stuck to {stuck}, which is none of its real servers: lbkit clear-table {vip.label}"
    for label in seen.servers.keys() - {server.label for server in servers}:
        yield f"{vip.label}: HAProxy has a real server {label} that the site does not have: lbkit apply"
    if seen.fallback:
        yield f"{vip.label}: no real server serves; its clients go to the fallback server."
