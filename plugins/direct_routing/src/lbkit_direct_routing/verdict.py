"""From what was seen to a verdict on each real server, and on all of them. No sockets, no clock."""

from __future__ import annotations

from typing import Any, NamedTuple

from lbkit.checks.conversation import Outcome, down, up
from lbkit_direct_routing import words
from lbkit_direct_routing.observed import Observed, Seen

ARP, SYN = "arp", "syn"  # the steps


class _Finding(NamedTuple):
    step: str
    reason: str
    sentence: str


def judge(observed: Observed) -> Outcome:
    """Up if every real server takes packets for the VIP, and the balancer alone answers ARP for it."""
    owners = {mac: seen for seen in observed.servers for mac in seen.macs}
    strangers = _strangers(observed, owners)
    wrong = [
        _Finding(ARP, "arp-answered", words.stranger(mac, observed.claims[mac], observed.asked.vip))
        for mac in strangers
    ]
    rows = []
    for seen in observed.servers:
        found = _findings(seen, observed)
        wrong += found
        rows.append(_row(seen, found))
    claims = [
        {"mac": mac, "interface": interface, "whose": _whose(mac, owners, observed, strangers)}
        for mac, interface in observed.claims.items()
    ]
    details: dict[str, Any] = {"servers": rows, "arp": claims}
    if warnings := _warnings(observed):
        details["warnings"] = warnings
    if not wrong:
        return up(words.all_up(observed), SYN, details)
    return down(wrong[0].reason, " ".join(one.sentence for one in wrong), wrong[0].step, details)


def _strangers(observed: Observed, owners: dict[str, Seen]) -> list[str]:
    """MACs that may not answer, and are no real server's. One alone, if the VIP is not held here, is that of its holder."""
    others = [mac for mac in observed.claims if mac not in owners and mac not in observed.nodes]
    by_a_node = any(mac in observed.nodes for mac in observed.claims)
    return others if observed.held or by_a_node or len(others) > 1 else []


def _findings(seen: Seen, observed: Observed) -> list[_Finding]:
    """What is wrong with a real server."""
    asked = observed.asked
    found = []
    if any(mac in observed.claims for mac in seen.macs):
        found.append(_Finding(ARP, "arp-answered", words.answers_arp(seen, asked.vip)))
    where = f"{asked.vip}:{asked.port}"
    if seen.way == "router":
        found.append(_Finding(ARP, "other-segment", words.other_segment(seen)))
    elif seen.way == "none":
        found.append(_Finding(ARP, "unreachable", words.no_route(seen)))
    elif seen.way == "segment" and not seen.macs:
        found.append(_Finding(ARP, "unreachable", words.no_mac(seen)))
    elif seen.way == "segment" and (said := _of_answer(seen, asked.vip, asked.port, where)) is not None:
        found.append(_Finding(SYN, *said))
    return found


def _of_answer(seen: Seen, vip: str, port: int, where: str) -> tuple[str, str] | None:
    """Reason and sentence for what it answered to the SYN; None: nothing is wrong."""
    match seen.of_vip:
        case "accepted":
            return None
        case "refused":
            return "refused", words.refused(seen, where)
        case "rejected":
            return "prohibited", words.rejected(seen, where)
        case "expired":
            return "forwards", words.forwards(seen, vip)
        case "not-asked":
            return "timed-out", words.not_asked(seen)
    if seen.of_rip in ("accepted", "refused"):
        return "not-on-loopback", words.silent_for_the_vip(seen, where)
    return "silent", words.silent(seen, where, port)


def _row(seen: Seen, found: list[_Finding]) -> dict[str, Any]:
    verdict, why = (found[0].reason, " ".join(one.sentence for one in found)) if found else ("ok", "")
    if seen.way == "this-machine":
        verdict, why = "not-testable-here", words.this_machine(seen.server)
    mac = seen.macs[0] if seen.macs else None
    return {"server": seen.server.label, "address": seen.server.address, "mac": mac, "verdict": verdict, "why": why}


def _whose(mac: str, owners: dict[str, Seen], observed: Observed, strangers: list[str]) -> str:
    if mac in owners:
        return f"real server {owners[mac].server}"
    if mac in observed.nodes:
        return f"node {observed.nodes[mac]}"
    return "unknown" if mac in strangers else "the balancer that holds the VIP"


def _warnings(observed: Observed) -> list[str]:
    vip = observed.asked.vip
    found = [words.two_macs(seen) for seen in observed.servers if len(seen.macs) > 1]
    if observed.held:
        found += [words.held_twice(observed.nodes[mac], vip) for mac in observed.claims if mac in observed.nodes]
    if observed.looked_for and not observed.claims:
        found.append(words.nobody(vip))
    return found
