"""The node's ruleset, as nft takes it: a table of its own, which may be loaded again at any time, all or nothing.

A packet that is let in here may still be dropped by another table, and none that is dropped here is let in by another.
Nothing is forwarded or kept from being forwarded: that is the business of whoever makes this machine a gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from pathlib import Path

from lbkit.firewall.openings import Opening, own, untracked, virtual
from lbkit.install.files import File
from lbkit.site.model import Node, Site
from lbkit.state.node import node_of, peer_of

TABLE = "lbkit_firewall"
_INDENT = " " * 8
_ICMP = "destination-unreachable, echo-request, time-exceeded, parameter-problem"
_ICMP6 = (
    "destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, nd-router-solicit, "
    "nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query"
)


def render(site: Site, node: str | None = None) -> str:
    """The text. `node`: which of the pair it is for, where this machine is none of them. Raises Misuse."""
    here, peer = node_of(site, node), peer_of(site, node)
    layer_4 = untracked(site)
    lines = [*_of(virtual(site)), *_always(), *_of(own(site, here, peer)), *_vrrp(site, peer)]
    accepted = "".join(f"{_INDENT}{line}\n" for line in [*_accepted(layer_4), *lines])
    tracking = "".join(f"{_INDENT}{line}\n" for line in _untracking(layer_4))
    chain = f"""\
    # direct routing: this node sees the clients' half of each connection
    chain untracked {{
        type filter hook prerouting priority raw; policy accept;
{tracking}    }}
"""
    on = f" on node {here.name}" if here else ""
    return f"""\
# Firewall for the site {site.name}{on}. Rendered by lbkit from the site file; loaded by `lbkit apply`, and at boot by
# lbkit-firewall.service. By hand: nft -f FILE; undone by: nft delete table inet {TABLE}
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
{chain if layer_4 else ""}    chain input {{
        type filter hook input priority filter; policy drop;
        iif lo accept
{accepted}        counter drop comment "the rest"
    }}
}}
"""


def file(site: Site, node: str | None = None) -> tuple[File, ...]:
    """The file that holds it; none where the site wants no firewall. Raises Misuse."""
    return (File(Path(site.firewall.file), render(site, node).encode()),) if site.firewall.enabled else ()


def _untracking(layer_4: Iterable[Opening]) -> Iterator[str]:
    for one in layer_4:
        (address,) = one.at
        family, ports = _family(address), _set(one.ports)
        yield f"{family} daddr {address} {one.protocol} dport {ports} notrack"
        yield f"{family} saddr {address} {one.protocol} sport {ports} notrack"


def _accepted(layer_4: Iterable[Opening]) -> Iterator[str]:
    for one in layer_4:
        for rule in _rules(one):
            yield f"ct state untracked {rule}"


def _of(openings: Iterable[Opening]) -> Iterator[str]:
    for one in openings:
        yield from _rules(one)


def _always() -> Iterator[str]:
    """After the VIPs: a packet of a connection that the other node had gets its reset at once, and no silence.

    ICMP before what is invalid: so is to the kernel whatever concerns an untracked connection, such as that a packet of a
    real server was too large for the way to its client. And what is older than the kernel's tracking of connections, which
    the first ruleset begins, is known by its socket: HAProxy's to real servers that have yet to answer.
    """
    yield "ct state established,related accept"
    yield f"icmp type {{ {_ICMP} }} accept"
    yield f"icmpv6 type {{ {_ICMP6} }} accept"
    yield 'socket wildcard 0 tcp flags & (syn | ack) == ack accept comment "open before this was loaded"'
    yield "ct state invalid counter drop"


def _vrrp(site: Site, peer: Node | None) -> Iterator[str]:
    if site.pair is None or peer is None:
        return
    yield f'{_family(peer.address)} saddr {peer.address} meta l4proto 112 accept comment "VRRP"'
    if site.pair.ipvs_sync:
        yield 'ip protocol igmp accept comment "switches ask who wants the connections"'


def _rules(one: Opening) -> Iterator[str]:
    """One for each family that its addresses and sources have."""
    families = {_family(address) for address in (one.at or one.source)}
    for family in sorted(families) or [""]:
        at = [address for address in one.at if _family(address) == family]
        source = [network for network in one.source if _family(network) == family]
        if (one.at and not at) or (one.source and not source):
            continue
        where = f"{family} saddr {_set(source)} " if source else ""
        where += f"{family} daddr {_set(at)} " if at else ""
        yield f'{where}{one.protocol} dport {_set(one.ports)} accept comment "{one.what}"'


def _family(address: str) -> str:
    return "ip6" if ip_network(address, strict=False).version == 6 else "ip"


def _set(values: Iterable[object]) -> str:
    written = [str(one) for one in values]
    return written[0] if len(written) == 1 else f"{{ {', '.join(written)} }}"
