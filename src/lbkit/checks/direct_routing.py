"""The check `direct-routing` in the plan of a site: of a layer-4 VIP and its real servers together, from the balancer.

A plugin gives it. It needs a network between this machine and the real servers, and the right to send frames.
"""

from __future__ import annotations

from ipaddress import ip_address

from lbkit.checks.here import is_of_this_machine, may_send_frames
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip

KIND = "direct-routing"
NOT_TESTABLE_HERE = "not-testable-here"
NOT_ALLOWED = "not-allowed"

_NO_WIRE = "not testable here: direct routing goes over a network, in IPv4, to real servers that are other machines."
_MAY_NOT = "not tried: direct-routing sends frames of its own, which needs CAP_NET_RAW. Run it as root."


def hindrance(vip: Vip) -> tuple[str, str] | None:
    """Reason and message, where it can't be run on this machine, or not by this process."""
    if ip_address(vip.address).is_loopback or not _over_a_network(vip):
        return NOT_TESTABLE_HERE, _NO_WIRE
    return None if may_send_frames() else (NOT_ALLOWED, _MAY_NOT)


def parameters(vip: Vip, site: Site) -> dict[str, object]:
    """What the check is told of the site."""
    nodes = site.pair.nodes if site.pair else ()
    return {
        "real_server": tuple(f"{server.label}={server.address}" for server in _over_a_network(vip)),
        "node": tuple(f"{node.name}={node.address}" for node in nodes if ":" not in node.address),
    }


def _over_a_network(vip: Vip) -> list[RealServer]:
    return [one for one in vip.servers if ":" not in one.address and not is_of_this_machine(one.address)]
