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
    None: not known yet. `haproxy_silent`: it has not answered for seconds, and this node is to serve. `pair`: None: not
    known, or none. `settled`: the other node has had time to answer since the agent began. `expiries`: of certificates,
    None: not known yet.
    """

    vips: Mapping[str, VipState]
    intents: IntentsInForce = field(default_factory=dict)
    ended: Collection[Intent] | None = None
    haproxy_silent: bool = False
    pair: PairSeen | None = None
    settled: bool = True
    expiries: Sequence[Expiry] | None = None
