"""Transparent VIPs of a pair, whose real servers must answer through the node that has the VIP (guide 15.2)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.model import Pair
from lbkit.site.services import Vip


def problems(draft: Draft) -> Iterator[Problem]:
    """All of them. Without a pair the gateway is the balancer's own address, of which the site says nothing."""
    if draft.pair is None:
        return
    for number, vip in draft.vips.items():
        if vip.transparent:
            yield from _gateway(vip, ("vips", number), draft.pair)
            yield from _one_arm(vip, ("vips", number), draft.pair)


def _warning(rule: str, key: Key, message: str) -> Problem:
    return Problem("warning", rule, key, message)


def _gateway(vip: Vip, key: Key, pair: Pair) -> Iterator[Problem]:
    gateways = {_network(pair, address) for address in pair.floating_addresses}
    without = [server for server in vip.servers if _network(pair, server.address) not in gateways]
    if without:
        message = (
            f"{vip.label}: real servers of a transparent VIP answer through their gateway, which is to move with the VIP, "
            f"and {without[0].address} has none among pair.floating_addresses. Give the pair one in its network, and make "
            "it that server's default gateway."
        )
        yield _warning("no-gateway", (*key, "transparent"), message)


def _one_arm(vip: Vip, key: Key, pair: Pair) -> Iterator[Problem]:
    shared = [server for server in vip.servers if _network(pair, server.address) == _network(pair, vip.address)]
    if shared:
        message = (
            f"{vip.label}: {shared[0].address} is in the VIP's own network (one arm), and answers clients there past the "
            "balancer, which breaks their connections. Have it route that network through its gateway too, or let no "
            "client be there."
        )
        yield _warning("one-arm", (*key, "transparent"), message)


def _network(pair: Pair, address: str) -> tuple[bool, str | None]:
    """The family, and the network that a node has an interface of its own for; None: that of its main one."""
    one = ip_address(address)
    known = {network for node in pair.nodes for network in node.networks}
    behind = [network for network in known if one in ip_network(network)]
    return one.version == 6, max(behind, key=lambda network: ip_network(network).prefixlen, default=None)
