"""How a site is now (guide 10)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lbkit.errors import EngineError
from lbkit.haproxy import from_page
from lbkit.operate.engines import Engine, engine_of
from lbkit.operate.outcome import ServerView, VipView
from lbkit.operate.wording import IN_FORCE
from lbkit.site.model import Site
from lbkit.site.naming import vips_of
from lbkit.site.services import RealServer, Vip
from lbkit.state.intents import Intent, Intents
from lbkit.state.observed import ServerState, VipState

if TYPE_CHECKING:
    from lbkit.haproxy.statistics_page import StatisticsPage

NOT_THERE = "{engine} does not have {vip}. Apply the site: lbkit apply"


def overview(site: Site, vips: Collection[str] = (), state: Path | None = None) -> list[VipView]:
    """These VIPs (none given: all), in the site's order. `state`: the folder of intents.

    Raises Misuse for a VIP that is not there, and EngineError where no engine of theirs answers; VIPs of one that does not,
    while another does, are unseen.
    """
    chosen = vips_of(site, vips)
    intents = {(one.vip, one.server): one for one in Intents(state).all()}
    looks = {vip.mode: _Look(engine_of(site, vip, state)) for vip in chosen}
    failed = [look.failed for look in looks.values() if look.failed]
    if failed and len(failed) == len(looks):
        raise failed[0]
    return [looks[vip.mode].view(vip, intents) for vip in chosen]


class _Look:
    """One look at an engine. `failed`: why it could not be looked at."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._warnings: list[str] = []
        self.failed: EngineError | None = None
        try:
            self._seen = engine.look()
            self._warnings += engine.warnings  # of the engine as a whole: told with its first VIP
        except EngineError as e:
            self._seen, self.failed = {}, e

    def view(self, vip: Vip, intents: Mapping[tuple[str, str], Intent]) -> VipView:
        name, seen = self._engine.name, self._seen.get(vip.label)
        if self.failed or seen is None:
            return VipView(vip, (), unseen=str(self.failed or NOT_THERE.format(vip=vip.label, engine=name)))
        servers = tuple(
            _server(name, server, seen.servers.get(server.label), intents.get((vip.label, server.label)))
            for server in vip.servers
        )
        stuck = self._engine.stuck_to(vip)
        warnings = [*_warnings(name, vip, servers, stuck, seen), *self._warnings]
        self._warnings = []
        return VipView(vip, servers, seen.connections, stuck, seen.fallback, seen.held, tuple(warnings), seen.unseen)


def overview_of_page(site: Site, page: StatisticsPage, vips: Collection[str] = ()) -> list[VipView]:
    """The same as a statistics page has it: of another machine too, and without what operators asked there.

    Raises Misuse for a VIP that is not there, and EngineError where the page can't be read.
    """
    seen = from_page.look(site, page.stats())
    return [_view_of_page(vip, seen.get(vip.label)) for vip in vips_of(site, vips)]


def _view_of_page(vip: Vip, seen: VipState | None) -> VipView:
    if vip.mode != "l7-snat":
        return VipView(vip, (), unseen=f"{vip.label} is a layer-4 VIP: a statistics page has nothing of it.")
    if seen is None:
        return VipView(vip, (), unseen=NOT_THERE.format(vip=vip.label, engine="HAProxy"))
    servers = (_server("HAProxy", server, seen.servers.get(server.label), None) for server in vip.servers)
    return VipView(vip, tuple(replace(one, drift="") for one in servers), seen.connections, fallback=seen.fallback)


def _server(engine: str, server: RealServer, state: ServerState | None, intent: Intent | None) -> ServerView:
    if state is None:
        drift = f"it is in the site, and not in {engine}: lbkit apply"
        return ServerView(server, intent, "absent", "unknown", "", 0.0, 0, 0, 0, 0, drift=drift)
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
        state.inactive,
        _drift(engine, server, state, intent),
    )


def _drift(engine: str, server: RealServer, state: ServerState, intent: Intent | None) -> str:
    wanted = intent.wanted if intent else "online"
    weight = server.weight if intent is None or intent.weight is None else intent.weight
    if state.wanted == wanted and state.weight == weight:
        return ""
    said = []
    if state.wanted != wanted:
        said.append(f"{engine} has it {IN_FORCE[state.wanted]}, and {wanted} is wanted")
    if state.weight != weight and state.wanted != "absent":
        said.append(f"{engine} has weight {state.weight}, and {weight} is wanted")
    return f"{'; '.join(said)}: lbkit apply brings it back"


def _warnings(
    engine: str, vip: Vip, servers: tuple[ServerView, ...], stuck: str | None, seen: VipState
) -> Iterator[str]:
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
        yield f"{vip.label}: {engine} has a real server {label} that the site does not have: lbkit apply"
    if seen.held:
        yield f"{vip.label}: {seen.held}"
    if seen.fallback:
        yield f"{vip.label}: no real server serves; its clients go to the fallback server."
