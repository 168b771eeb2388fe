"""What the kernel has to do for transparent VIPs (guide 15.2): answers to clients' addresses come back to HAProxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lbkit.install.files import File
from lbkit.site.model import Site

MARK = "0x1"
TABLE = "100"

NFT = f"""\
# Packets of HAProxy's transparent connections are marked. Rendered by lbkit; may be run again: nft -f transparent.nft
table inet lbkit_transparent
delete table inet lbkit_transparent
table inet lbkit_transparent {{
    chain prerouting {{
        type filter hook prerouting priority mangle; policy accept;
        meta l4proto tcp socket transparent 1 meta mark set {MARK} accept
    }}
}}
"""

SH = f"""\
#!/bin/sh
# Marked packets are delivered here, whatever their address. Rendered by lbkit; may be run again, by root; after each boot.
# Undone by: nft delete table inet lbkit_transparent; ip rule del fwmark {MARK}; ip -6 rule del fwmark {MARK}
set -e
nft -f "$(dirname "$0")/transparent.nft"
for family in FAMILIES; do
    ip "$family" rule show | grep -q "fwmark {MARK} lookup {TABLE}" || ip "$family" rule add fwmark {MARK} lookup {TABLE}
    ip "$family" route replace local default dev lo table {TABLE}
done
"""


def rules(site: Site) -> Iterator[File]:
    """Two files, where a VIP is transparent. Only families that its servers have: a kernel may have IPv6 switched off."""
    servers = {server.address for vip in site.vips if vip.transparent for server in vip.servers}
    if servers:
        families = " ".join(sorted({"-6" if ":" in one else "-4" for one in servers}))
        folder = Path(site.haproxy.folder)
        yield File(folder / "transparent.nft", NFT.encode())
        yield File(folder / "transparent.sh", SH.replace("FAMILIES", families).encode(), 0o755)
