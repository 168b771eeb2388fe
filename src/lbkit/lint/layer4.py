"""Layer-4 VIPs, and the agent that watches them: legal as they stand, and not what was meant."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.durations import seconds, written
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.load import Kinds
from lbkit.site.services import Vip


def problems(draft: Draft, kinds: Kinds) -> Iterator[Problem]:
    """All of them."""
    for number, vip in draft.vips.items():
        if vip.mode == "l4-dr":
            yield from _kept_by_port(vip, ("vips", number))
            yield from _late(vip, ("vips", number), kinds)
        yield from _slow_for_nothing(vip, ("vips", number))
        yield from _not_faster(vip, ("vips", number))
    yield from _anchor(draft)


def _warning(rule: str, key: Key, message: str) -> Problem:
    return Problem("warning", rule, key, message)


def _kept_by_port(vip: Vip, key: Key) -> Iterator[Problem]:
    """Each port is a service of its own in the kernel."""
    if len(vip.ports) > 1 and vip.persistence.mode == "source-ip":
        message = (
            f"{vip.label}: on layer 4 a client is kept for each port by itself, and can be on different real servers for "
            f"its {len(vip.ports)} ports. Give one port, if they belong together."
        )
        yield _warning("kept-by-port", (*key, "ports"), message)


def _late(vip: Vip, key: Key, kinds: Kinds) -> Iterator[Problem]:
    timeout = _timeout(vip, kinds)
    if timeout is None or timeout <= vip.check.interval:
        return
    detected = written(vip.check.fall * timeout)
    message = (
        f"{vip.label}: a check may take {written(timeout)}, and the next one waits for it: a real server that hangs is down "
        f"only after {detected}, whatever the interval ({written(vip.check.interval)}). Give a timeout no longer than that."
    )
    yield _warning("late", (*key, "check"), message)


def _timeout(vip: Vip, kinds: Kinds) -> float | None:
    """Of its check, in seconds; None: nobody knows, or what is wrong with it is said elsewhere."""
    kind = kinds.get(vip.check.kind)
    if kind is None or "timeout" not in kind.model_fields:
        return None
    given = vip.check.params.get("timeout")
    try:
        return seconds(given) if given is not None else kind.model_fields["timeout"].default
    except (TypeError, ValueError):
        return None


def _slow_for_nothing(vip: Vip, key: Key) -> Iterator[Problem]:
    if vip.slow_start is None:
        return
    if vip.scheduler == "first":
        alone, way = "with scheduler first", "Take it out, or use another scheduler."
    elif vip.persistence.mode == "last-successful":
        alone, way = "with Last Successful", "Take it out."
    else:
        return
    message = f"{vip.label}: slow_start means nothing {alone}, where one real server gets everything at once. {way}"
    yield _warning("no-slow-start", (*key, "slow_start"), message)


def _not_faster(vip: Vip, key: Key) -> Iterator[Problem]:
    """The agent takes the interval then, HAProxy the longer one."""
    fast, interval = vip.check.fast_interval, vip.check.interval
    if fast is not None and fast >= interval:
        message = (
            f"{vip.label}: fast_interval ({written(fast)}) is no faster than the interval ({written(interval)}). Give "
            "less, or take it out."
        )
        yield _warning("not-faster", (*key, "check", "fast_interval"), message)


def _anchor(draft: Draft) -> Iterator[Problem]:
    """It must answer from elsewhere on the network, and for other reasons than what it is to tell apart."""
    if draft.agent is None or draft.agent.anchor is None:
        return
    whose = {server.address: f"real server {server.label}" for vip in draft.vips.values() for server in vip.servers}
    whose |= {vip.address: f"VIP {vip.label}" for vip in draft.vips.values()}
    whose |= {node.address: f"node {node.name}" for node in draft.pair.nodes} if draft.pair else {}
    owner = whose.get(draft.agent.anchor)
    if owner is not None:
        message = (
            f"the anchor {draft.agent.anchor} is {owner}: it says nothing about the network of this balancer. Give "
            "something else, such as the gateway."
        )
        yield _warning("no-anchor", ("agent", "anchor"), message)
