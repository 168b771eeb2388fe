"""The page itself: every metric of a node, in Prometheus' text format 0.0.4.

How many lines it has goes with the VIPs, real servers, checks, certificates and receivers of the site, whatever remotes do.
"""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.checks.exposition import OF_A_RESULT, labels, lines, samples
from lbkit.metrics.figures import Checked, Figures
from lbkit.metrics.of_node import OF_A_NODE
from lbkit.metrics.of_services import OF_A_SERVER, OF_A_VIP
from lbkit.metrics.rows import named_server, vip_rows

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS = (*OF_A_NODE.metrics, *OF_A_VIP.metrics, *OF_A_SERVER.metrics, *(metric for metric, _ in OF_A_RESULT))
"""All that a page can have, in its order."""


def page(figures: Figures) -> Iterator[str]:
    """All of it, in pieces of a few lines each: whoever has else to do may pause between any two."""
    vips = vip_rows(figures)
    yield from OF_A_NODE.lines([figures])
    yield from OF_A_VIP.lines(vips)
    yield from OF_A_SERVER.lines(row for vip in vips for row in vip.servers)
    checks = [(_named(one), one.result) for one in figures.checks]
    for metric, of in OF_A_RESULT:
        yield from lines(metric, samples(of, checks))


def _named(one: Checked) -> str:
    return f"{named_server(one.vip, one.server)},{labels({'check': one.result.check, 'target': one.result.target})}"
