"""What the agent of a node knows of its pair, as it sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, Literal, get_args

Role = Literal["master", "backup", "fault", "unknown"]
Keepalived = Literal["running", "frozen", "dead"]
HaproxyIs = Literal["up", "hung", "dead", "none"]
IN_MAINTENANCE = "it is in maintenance"
"""`why_not` of a node that an operator has taken out."""


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """The other node as this one sees it. Ages in seconds; None: never.

    `advert_age`: since its last VRRP advert, which only a master sends. `answer_age`: since its agent last answered, over
    ssh. `tables_age`: since HAProxy heard its HAProxy. `role`, `can_serve`, `why_not`: what its agent said last. `trouble`:
    why it can't be asked, "": it can.
    """

    advert_age: float | None = None
    answer_age: float | None = None
    tables_age: float | None = None
    role: Role = "unknown"
    can_serve: bool = False
    why_not: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class PairSeen:
    """This node in its pair.

    `since`: seconds since the role changed. `held`: the addresses of the pair that are on this machine now. `can_serve`: it
    could take the VIPs over, or serves them; `why_not`, "": it can. `tracked`: what keepalived is told. `split_brain`: why
    both nodes are held to be master, "": they are not. `keeps_sessions`: for the peer, until this time (seconds since the
    epoch).
    """

    node: str
    role: Role
    since: float
    keepalived: Keepalived
    haproxy: HaproxyIs
    held: tuple[str, ...]
    can_serve: bool
    why_not: str = ""
    tracked: Mapping[str, bool] = field(default_factory=dict)
    split_brain: str = ""
    keeps_sessions: float | None = None
    peer: PeerSeen = field(default_factory=PeerSeen)

    def as_dict(self) -> dict[str, Any]:
        """For the agent's messages."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> PairSeen:
        """What `as_dict` gave, of a newer agent too. Raises KeyError, TypeError, AttributeError for anything else."""
        peer = PeerSeen(**known(PeerSeen, values["peer"]))
        seen = cls(**{**known(cls, values), "held": tuple(values["held"]), "peer": peer})
        if not (
            seen.role in get_args(Role)
            and type(seen.since) in (int, float)
            and isfinite(seen.since)
            and type(seen.can_serve) is bool
            and isinstance(seen.why_not, str)
            and isinstance(seen.tracked, dict)
            and all(type(value) is bool for value in seen.tracked.values())
        ):
            raise TypeError("this is nothing that an agent says of its pair")  # the other node's watchman goes by it
        return seen


def known(of: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a dataclass has: another lbkit may say more. Raises AttributeError where they are no mapping."""
    names = {one.name for one in fields(of)}
    return {name: value for name, value in values.items() if name in names}
