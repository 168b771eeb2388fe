"""How a site is at a moment, so far as this node knows: what changes are found in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lbkit.agent.engine import IntentsInForce
from lbkit.metrics.figures import Expiry
from lbkit.state.intents import Intent
from lbkit.state.observed import VipState
from lbkit.state.pair import PairSeen


@dataclass(frozen=True, slots=True)
class Seen:
    """`vips`: of both layers, by label; missing: not known. `intents`: those in force, `ended`: those whose time is up,
    None: not known yet. `unserved`: the VIPs that no engine of this node has, which is to serve them, with the reason in
    words. `pair`: None: not known, or none. `settled`: the other node has had time to answer since the agent began.
    `preferred`: an operator has asked for this node when its role changed. `peer_unfit`: this node has been master, and for
    long the other one's agent has said that it can't serve, or nothing. `expiries`: of certificates, None: not looked
    at since they were told.
    """

    vips: Mapping[str, VipState]
    intents: IntentsInForce = field(default_factory=dict)
    ended: Collection[Intent] | None = None
    unserved: Mapping[str, str] = field(default_factory=dict)
    pair: PairSeen | None = None
    settled: bool = True
    preferred: bool = False
    peer_unfit: bool = False
    expiries: Sequence[Expiry] | None = None
