"""The VIPs of a site and their real servers, each as its engine has it and as it is wanted, ready to be written down."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from lbkit.checks.told import labels
from lbkit.metrics.figures import Figures
from lbkit.site.services import RealServer, Vip
from lbkit.state.intents import Intent
from lbkit.state.observed import Condition, Health, ServerState, VipState


class ServerRow(NamedTuple):
    """A real server of a VIP. `named`: its labels. `health`: as the checks found it. `state`: as its engine has it, None:
    not known. `differs`: that is otherwise than site and operators want.
    """

    named: str
    health: Health
    state: ServerState | None
    intent: Intent | None
    differs: bool


class VipRow(NamedTuple):
    """A VIP. `named`: its label. `state`: as its engine has it. `entries`: of its table. None: not known."""

    named: str
    condition: Condition
    state: VipState | None
    servers: tuple[ServerRow, ...]
    entries: int | None

    @property
    def differing(self) -> int | None:
        """How many real servers the engine has otherwise than site and operators want; None: not known."""
        return None if self.state is None else sum(row.differs for row in self.servers)


def vip_rows(figures: Figures) -> Iterator[VipRow]:
    """One for each VIP, in the site's order."""
    seen = {**figures.state.vips, **figures.state.layer_7}
    for vip in figures.site.vips:
        yield _vip(figures, vip, seen.get(vip.label))


def _vip(figures: Figures, vip: Vip, seen: VipState | None) -> VipRow:
    servers = tuple([_server(figures, vip, one, seen) for one in vip.servers])
    state = None if seen is None or seen.unseen else seen
    condition = state.condition([one.label for one in vip.servers]) if state else "unknown"
    return VipRow(labels({"vip": vip.label}), condition, state, servers, _entries(figures, vip, state))


def _server(figures: Figures, vip: Vip, server: RealServer, of_vip: VipState | None) -> ServerRow:
    found = of_vip.servers.get(server.label) if of_vip else None
    health: Health = found.health if found else "unknown"
    state = None if of_vip is None or of_vip.unseen else found
    intent = figures.intents.get((vip.label, server.label))
    wanted = intent.wanted if intent else "online"
    weight = server.weight if intent is None or intent.weight is None else intent.weight
    differs = state is None or state.wanted != wanted or state.weight != weight
    return ServerRow(named_server(vip.label, server.label), health, state, intent, differs)


def _entries(figures: Figures, vip: Vip, state: VipState | None) -> int | None:
    if vip.mode == "l7-snat":
        return figures.entries.get(vip.label)
    if state is None or vip.persistence.mode == "none":
        return None
    return sum(one.kept for one in state.servers.values())


@lru_cache(maxsize=1 << 16)
def named_server(vip: str, server: str) -> str:
    """The labels of a real server; each page has them many times over."""
    return labels({"vip": vip, "server": server})


@lru_cache(maxsize=1 << 16)
def named_check(vip: str, server: str, check: str, target: str) -> str:
    """Those of a check of it."""
    return labels({"vip": vip, "server": server, "check": check, "target": target})
