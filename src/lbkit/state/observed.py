"""What an engine has in force, in words that all engines share; and the same as the agent sends it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lbkit.state.intents import Wanted

Health = Literal["up", "down", "unknown"]
InForce = Wanted | Literal["absent"]
Condition = Literal["whole", "degraded", "down", "unknown"]


class ServerState(NamedTuple):
    """A real server as its engine has it. `wanted`: of it, so far as the engine has it in force.

    `why`: the last check, in the engine's words. `since`: seconds since its state changed. `connections`: open ones,
    `old_connections` of them in processes of before a reload, `inactive`: besides, those that begin or have ended (layer 4).
    `total`: since the engine started. `kept`: clients that persistence keeps on it (layer 4). `share`: the part of its
    weight that it is to have at this moment, less than 1 while it starts slowly (layer 4).
    """

    wanted: InForce
    health: Health
    why: str = ""
    since: float = 0.0
    weight: int = 0
    connections: int = 0
    old_connections: int = 0
    total: int = 0
    inactive: int = 0
    kept: int = 0
    share: float = 1.0

    @property
    def serves(self) -> bool:
        """Whether new clients can get it: one that nothing is known of is in until a check fails."""
        return self.wanted == "online" and self.health != "down" and self.weight > 0


@dataclass(frozen=True, slots=True)
class VipState:
    """A VIP as its engine has it. `servers`: by label. `connections`: of clients. `fallback`: the fallback server serves.

    `held`: why real servers that are down are left in, "": none is. `unseen`: why nothing but the health of its real servers
    is known, "": all is.
    """

    servers: Mapping[str, ServerState] = field(default_factory=dict)
    connections: int = 0
    fallback: bool = False
    held: str = ""
    unseen: str = ""

    def condition(self, labels: Collection[str]) -> Condition:
        """Whole: all of these real servers serve. Degraded: some do. Down: none, for whatever reason."""
        if self.unseen:
            return "unknown"
        serving = sum(label in self.servers and self.servers[label].serves for label in labels)
        return "whole" if serving == len(labels) else "degraded" if serving else "down"

    def as_dict(self) -> dict[str, Any]:
        """For the agent's messages."""
        return {
            "servers": {label: one._asdict() for label, one in self.servers.items()},
            "connections": self.connections,
            "fallback": self.fallback,
            "held": self.held,
            "unseen": self.unseen,
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> VipState:
        """What `as_dict` gave, of a newer agent too. Raises KeyError, TypeError, AttributeError for anything else."""
        servers = {
            label: ServerState(**{name: one[name] for name in _NAMES & one.keys()})
            for label, one in values["servers"].items()
        }
        return cls(servers, values["connections"], values["fallback"], values["held"], values["unseen"])


_NAMES = frozenset(ServerState._fields)
