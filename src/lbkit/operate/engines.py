"""Which engine carries a VIP."""

from __future__ import annotations

from lbkit.errors import Misuse
from lbkit.haproxy.engine import Haproxy
from lbkit.site.model import Site
from lbkit.site.services import Vip

LAYER_4 = "{vip} is a layer-4 VIP; lbkit renders and operates layer 7 alone as yet, and checks both."


def engine_of(site: Site, vip: Vip) -> Haproxy:
    """The engine of this VIP on this node. Raises Misuse for one that lbkit does not operate."""
    if vip.mode != "l7-snat":
        raise Misuse(LAYER_4.format(vip=vip.label))
    return Haproxy(site)
