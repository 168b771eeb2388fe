"""What is to be done about the pair, by how things are. No clock and no I/O.

Who writes `fault` gives the addresses up whatever the other node does: so only while that one has confirmed a moment ago
that it can serve. Else the priority is lowered, and keepalived finds out who is the less bad.

A keepalived that is dead or frozen leaves the addresses here, and they work: they are taken off only when the other node is
master, for then they are on both; and only after that is a frozen one ended, since the new one begins by taking them off.

Two masters hear nothing of each other, or one does not. The lesser one steps aside (the fence) as long as the other confirms
that it is master and can serve, or until its adverts are heard again: then VRRP decides by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lbkit.pair.track import Tracked
from lbkit.state.pair import HaproxyIs, Keepalived, Role

CONFIRMED = 3.0  # seconds that the other node's word counts
_ADVERTS = 3  # adverts of a master that this one, a master too, hears in a row
_SETTLED = 1.0  # seconds that both are master before that is more than a handover
_FROZEN_FOR = 1.0  # seconds before it is ended: a debugger's look is shorter
_DOUBLE = 5.0  # seconds that an answer of another machine for the address counts


@dataclass(frozen=True, slots=True)
class Peer:
    """The other node's last answer. `asked`, `answered`: when; None: never. `since`: when its role changed, on our clock.
    `rank`: how fit it is, for comparison with this node's.
    """

    asked: float | None = None
    answered: float | None = None
    role: Role = "unknown"
    since: float = 0.0
    can_serve: bool = False
    rank: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """All times on one monotonic clock.

    `role`: of keepalived's last word, `since` then; `keepalived` is so since `keepalived_since`, and `parent_only`: what is
    frozen is the part that does not speak VRRP. `haproxy`, `servers_up`: None: not known yet. `held`: addresses are on this
    machine. `heard`: the other node's last advert, `heard_since`: the first of those without a gap. `double`: when another
    machine answered for the address. `interval`: of adverts.
    """

    now: float
    role: Role
    since: float
    keepalived: Keepalived
    keepalived_since: float
    haproxy: HaproxyIs | None
    servers_up: bool | None
    held: bool
    peer: Peer = field(default_factory=Peer)
    heard: float | None = None
    heard_since: float | None = None
    double: float | None = None
    interval: float = 1.0
    preempt: bool = False
    parent_only: bool = False
    rank: tuple[float, ...] = ()

    @property
    def confirmed(self) -> bool:
        """The other node has said a moment ago that it can serve."""
        return self.is_fresh and self.peer.can_serve

    @property
    def is_fresh(self) -> bool:
        """The other node's last word counts."""
        return self.peer.answered is not None and self.now - self.peer.answered <= CONFIRMED

    @property
    def hears(self) -> bool:
        """The other node sends adverts."""
        return self.heard is not None and self.now - self.heard <= self.interval * 1.5 + 0.1


class Orders(NamedTuple):
    """`tracked`: what keepalived is told; what is missing stays as it is. `take_off`: the addresses, from this machine.
    `end`: the frozen keepalived. `split_brain`: why both are held to be master, "": they are not.
    """

    tracked: Mapping[Tracked, bool]
    take_off: bool = False
    end: bool = False
    split_brain: str = ""


class Judge:
    """Remembers what is impaired, and whether this node has stepped aside."""

    def __init__(self) -> None:
        self.impaired = False  # HAProxy did not serve, and has not shown yet that it does again
        self.fenced = False

    def orders(self, seen: Situation) -> Orders:
        """For this moment."""
        if seen.haproxy in ("dead", "hung"):
            self.impaired = True
        elif seen.haproxy is not None and seen.servers_up:
            self.impaired = False
        split_brain = _split_brain(seen)
        self.fenced = self._fences(seen, bool(split_brain))
        tracked: dict[Tracked, bool] = {}
        if seen.haproxy is not None:
            tracked = {"fault": self.fenced or (self.impaired and seen.confirmed), "haproxy_down": self.impaired}
        elif not seen.confirmed:
            tracked = {"fault": False}  # an agent before this one may have left it
        if seen.servers_up is not None:
            tracked["servers_down"] = not seen.servers_up
        elif not (seen.held and seen.keepalived == "running"):  # a master whose agent begins stays one
            tracked["servers_down"] = True
        holder = _holder(seen)
        if holder is not None:
            tracked["holder"] = holder
        take_off = seen.keepalived != "running" and seen.held and not seen.parent_only and _other_is_master(seen)
        return Orders(tracked, take_off, _ends(seen, take_off), split_brain)

    def _fences(self, seen: Situation, split_brain: bool) -> bool:
        """Whether this node steps aside."""
        other_serves = seen.confirmed and seen.peer.role == "master"
        if not self.fenced:
            return split_brain and other_serves and seen.rank < seen.peer.rank
        heard_again = seen.hears and seen.heard_since is not None and seen.now - seen.heard_since >= _steadily(seen)
        return other_serves and not heard_again


def _split_brain(seen: Situation) -> str:
    """Why both are master, "": they are not."""
    now = seen.now
    if seen.role != "master" or seen.keepalived != "running" or now - seen.since < _SETTLED:
        return ""
    if seen.hears and seen.heard_since is not None and now - max(seen.heard_since, seen.since) >= _steadily(seen):
        return "the other node sends adverts of a master too"
    peer = seen.peer
    says_so = seen.is_fresh and peer.role == "master" and now - peer.since >= _SETTLED
    if says_so and peer.asked is not None and peer.asked - seen.since >= _SETTLED:
        return "the other node says that it is master too"
    if seen.double is not None and now - seen.double <= _DOUBLE and seen.double - seen.since >= _SETTLED:
        return "another machine answers for the address too"
    return ""


def _steadily(seen: Situation) -> float:
    return max(_ADVERTS * seen.interval, _SETTLED)


def _holder(seen: Situation) -> bool | None:
    """Whether this node has the addresses and keeps them; None: leave it as it is."""
    if seen.preempt:
        return False
    if seen.keepalived == "dead":
        return False  # the next keepalived begins without
    if seen.keepalived == "frozen" and not seen.parent_only:
        return None if seen.held and not _other_is_master(seen) else False
    return None if seen.role == "unknown" else seen.role == "master"


def _other_is_master(seen: Situation) -> bool:
    """Since this node's keepalived does nothing: an advert, or an answer."""
    begun = seen.keepalived_since
    if seen.hears and seen.heard is not None and seen.heard > begun:
        return True
    return seen.is_fresh and seen.peer.role == "master" and seen.peer.asked is not None and seen.peer.asked > begun


def _ends(seen: Situation, take_off: bool) -> bool:
    """Whether a frozen keepalived is ended, so that its service starts another."""
    if seen.keepalived != "frozen" or seen.now - seen.keepalived_since < _FROZEN_FOR:
        return False
    return seen.role != "master" if seen.parent_only else take_off or not seen.held
