"""What a statistics page tells of a site: less than the socket does, and from anywhere.

It has neither the entries of tables nor the connections of before a reload, and of a server that is drained and down only
that it is down.
"""

from __future__ import annotations

from collections.abc import Iterable

from lbkit.haproxy.checked import checked, health
from lbkit.haproxy.rows import Row
from lbkit.haproxy.sections import FALLBACK
from lbkit.site.model import Site
from lbkit.state.intents import Wanted
from lbkit.state.observed import ServerState, VipState

_OF_PROXIES = ("FRONTEND", "BACKEND")


def look(site: Site, rows: Iterable[Row]) -> dict[str, VipState]:
    """Each layer-7 VIP that the page has, by label."""
    of_vip: dict[str, dict[str, Row]] = {}
    for row in rows:
        of_vip.setdefault(row["pxname"], {})[row["svname"]] = row
    found = {}
    for vip in site.vips:
        own = of_vip.get(vip.label, {})
        if vip.mode == "l7-snat" and "FRONTEND" in own:
            labels = own.keys() - {*_OF_PROXIES, FALLBACK}
            servers = {label: _state(own[label]) for label in labels}
            serving = any(one.wanted == "online" and one.health != "down" for one in servers.values())
            found[vip.label] = VipState(servers, own["FRONTEND"].number("scur") or 0, FALLBACK in own and not serving)
    return found


def _state(row: Row) -> ServerState:
    status = row.text("status")
    wanted: Wanted = "halt" if status.startswith("MAINT") else "drain" if status.startswith("DRAIN") else "online"
    return ServerState(
        wanted,
        "unknown" if wanted == "halt" else health(row, status.startswith("DOWN")),
        checked(row),
        row.number("lastchg") or 0,
        row.number("weight") or 0,
        row.number("scur") or 0,
        0,
        row.number("stot") or 0,
    )
