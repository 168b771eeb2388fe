"""What a node of the site listens on, and for whom: the whole of what its firewall opens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from lbkit.site.model import Node, Site

Protocol = Literal["tcp", "udp"]
SYNC_GROUP, SYNC_PORT = "224.0.0.81", 8848  # of the kernel's IPVS (ip_vs_sync.c)


@dataclass(frozen=True, slots=True)
class Opening:
    """Ports of this node. `at`: its addresses, none: all of them. `source`: networks that may come, none: all may."""

    what: str
    protocol: Protocol
    ports: tuple[int, ...]
    at: tuple[str, ...] = ()
    source: tuple[str, ...] = ()

    def is_at(self, address: str) -> bool:
        """Whether packets to this address are let in."""
        return not self.at or address in self.at

    def takes(self, client: str) -> bool:
        """Whether this client may come."""
        one = ip_address(client)
        return not self.source or any(one in ip_network(network) for network in self.source)


def untracked(site: Site) -> list[Opening]:
    """The layer-4 VIPs: this node sees half of each of their connections, so nobody may keep track of them."""
    return [Opening(vip.label, "tcp", vip.ports, (vip.address,)) for vip in site.vips if vip.mode == "l4-dr"]


def virtual(site: Site) -> list[Opening]:
    """The layer-7 VIPs."""
    return [Opening(vip.label, "tcp", vip.ports, (vip.address,)) for vip in site.vips if vip.mode == "l7-snat"]


def own(site: Site, here: Node | None, peer: Node | None) -> Iterator[Opening]:
    """What else is there: for operators, and for the other node. `here`, `peer`: None without a pair."""
    settings = site.firewall
    yield Opening("ssh", "tcp", (settings.ssh_port,), source=settings.management)
    if settings.tcp_ports:
        yield Opening("own", "tcp", settings.tcp_ports, source=settings.management)
    if settings.udp_ports:
        yield Opening("own", "udp", settings.udp_ports, source=settings.management)
    if site.fallback_page and not ip_address(site.fallback_page.address).is_loopback:
        yield Opening("fallback_page", "tcp", (site.fallback_page.port,), (site.fallback_page.address,))
    if site.pair is None or here is None or peer is None:
        return
    yield Opening("peer_ssh", "tcp", (site.pair.ssh.port,), source=(peer.address,))
    if any(vip.mode == "l7-snat" for vip in site.vips):
        yield Opening("peer_tables", "tcp", (site.haproxy.peer_port,), (here.address,), (peer.address,))
    if site.pair.ipvs_sync and any(vip.mode == "l4-dr" for vip in site.vips):
        yield Opening("peer_connections", "udp", (SYNC_PORT,), (SYNC_GROUP,), (peer.address,))
