"""Who of the two has the VIPs: one of them, both (split brain), or neither."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.operate.finding import Finding
from lbkit.operate.node_status import NodeStatus
from lbkit.operate.pair_link import hears_adverts

_NOW = "systemctl stop keepalived (on {node}) ends it at once"
_CABLE = (
    "VRRP (IP protocol 112) does not get through between them: see cable, switch and firewall (lbkit render nftables)"
)


def problems(here: NodeStatus, peer: str, there: NodeStatus | None, interval: float) -> Iterator[Finding]:
    """Split brain, nobody master, and what keepalived itself is doing. `interval`: of adverts, in seconds."""
    both = [one for one in (here, there) if one is not None]
    split = _split_brain(here, there)
    yield from split
    if not split:
        yield from _nobody(here, peer, there, interval)
    for one in both:
        yield from _keepalived(one)


def _split_brain(here: NodeStatus, there: NodeStatus | None) -> list[Finding]:
    if there is not None and here.is_master and there.is_master:
        lower = min((here, there), key=lambda one: one.priority)
        what = f"SPLIT BRAIN: {here.node} and {there.node} are both master, and both answer for the VIPs."
        return [Finding("outage", "", what, f"{_CABLE}. {_NOW.format(node=lower.node)}")]
    if there is not None and here.has_addresses and there.has_addresses:
        ill = here if not here.is_master else there
        what = f"SPLIT BRAIN: {here.node} and {there.node} both have the VIPs; keepalived on {ill.node} is {_is(ill)}."
        return [
            Finding(
                "outage", "", what, f"systemctl kill -s KILL keepalived; systemctl restart keepalived (on {ill.node})"
            )
        ]
    if there is None and (seen := here.agent.pair) and seen.split_brain:
        return [Finding("outage", "", f"SPLIT BRAIN: {seen.split_brain}", f"{_CABLE}. {_NOW.format(node=here.node)}")]
    return []


def _nobody(here: NodeStatus, peer: str, there: NodeStatus | None, interval: float) -> Iterator[Finding]:
    if here.has_addresses or (there is not None and there.has_addresses):
        return
    if here.keepalived is None or (there is not None and there.keepalived is None):
        return  # told as a trouble
    if there is None:
        if hears_adverts(here, interval):
            return
        what = f"{here.node} does not have the VIPs, and nothing shows that {peer} has them."
    else:
        what = "NOBODY has the VIPs: neither node is master."
    start = [one.node for one in (here, there) if one is not None and one.keepalived != "running"]
    todo = (
        f"systemctl restart keepalived (on {' and '.join(start)})"
        if start
        else "see below why; journalctl -u keepalived"
    )
    yield Finding("outage", "", what, todo)


def _keepalived(one: NodeStatus) -> Iterator[Finding]:
    if one.keepalived == "dead":
        left = f", and has left {len(one.held)} of its addresses on this machine" if one.held else ""
        yield Finding("wrong", one.node, f"keepalived does not run{left}.", "systemctl restart keepalived")
    elif one.keepalived == "frozen":
        left = f"; {len(one.held)} of its addresses are still on this machine" if one.held else ""
        todo = "systemctl kill -s KILL keepalived; systemctl restart keepalived"
        yield Finding("wrong", one.node, f"keepalived is frozen: its process is there, and does nothing{left}.", todo)
    elif one.keepalived == "running" and one.role == "unknown":
        yield Finding("wrong", one.node, "keepalived runs, and has no VRRP instance of this site.", "lbkit apply")
    elif one.keepalived == "running" and one.role == "fault":
        why = "it was told so (fault)" if "fault" in one.tracked else "an interface that it tracks is down"
        yield Finding("wrong", one.node, f"keepalived has given up: {why}.", "ip -br link; journalctl -u lbkit-agent")


def _is(one: NodeStatus) -> str:
    return f"running, as {one.role}" if one.keepalived == "running" else str(one.keepalived)
