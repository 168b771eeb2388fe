"""The page itself: every metric of a node, in Prometheus' text format 0.0.4.

How many lines it has goes with the VIPs, real servers, checks, certificates and receivers of the site, whatever remotes do.
"""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.checks.exposition import OF_A_RESULT
from lbkit.metrics.figures import Figures
from lbkit.metrics.of_node import OF_A_NODE
from lbkit.metrics.of_services import OF_A_SERVER, OF_A_VIP
from lbkit.metrics.rows import VipRow, vip_rows

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS = (*OF_A_NODE.metrics, *OF_A_VIP.metrics, *OF_A_SERVER.metrics, *OF_A_RESULT.metrics)
"""All that a page can have, in its order."""


def page(figures: Figures) -> Iterator[str]:
    """All of it, in pieces of a few lines each: whoever has else to do may pause between any two."""
    yield from OF_A_NODE.lines([figures])
    vips: list[VipRow] = []
    for row in vip_rows(figures):
        vips.append(row)
        yield ""
    yield from OF_A_VIP.lines(vips)
    yield from OF_A_SERVER.lines(row for vip in vips for row in vip.servers)
    yield from OF_A_RESULT.lines(figures.checks)
