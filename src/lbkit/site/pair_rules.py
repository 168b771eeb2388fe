"""What no single key of [pair] can say by itself: errors, as in `rules`."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.model import Pair

_FASTEST, _SLOWEST, _STEP = (
    0.01,
    40.0,
    0.01,
)  # seconds between two adverts: twelve bits of hundredths, as keepalived has it


def problems(draft: Draft) -> Iterator[Problem]:
    """All of them."""
    if draft.pair is None:
        return
    yield from _nodes(draft.pair)
    yield from _addresses(draft, draft.pair)
    yield from _interfaces(draft.pair)
    yield from _replication(draft, draft.pair)
    yield from _adverts(draft.pair)


def _error(rule: str, key: Key, message: str) -> Problem:
    return Problem("error", rule, key, message)


def _nodes(pair: Pair) -> Iterator[Problem]:
    first, second = pair.nodes
    for name in ("name", "address"):
        if getattr(first, name) == getattr(second, name):
            message = f"both nodes of the pair have the {name} {getattr(first, name)}. Each needs its own."
            yield _error("contradiction", ("pair", "nodes", 1, name), message)
    if (":" in first.address) != (":" in second.address):
        message = (
            f"{second.address} can't hear adverts of {first.address}: one is IPv4, the other IPv6. Give both alike."
        )
        yield _error("mixed-families", ("pair", "nodes", 1, "address"), message)


def _addresses(draft: Draft, pair: Pair) -> Iterator[Problem]:
    own = {node.address: node.name for node in pair.nodes}
    for number, vip in draft.vips.items():
        if vip.address in own:
            message = f"{vip.label}: {vip.address} is the own address of node {own[vip.address]}. Use another."
            yield _error("contradiction", ("vips", number, "address"), message)
    for index, address in enumerate(pair.floating_addresses):
        if address in own:
            message = f"the floating address {address} is the own address of node {own[address]}. Use another."
            yield _error("contradiction", ("pair", "floating_addresses", index), message)


def _interfaces(pair: Pair) -> Iterator[Problem]:
    for number, node in enumerate(pair.nodes):
        for network, interface in node.networks.items():
            if interface != node.interface and ip_address(node.address) in ip_network(network):
                message = (
                    f"{node.name}: its own address {node.address} is of {network}, and so on {interface}, not on "
                    f"{node.interface}. Give the other interface, or take the network out."
                )
                yield _error("contradiction", ("pair", "nodes", number, "networks", network), message)
    own = {node.interface: node.name for node in pair.nodes}
    for index, interface in enumerate(pair.track_interfaces):
        key: Key = ("pair", "track_interfaces", index)
        if interface in own:
            message = f"{interface} is tracked already: it is the interface of node {own[interface]}. Take it out."
            yield _error("contradiction", key, message)
        elif interface in pair.track_interfaces[:index]:
            yield _error("contradiction", key, f"{interface} is given twice. Take one out.")


def _replication(draft: Draft, pair: Pair) -> Iterator[Problem]:
    if (pair.certificate is None) != (pair.ca is None):
        there, lacks = ("certificate", "ca") if pair.ca is None else ("ca", "certificate")
        message = (
            f"a {there} without a {lacks}: over TLS each node shows one and verifies the other's. Give both, or none."
        )
        yield _error("contradiction", ("pair", there), message)
    if pair.ipvs_sync and draft.vips and not any(vip.mode == "l4-dr" for vip in draft.vips.values()):
        message = "ipvs_sync is for layer 4, and no VIP has mode l4-dr. Take it out."
        yield _error("contradiction", ("pair", "ipvs_sync"), message)


def _adverts(pair: Pair) -> Iterator[Problem]:
    given = pair.advert_interval
    if not _FASTEST <= given <= _SLOWEST or abs(given / _STEP - round(given / _STEP)) > 1e-6:
        message = f"VRRP's adverts are 10ms to 40s apart, in steps of 10ms, not {given:g} s. Give such a time."
        yield _error("advert-interval", ("pair", "advert_interval"), message)
