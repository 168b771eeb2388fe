"""What an engine has in force, in words that all engines share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from lbkit.state.intents import Wanted

Health = Literal["up", "down", "unknown"]


class ServerState(NamedTuple):
    """A real server as its engine has it.

    `why`: the last check, in the engine's words. `since`: seconds since its state changed. `connections`: open ones,
    `old_connections` of
    them in processes of before a reload. `total`: since the engine started.
    """

    wanted: Wanted
    health: Health
    why: str = ""
    since: float = 0.0
    weight: int = 0
    connections: int = 0
    old_connections: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class VipState:
    """A VIP as its engine has it. `servers`: by label. `connections`: of clients. `fallback`: the fallback server serves."""

    servers: Mapping[str, ServerState] = field(default_factory=dict)
    connections: int = 0
    fallback: bool = False
