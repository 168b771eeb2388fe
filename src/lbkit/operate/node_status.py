"""How one node of the pair is, as `lbkit pair status` compares it with the other: what the node says of itself, as values.

What a node could not find out stands in its field `troubles`, in words, and the value itself is None or empty: not known is
never shown as well. Another lbkit's document is read as far as it goes, since the standby is upgraded first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lbkit.errors import Misuse
from lbkit.state.applied import Applied
from lbkit.state.pair import HaproxyIs, Keepalived, PairSeen, Role, known


@dataclass(frozen=True, slots=True)
class HaproxyStatus:
    """`tables`: entries by VIP. `peer_established`: tables get across to the other node, by HAProxy's word. `peer_heard`:
    seconds since the other node's HAProxy said something. `probe`: the entry that the other node is to find is set.
    """

    state: HaproxyIs = "none"
    version: str = ""
    tables: Mapping[str, int] = field(default_factory=dict)
    peer_established: bool = False
    peer_heard: float | None = None
    probe: bool = False


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """`silent`: why it does not answer, "": it does."""

    silent: str = ""
    observe: bool = False
    trouble: str = ""
    pair: PairSeen | None = None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """`keepalived`: None: this process may not ask it. `since`: of the role, seconds since the epoch. `held`: addresses of
    the pair that are on the machine. `servers_up`, `servers`: real servers of all VIPs;
    None: not of all VIPs is it known. `tracked`: those that are set.
    `maintenance`: by whom, when and why. `left`: which node has left the pair, as far as this one knows; "": neither.
    `digest`: of the site file with all that it names; `applied`: the site that was applied last. `differs`: what
    `lbkit apply` would change.
    `certificates`: by name, fingerprint and end (seconds since the epoch). `intents`: what is in force, as `Intent.as_dict`.
    `own`: settings that are never copied. `time`: its clock. `troubles`: what it could not find out, by what.
    """

    node: str
    lbkit: str = ""
    time: float = 0.0
    keepalived: Keepalived | None = None
    role: Role = "unknown"
    priority: int = 0
    base: int = 0
    since: float = 0.0
    held: tuple[str, ...] = ()
    haproxy: HaproxyStatus = field(default_factory=HaproxyStatus)
    agent: AgentStatus = field(default_factory=AgentStatus)
    servers_up: int | None = None
    servers: int = 0
    tracked: tuple[str, ...] = ()
    maintenance: str = ""
    left: str = ""
    digest: str = ""
    applied: Applied = field(default_factory=Applied)
    differs: tuple[str, ...] = ()
    certificates: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    intents: tuple[Mapping[str, Any], ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_master(self) -> bool:
        """By the word of a keepalived that works."""
        return self.keepalived == "running" and self.role == "master"

    @property
    def has_addresses(self) -> bool:
        """It answers for the VIPs: as master, or because a keepalived that is frozen or dead has left them on it."""
        return self.is_master or bool(self.held)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> NodeStatus:
        """What `as_dict` gave, perhaps that of another lbkit. Raises KeyError, TypeError for what is no such thing."""
        given = known(cls, values)
        given["haproxy"] = HaproxyStatus(**known(HaproxyStatus, values.get("haproxy") or {}))
        agent = known(AgentStatus, values.get("agent") or {})
        try:
            pair = PairSeen.of(agent["pair"]) if agent.get("pair") else None
        except (KeyError, TypeError, AttributeError):  # another lbkit's
            pair = None
        given["agent"] = AgentStatus(**{**agent, "pair": pair})
        try:
            given["applied"] = Applied.of(values.get("applied"))
        except Misuse:
            given["applied"] = Applied()
        given["certificates"] = {
            name: (str(one[0]), float(one[1])) for name, one in given.get("certificates", {}).items()
        }
        for name in ("held", "tracked", "differs", "intents"):
            given[name] = tuple(given.get(name, ()))
        return cls(**given)
