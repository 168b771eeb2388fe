"""How the two nodes reach each other: what was found on the way from this one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lbkit.operate.finding import Finding
from lbkit.operate.node_status import NodeStatus

_CLOCKS = 1.0  # seconds
_SETTLED = 5  # adverts without one make a backup master: one that stays backup for longer hears them


@dataclass(frozen=True, slots=True)
class Reached:
    """`ssh`: why the peer could not be asked, "": it could; `lets_in`: it lets this node in, so far as it can be reached.

    `offset`: its clock minus this one's, in seconds. `probe_here`: its probe entry has come; `probe_there`: this node's has
    come there; None: that was not tried. `vrrp`: the master's adverts get to the other node; `agents`: the agents reach each
    other; None: not known.
    """

    ssh: str = ""
    lets_in: bool = True
    offset: float | None = None
    probe_here: bool | None = None
    probe_there: bool | None = None
    vrrp: bool | None = None
    agents: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return asdict(self)


def hears_adverts(node: NodeStatus, interval: float) -> bool | None:
    """Whether VRRP gets through to this node from the other one; None: unknown. `interval`: of adverts, in seconds.

    Only a master sends them. A backup that hears none becomes master.
    """
    if node.keepalived == "running" and node.role == "backup" and node.time - node.since > _SETTLED * interval:
        return True
    age = node.agent.pair.peer.advert_age if node.agent.pair else None
    counts_for = min(_SETTLED * interval, node.time - node.since - interval if node.is_master else _SETTLED * interval)
    if age is not None and age <= counts_for:  # a master counts those alone that it has heard since it is one
        return True
    return False if node.is_master or (node.agent.pair and age is not None) else None


def vrrp_gets_through(here: NodeStatus, there: NodeStatus | None, interval: float) -> bool | None:
    """Whether who is not master hears the master; of two masters whether one hears the other. None: not known."""
    both = [one for one in (here, there) if one is not None]
    listening = [one for one in both if not one.is_master] or (both if there is not None else [])
    heard = [hears_adverts(one, interval) for one in listening]
    return None if None in heard or not heard else any(heard)


def agents_reach_each_other(here: NodeStatus, there: NodeStatus | None) -> bool | None:
    """By their own word; None: none of them says anything."""
    seen = [one.agent.pair for one in (here, there) if one is not None and one.agent.pair]
    return not any(one.peer.trouble for one in seen) if seen else None


def problems(
    here: NodeStatus, peer: str, there: NodeStatus | None, reached: Reached, interval: float
) -> Iterator[Finding]:
    """What is wrong with the ways between them; that VRRP is cut is the roles' affair."""
    if there is None and reached.lets_in:
        yield from _silent(here, peer, reached, interval)
    elif there is None:
        yield Finding("wrong", peer, reached.ssh, "lbkit pair setup")
    else:
        if reached.offset is not None and abs(reached.offset) > _CLOCKS:
            how = "ahead of" if reached.offset > 0 else "behind"
            what = f"its clock is {abs(reached.offset):.1f} s {how} that of {here.node}: of two intents the later one holds."
            yield Finding("wrong", peer, what, "chronyc tracking (on both nodes)")
        yield from _unheard(here, there)
        yield from _unheard(there, here)
        yield from _not_replicated(here, there, reached)


def _silent(here: NodeStatus, peer: str, reached: Reached, interval: float) -> Iterator[Finding]:
    others = []
    if hears_adverts(here, interval):
        others.append("VRRP")
    if here.haproxy.peer_established:
        others.append("HAProxy's replication")
    if others:
        what = f"{reached.ssh} It lives: {' and '.join(others)} hear it."
        yield Finding("wrong", peer, what, f"systemctl status ssh (on {peer})")
    else:
        what = f"it is dead, or cut off: it can't be asked, and nothing else hears it. {reached.ssh}"
        yield Finding("wrong", peer, what, "see its console and its cable. If it is lost: lbkit pair replace-node")


def _unheard(one: NodeStatus, other: NodeStatus) -> Iterator[Finding]:
    seen = one.agent.pair
    if seen and not one.agent.silent and seen.peer.trouble:
        what = f"its agent does not reach {other.node}: {seen.peer.trouble}"
        yield Finding("wrong", one.node, what, f"lbkit pair status (on {one.node}), lbkit pair setup")


def _not_replicated(here: NodeStatus, there: NodeStatus, reached: Reached) -> Iterator[Finding]:
    if here.haproxy.state != "up" or there.haproxy.state != "up":
        return
    apart = [one.node for one in (here, there) if not one.haproxy.peer_established]
    if apart:
        yield Finding(
            "wrong",
            "",
            f"HAProxy on {' and '.join(apart)} has no session with the other node's: tables are not replicated.",
            "lbkit lint; is the peer port open from the other node (lbkit render nftables)?",
        )
        return
    ways = ((reached.probe_here, there, here), (reached.probe_there, here, there))
    for arrived, source, target in ways:
        if arrived is False and source.haproxy.probe:
            what = f"an entry that was set on {source.node} has not come to {target.node} within 1 s."
            yield Finding(
                "wrong", "", what, f"show peers in HAProxy's socket on {source.node}; lbkit reload (standby first)"
            )
    for one in (here, there):
        if not one.haproxy.probe:
            yield Finding("wrong", one.node, "its HAProxy runs with a configuration of before the pair.", "lbkit apply")
