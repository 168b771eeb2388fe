"""What the agent says of the real servers: to questions, and to systemd."""

from __future__ import annotations

import asyncio

from lbkit.agent.pair import Watchman
from lbkit.agent.reconcile import Reconciler
from lbkit.agent.roster import Place
from lbkit.agent.watching import Watching
from lbkit.ipvs.wanted import layer_4, weight_of
from lbkit.site.services import RealServer, Vip
from lbkit.state.observed import ServerState, VipState


def state_of(reconciler: Reconciler, watching: Watching) -> dict[str, VipState]:
    """Each layer-4 VIP: what the engine has, so far as it can be looked at, with what the checks found."""
    found = {}
    for vip in layer_4(reconciler.site):
        seen = (reconciler.seen or {}).get(vip.label, VipState())
        servers = {
            server.label: _server(reconciler, vip, server, seen.servers.get(server.label), watching)
            for server in vip.servers
        }
        unseen = reconciler.unseen if reconciler.seen is None else ""
        found[vip.label] = VipState(servers, seen.connections, seen.fallback, watching.held(vip.label), unseen)
    return found


def _server(
    reconciler: Reconciler, vip: Vip, server: RealServer, seen: ServerState | None, watching: Watching
) -> ServerState:
    place = watching.roster.places[vip.label, server.label]
    if seen is None:
        intent = reconciler.intents.get(place.key)
        seen = ServerState(intent.wanted if intent else "online", place.health, weight=weight_of(server, intent))
    return seen._replace(health=place.health, why=place.why, since=_age(place))


def _age(place: Place) -> float:
    return 0.0 if place.since is None else round(asyncio.get_running_loop().time() - place.since, 3)


def status_of(watching: Watching, trouble: str, watchman: Watchman | None = None) -> str:
    """One line for systemd."""
    healths = [place.health for place in watching.roster.places.values()]
    counted = ", ".join(
        f"{healths.count(health)} {health}" for health in ("up", "down", "unknown") if health in healths
    )
    role = f"{watchman.role}; " if watchman else ""
    return f"{role}real servers: {counted or 'none'}{'; ' if trouble else ''}{' '.join(trouble.split())}"
