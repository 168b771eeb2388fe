"""What the agent says of the real servers: to questions, and to systemd."""

from __future__ import annotations

import asyncio

from lbkit.agent.pair import Watchman
from lbkit.agent.reconcile import Reconciler
from lbkit.agent.watching import Watching
from lbkit.ipvs.wanted import layer_4, weight_of
from lbkit.site.services import RealServer
from lbkit.state.intents import Intent
from lbkit.state.observed import ServerState, VipState


def state_of(reconciler: Reconciler, watching: Watching) -> dict[str, VipState]:
    """Each layer-4 VIP: what the engine has, so far as it can be looked at, with what the checks found."""
    now = asyncio.get_running_loop().time()
    places, intents = watching.roster.places, reconciler.intents
    found = {}
    for vip in layer_4(reconciler.site):
        seen = (reconciler.seen or {}).get(vip.label, VipState())
        servers = {}
        for server in vip.servers:
            place = places[vip.label, server.label]
            one = seen.servers.get(server.label) or _unseen(server, intents.get((vip.label, server.label)))
            since = 0.0 if place.since is None else round(now - place.since, 3)
            servers[server.label] = ServerState(one.wanted, place.health, place.why, since, *one[4:])
        unseen = reconciler.unseen if reconciler.seen is None else ""
        found[vip.label] = VipState(servers, seen.connections, seen.fallback, watching.held(vip.label), unseen)
    return found


def _unseen(server: RealServer, intent: Intent | None) -> ServerState:
    """What it is to be, where the engine does not say."""
    return ServerState(intent.wanted if intent else "online", "unknown", weight=weight_of(server, intent))


def status_of(watching: Watching, trouble: str, watchman: Watchman | None = None) -> str:
    """One line for systemd."""
    healths = [place.health for place in watching.roster.places.values()]
    counted = ", ".join(
        f"{healths.count(health)} {health}" for health in ("up", "down", "unknown") if health in healths
    )
    role = f"{watchman.role}; " if watchman else ""
    return f"{role}real servers: {counted or 'none'}{'; ' if trouble else ''}{' '.join(trouble.split())}"
