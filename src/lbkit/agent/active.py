"""Whether this node is the one that sends mail and traps: one of a pair does, and somebody must."""

from __future__ import annotations

from lbkit.site.model import Site
from lbkit.state.pair import PairSeen

_ANSWERS = 5.0  # seconds that the other node's last word counts


def is_active(site: Site, pair: PairSeen | None, settled: bool) -> bool | None:
    """None: that will show in a moment. `pair`: None: this machine is no node of it, or there is none. `settled`: keepalived
    and the other node have had time to answer.

    The master. Where this node has no part in VRRP: unless the other one is master; and where neither is, and both say so,
    the first node of the site.
    """
    if site.pair is None or pair is None or pair.role == "master":
        return True
    if pair.role == "backup":
        return False  # there is a master
    if pair.role == "unknown" and pair.keepalived == "running" and not settled:
        return None
    peer = pair.peer
    if peer.advert_age is not None and peer.advert_age <= 3 * site.pair.advert_interval + 1:
        return False
    if peer.answer_age is None or peer.answer_age > _ANSWERS:
        return True if settled else None
    return peer.role != "master" and site.pair.nodes[0].name == pair.node
