"""What `direct-routing` says: the reason codes, and a sentence for each."""

from __future__ import annotations

from lbkit_direct_routing.observed import Named, Observed, Seen

REASONS = {
    "arp-answered": "something besides the balancer answers ARP for the VIP: clients may reach it past the balancer",
    "not-on-loopback": "the real server answers on its own address and is silent on the VIP",
    "silent": "the real server answers ARP, and neither the VIP's port nor its own",
    "forwards": "the real server passes packets for the VIP on, instead of taking them",
    "prohibited": "packets for the VIP are answered by an ICMP error: a firewall rejects them",
    "other-segment": "the real server is behind a router: direct routing can't reach it",
}

_ICMP = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "administratively prohibited",
}


def remedy(server: Named) -> str:
    """What to do about a real server that is not set up for the VIP."""
    return f"`lbkit render real-server {server.short}` prints what it needs."


def answers_arp(seen: Seen, vip: str) -> str:
    """It does what the balancer alone may do."""
    return (
        f"{seen.server} answers ARP for {vip}, so clients may reach it past the balancer: the VIP is on its network card, "
        f"or on its loopback with ARP left on. {remedy(seen.server)}"
    )


def stranger(mac: str, interface: str, vip: str) -> str:
    """A MAC that is none of the real servers'."""
    return (
        f"{mac} on {interface} answers ARP for {vip} too, and is none of these real servers: another balancer or machine "
        "has this address. Find it by this MAC in the switch's table, and take the address from it."
    )


def other_segment(seen: Seen) -> str:
    """A router stands between."""
    return (
        f"{seen.server} is reached through the router {seen.router}, not in the same segment as the balancer: direct "
        "routing can't work (guide 7.1). Give the balancer an interface in its segment, or use layer 7."
    )


def no_route(seen: Seen) -> str:
    """Not even a router."""
    return (
        f"{seen.server} can't be reached: this machine has no route to it. Give the balancer an interface in its segment "
        "(guide 7.1)."
    )


def no_mac(seen: Seen) -> str:
    """Its own address is not on the segment."""
    return (
        f"{seen.server} does not answer ARP for its own address: it is switched off, or in another segment. Switch it on, "
        "or check its address, network and VLAN."
    )


def not_asked(seen: Seen) -> str:
    """The deadline."""
    return f"{seen.server} was not tried: the time ran out before its turn. Give more with --timeout."


def refused(seen: Seen, where: str) -> str:
    """RST."""
    return f"{seen.server} takes packets for the VIP, and nothing listens on {where}. Start the service there."


def rejected(seen: Seen, where: str) -> str:
    """ICMP, destination unreachable."""
    kind, code = seen.icmp
    what = _ICMP.get(seen.icmp, "destination unreachable")
    return (
        f"{seen.server} is behind a firewall that rejects packets for {where} (ICMP {kind}/{code}, {what}). Allow {where} "
        "in its firewall: a rule for its own address alone is not enough."
    )


def forwards(seen: Seen, vip: str) -> str:
    """ICMP, time exceeded."""
    return (
        f"{seen.server} passes packets for {vip} on instead of taking them: the VIP is not on its loopback, and it forwards "
        f"packets (ip_forward, or routing on Windows). {remedy(seen.server)}"
    )


def silent_for_the_vip(seen: Seen, where: str) -> str:
    """Its own address answers."""
    return (
        f"{seen.server} answers on its own address and is silent on {where}: the VIP is not on its loopback, or its weak "
        f"host model is not set (Windows), or its firewall drops packets for the VIP. {remedy(seen.server)}"
    )


def silent(seen: Seen, where: str, port: int) -> str:
    """Its own address does not answer either."""
    return (
        f"{seen.server} answers ARP, and neither {where} nor {seen.server.address}:{port}: its firewall drops the "
        f"packets, or it hangs. Check the firewall for both addresses and the server's health; then {remedy(seen.server)}"
    )


def two_macs(seen: Seen) -> str:
    """An address that is given twice."""
    macs = " and ".join(seen.macs)
    return f"{macs} both answer ARP for {seen.server}: the address may be given twice. The first was tried"


def held_twice(node: Named, vip: str) -> str:
    """Split brain."""
    return f"the other node, {node}, answers ARP for {vip} too, and this one holds it: is the pair in two parts"


def nobody(vip: str) -> str:
    """No node is active."""
    return f"nobody answers ARP for {vip}: no balancer holds it now"


def all_up(observed: Observed) -> str:
    """What was proven."""
    asked = observed.asked
    many = len([seen for seen in observed.servers if seen.way != "this-machine"])
    servers = "1 real server takes" if many == 1 else f"{many} real servers take"
    arp = "none of them answers ARP for it" if many != 1 else "does not answer ARP for it"
    return f"{servers} packets for {asked.vip}:{asked.port}, and {arp}"


def this_machine(server: Named) -> str:
    """Nothing to be proven over a wire."""
    return f"{server} is this machine itself and can't be tried from here"
