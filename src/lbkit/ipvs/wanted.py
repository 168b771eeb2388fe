"""What the kernel's table is to hold: site, times intents, times health. Pure: the table that there is now is passed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from lbkit.ipvs.table import Destination, Key, SeenService, Service, Virtual
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Scheduler, Vip
from lbkit.state.intents import Intent
from lbkit.state.observed import Health

Table: TypeAlias = dict[Key, tuple[Service, dict[tuple[str, int], Destination]]]
Intents: TypeAlias = Mapping[tuple[str, str], Intent]
Healths: TypeAlias = Mapping[tuple[str, str], Health]

# The weighted forms, so that weight 0 is a drain in all. fo: the highest weight gets all (kernel: ip_vs_fo).
SCHEDULERS: Mapping[Scheduler, str] = {"least-connections": "wlc", "round-robin": "wrr", "first": "fo"}
PERSISTENCE = 1800.0  # seconds, where the site gives no timeout


def layer_4(site: Site) -> list[Vip]:
    """The VIPs that IPVS carries."""
    return [vip for vip in site.vips if vip.mode == "l4-dr"]


def services(vip: Vip) -> Iterator[tuple[int, Service]]:
    """A VIP's services, one for each of its ports. Direct routing translates none: destinations have the same."""
    timeout = round(vip.persistence.timeout or PERSISTENCE) if vip.persistence.mode == "source-ip" else None
    for port in vip.ports:
        yield port, Service(Virtual(vip.address, port), SCHEDULERS[vip.scheduler], timeout)


def of_site(site: Site) -> Table:
    """The table with every real server in: what `lbkit render ipvs` prints."""
    return table(site, {}, {}, {})


def table(
    site: Site,
    intents: Intents,
    health: Healths,
    now: Mapping[Key, SeenService],
    shares: Mapping[tuple[str, str], float] | None = None,
) -> Table:
    """The services of the site's layer-4 VIPs with their destinations.

    A real server that is down or halted is out. One whose health is "unknown" is as `now` has it; one that has none at all
    is in: nobody watches it. While none takes new clients, the fallback server does. `shares`: part of its weight that a
    real server gets, more than 0, at most 1.
    """
    found: Table = {}
    for vip in layer_4(site):
        for port, service in services(vip):
            there = now[service.key].destinations if service.key in now else {}
            destinations: dict[tuple[str, int], Destination] = {}
            for server in vip.servers:
                key = (vip.label, server.label)
                place = (server.address, port)
                if _is_in(intents.get(key), health.get(key), place in there):
                    weight = kernel_weight(vip, server, intents.get(key), (shares or {}).get(key, 1.0))
                    destinations[place] = Destination(*place, weight)
            if (
                vip.fallback
                and not _may_come(vip, intents, health)
                and not any(one.weight for one in destinations.values())
            ):
                place = (vip.fallback.address, port)
                destinations[place] = Destination(*place)
            found[service.key] = (service, destinations)
    return found


def kernel_weight(vip: Vip, server: RealServer, intent: Intent | None, share: float = 1.0) -> int:
    """The weight that IPVS gets: 0 for a drain. With `first` all that counts is the order, the highest being first."""
    weight = weight_of(server, intent)
    if not weight or (intent is not None and intent.wanted == "drain"):
        return 0
    if vip.scheduler == "first":
        return len(vip.servers) - vip.servers.index(server)
    return max(1, round(weight * share))


def weight_of(server: RealServer, intent: Intent | None) -> int:
    """The weight that a real server is to have while it is online."""
    return server.weight if intent is None or intent.weight is None else intent.weight


def _may_come(vip: Vip, intents: Intents, health: Healths) -> bool:
    """Whether a real server that an operator wants in may turn out to be up: the fallback server waits for that."""
    keys = [(vip.label, server.label) for server in vip.servers]
    return any(health.get(key) == "unknown" and (key not in intents or intents[key].wanted == "online") for key in keys)


def _is_in(intent: Intent | None, health: Health | None, is_there: bool) -> bool:
    if health == "down" or (intent is not None and intent.wanted == "halt"):
        return False
    return is_there if health == "unknown" else True
