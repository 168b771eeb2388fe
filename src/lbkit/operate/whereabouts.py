"""Where the VIPs of a pair are, in one line: what this node knows without asking the other one."""

from __future__ import annotations

from contextlib import suppress

from lbkit.errors import LbkitError
from lbkit.pair import vrrp
from lbkit.site.model import Site
from lbkit.state.agent import Agent
from lbkit.state.node import node_of, peer_of
from lbkit.state.pair import PairSeen, Role

_WITHIN = 1.0  # second, for each that is asked
_ADVERTS = 4  # without one, nobody is master


def whereabouts(site: Site) -> str:
    """`lb1 (this node) has the VIPs`; "" without a pair, and where this machine is no node of it."""
    here = peer = None
    with suppress(LbkitError):
        here, peer = node_of(site), peer_of(site)
    if here is None or peer is None or site.pair is None:
        return ""
    seen = _by_agent(site)
    if seen and seen.split_brain:
        return f"SPLIT BRAIN: {seen.split_brain}: lbkit pair status"
    role = _role(site, seen)
    if role == "master":
        return f"{here.name} (this node) has the VIPs"
    age = seen.peer.advert_age if seen else None
    if role == "backup" and (seen is None or (age is not None and age <= _ADVERTS * site.pair.advert_interval)):
        return f"{peer.name} has the VIPs; {here.name} (this node) is backup, and shows what it sees"
    return f"{here.name} (this node) does not have the VIPs ({role}): lbkit pair status"


def _by_agent(site: Site) -> PairSeen | None:
    try:
        return Agent(site.agent.socket, _WITHIN).state().pair
    except LbkitError:
        return None


def _role(site: Site, seen: PairSeen | None) -> Role:
    """By keepalived itself, or where that can't be asked, by the agent. A frozen one has none."""
    try:
        return vrrp.look(site, _WITHIN).role
    except LbkitError:
        return seen.role if seen else "unknown"
