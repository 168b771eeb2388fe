"""What the verbs return, in the forms in which it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from lbkit.install.difference import Change
from lbkit.site.services import RealServer, Vip
from lbkit.state.intents import Intent
from lbkit.state.observed import Health, InForce

Colour = Literal["green", "yellow", "red", "blue"]


@dataclass(slots=True)
class ServerView:
    """A real server of a VIP: what the operator asked for and what the checks found, apart.

    `intent`: None: nobody asked for anything, so it is online. `engine`: what the engine has in force. `why`: the last
    check, in its engine's words. `since`: seconds since it went up, down, out or back. `connections`: open ones,
    `old_connections` of them in workers of before a reload, `inactive`: besides, those that begin or have ended (layer 4).
    `drift`: how engine and intent differ, "": they agree.
    """

    server: RealServer
    intent: Intent | None
    engine: InForce
    health: Health
    why: str
    since: float
    weight: int
    connections: int
    old_connections: int
    total: int
    inactive: int = 0
    drift: str = ""

    @property
    def label(self) -> str:
        """Its label."""
        return self.server.label

    @property
    def is_out(self) -> bool:
        """An operator took it out, or the engine has it out: no new clients for it."""
        return self.engine != "online" or (self.intent is not None and self.intent.wanted != "online")

    @property
    def serves(self) -> bool:
        """Whether new clients can get it."""
        return self.engine == "online" and self.health != "down" and self.weight > 0

    @property
    def colour(self) -> Colour:
        """Blue: an operator took it out. Else red down, yellow unknown, green up."""
        if self.is_out:
            return "blue"
        return {"up": "green", "down": "red", "unknown": "yellow"}[self.health]  # type: ignore[return-value]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "server": self.label,
            "address": self.server.address,
            "port": self.server.port,
            "colour": self.colour,
            "health": self.health,
            "why": self.why,
            "since_s": round(self.since, 3),
            "intent": self.intent.as_dict() if self.intent else None,
            "engine": self.engine,
            "drift": self.drift,
            "weight": self.weight,
            "connections": self.connections,
            "old_connections": self.old_connections,
            "inactive_connections": self.inactive,
            "total": self.total,
        }


@dataclass(frozen=True, slots=True)
class VipView:
    """A VIP with its real servers, in the site's order (guide 10).

    `connections`: of clients, now. `stuck_to`: the server that a Last Successful VIP is stuck to. `fallback`: its clients go
    to the fallback server now. `held`: why real servers that are down are left in, "": none is. `unseen`: why nothing is
    known of it, "": all is; of its real servers no more than the health is known then, if they are there. `warnings`: in
    sentences.
    """

    vip: Vip
    servers: tuple[ServerView, ...]
    connections: int = 0
    stuck_to: str | None = None
    fallback: bool = False
    held: str = ""
    warnings: tuple[str, ...] = ()
    unseen: str = ""

    @property
    def label(self) -> str:
        """Its label."""
        return self.vip.label

    @property
    def colour(self) -> Colour | None:
        """Green: all serve. Yellow: some do. Red: none, for whatever reason. None: nothing is known."""
        if self.unseen:
            return None
        serving = sum(server.serves for server in self.servers)
        if not serving:
            return "red"
        return "green" if serving == len(self.servers) else "yellow"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "vip": self.label,
            "address": self.vip.address,
            "ports": list(self.vip.ports),
            "mode": self.vip.mode,
            "protocol": self.vip.protocol,
            "persistence": self.vip.persistence.mode,
            "colour": self.colour,
            "connections": self.connections,
            "stuck_to": self.stuck_to,
            "fallback": self.fallback,
            "held": self.held,
            "warnings": list(self.warnings),
            "unseen": self.unseen,
            "servers": [server.as_dict() for server in self.servers],
        }


@dataclass(frozen=True, slots=True)
class PeerOutcome:
    """What became of a verb on the other node.

    done: it is in force there too. pending: `node` has not got it, `why` says for what reason; it will. none: nobody was to
    be told: there is no pair, or its nodes have not met, as `why` says then.
    """

    outcome: Literal["done", "pending", "none"] = "none"
    node: str = ""
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {"outcome": self.outcome, "node": self.node, "why": self.why}


@dataclass(slots=True)
class Done:
    """What a verb did with one VIP or one of its real servers, or with `dry_run` would do.

    `steps`: sentences, in order. `warnings`: what whoever asked should know. `connections`: still open on the server, on
    both nodes. `entries`: of the table, that still name it. `peer`: what became of it on the other node.
    """

    vip: str
    server: str | None
    verb: str
    dry_run: bool = False
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    connections: int = 0
    entries: int = 0
    peer: PeerOutcome = PeerOutcome()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "vip": self.vip,
            "server": self.server,
            "verb": self.verb,
            "dry_run": self.dry_run,
            "steps": self.steps,
            "warnings": self.warnings,
            "connections": self.connections,
            "entries": self.entries,
            "peer": self.peer.as_dict(),
        }


Progress = Callable[[str], None]


@dataclass(slots=True)
class Applied:
    """What was done with a configuration, or with `dry_run` would be. `steps`: sentences, in order."""

    changes: tuple[Change, ...] = ()
    reloaded: bool = False
    started: bool = False
    dry_run: bool = False
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "changes": [{"file": str(one.path), "change": one.kind, "lines": list(one.lines)} for one in self.changes],
            "reloaded": self.reloaded,
            "started": self.started,
            "dry_run": self.dry_run,
            "steps": self.steps,
            "warnings": self.warnings,
        }
