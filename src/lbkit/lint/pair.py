"""The pair: legal as it stands, and not what was meant."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.durations import written
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.model import Pair

_SAFE = 1.0  # seconds between two adverts


def problems(draft: Draft) -> Iterator[Problem]:
    """All of them."""
    if draft.pair is None:
        return
    yield from _fast(draft.pair)
    yield from _networks(draft.pair)
    yield from _untracked(draft, draft.pair)


def _warning(rule: str, key: Key, message: str) -> Problem:
    return Problem("warning", rule, key, message)


def _fast(pair: Pair) -> Iterator[Problem]:
    if pair.advert_interval < _SAFE:
        silent = written(3 * pair.advert_interval)
        message = (
            f"adverts every {written(pair.advert_interval)}: a node that stands still for {silent} loses the VIPs, and a "
            "hypervisor's snapshot can take longer. `lbkit pair measure` records how long these nodes do."
        )
        yield _warning("fast-adverts", ("pair", "advert_interval"), message)


def _networks(pair: Pair) -> Iterator[Problem]:
    first, second = pair.nodes
    for network in sorted(set(first.networks) ^ set(second.networks)):
        has, lacks = (first, second) if network in first.networks else (second, first)
        message = (
            f"{has.name} has {network} on {has.networks[network]}, and {lacks.name} does not say where it has it: its "
            f"addresses would go to {lacks.interface} there. Say it for both."
        )
        yield _warning("networks-differ", ("pair", "nodes", pair.nodes.index(has), "networks", network), message)


def _untracked(draft: Draft, pair: Pair) -> Iterator[Problem]:
    """keepalived watches the interface of its adverts by itself."""
    moving = [vip.address for vip in draft.vips.values()] + list(pair.floating_addresses)
    for number, node in enumerate(pair.nodes):
        used = {node.interface_of(address) for address in moving}
        for network, interface in node.networks.items():
            if interface in used - {node.interface, *pair.track_interfaces}:
                message = (
                    f"{node.name} has addresses that move on {interface}, and keeps them when that interface is lost. Add "
                    "it to track_interfaces, unless that is what you want."
                )
                yield _warning("not-tracked", ("pair", "nodes", number, "networks", network), message)
