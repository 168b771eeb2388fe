"""What the kernel has to do for transparent VIPs (guide 15.2): answers to clients' addresses come back to HAProxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lbkit.install.files import File
from lbkit.site.model import Site

MARK = "0x1"
TABLE = "100"  # of routes
TABLE_NAME = "lbkit_transparent"
NFT_NAME, SH_NAME = "transparent.nft", "transparent.sh"

NFT = f"""\
# Packets of HAProxy's transparent connections are marked. Rendered by lbkit; may be run again: nft -f {NFT_NAME}
table inet {TABLE_NAME}
delete table inet {TABLE_NAME}
table inet {TABLE_NAME} {{
    chain prerouting {{
        type filter hook prerouting priority mangle; policy accept;
        meta l4proto tcp socket transparent 1 meta mark set {MARK} accept
    }}
    # a real server that learns a shorter way to a client would send its answers past the balancer (one arm)
    chain output {{
        type filter hook output priority filter; policy accept;
        icmp type redirect drop
        icmpv6 type nd-redirect drop
    }}
}}
"""

SH = f"""\
#!/bin/sh
# Marked packets are delivered here, whatever their address; this machine is its real servers' gateway. Rendered by lbkit;
# may be run again, by root; after each boot (lbkit-transparent.service).
# Undone by: nft delete table inet {TABLE_NAME}; ip rule del fwmark {MARK}; ip -6 rule del fwmark {MARK}
set -e
nft -f "$(dirname "$0")/{NFT_NAME}"
"""
_OF_A_FAMILY = f"""\
echo 1 >FORWARDING
ip FAMILY rule show | grep -q "fwmark {MARK} lookup {TABLE}" || ip FAMILY rule add fwmark {MARK} lookup {TABLE}
ip FAMILY route replace local default dev lo table {TABLE}
"""
FORWARDING = {"-4": Path("/proc/sys/net/ipv4/ip_forward"), "-6": Path("/proc/sys/net/ipv6/conf/all/forwarding")}


def rules(site: Site) -> Iterator[File]:
    """Two files, where a VIP is transparent. Only families that its servers have: a kernel may have IPv6 switched off."""
    wanted = families(site)
    if wanted:
        folder = Path(site.haproxy.folder)
        yield File(folder / NFT_NAME, NFT.encode())
        parts = [_OF_A_FAMILY.replace("FAMILY", one).replace("FORWARDING", str(FORWARDING[one])) for one in wanted]
        yield File(folder / SH_NAME, "".join((SH, *parts)).encode(), 0o755)


def families(site: Site) -> list[str]:
    """Those of the real servers of transparent VIPs, as `ip` takes them; none: no VIP is transparent."""
    servers = {server.address for vip in site.vips if vip.transparent for server in vip.servers}
    return sorted({"-6" if ":" in one else "-4" for one in servers})
