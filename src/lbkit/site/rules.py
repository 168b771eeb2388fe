"""What no single key of a site file can say by itself: errors, because a site that breaks one of these can't work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from lbkit.site import pair_rules
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.services import Fallback, RealServer, Vip


def problems(draft: Draft) -> Iterator[Problem]:
    """All of them."""
    for number, vip in draft.vips.items():
        for rule in _OF_A_VIP:
            yield from rule(vip, ("vips", number))
        for index, server in enumerate(vip.servers):
            yield from _of_a_server(vip, server, ("vips", number, "servers", index))
    for over_all in (_labels, _ports, _names, _metrics, pair_rules.problems):
        yield from over_all(draft)


def _error(rule: str, key: Key, message: str) -> Problem:
    return Problem("error", rule, key, message)


def _layer_4(vip: Vip, key: Key) -> Iterator[Problem]:
    if vip.mode != "l4-dr":
        return
    forwarded = "layer 4 forwards packets as they are. Take it out, or use mode l7-snat."
    for name in ("termination", "client_timeout", "server_timeout", "source_address"):
        if getattr(vip, name) is not None:
            yield _error("layer-7-only", (*key, name), f"{vip.label}: {name} is for layer 7: {forwarded}")
    for name in ("x_forwarded_for", "proxy_protocol", "transparent"):
        if getattr(vip, name):
            yield _error("layer-7-only", (*key, name), f"{vip.label}: {name} is for layer 7: {forwarded}")
    if vip.protocol != "tcp":
        yield _error("layer-7-only", (*key, "protocol"), f"{vip.label}: protocol http is for layer 7: {forwarded}")
    if vip.persistence.mode not in ("none", "source-ip"):
        place = (*key, "persistence", "mode")
        yield _error(
            "layer-7-only", place, f"{vip.label}: persistence {vip.persistence.mode} is for layer 7: {forwarded}"
        )


def _direct_routing(vip: Vip, key: Key) -> Iterator[Problem]:
    """Only the MAC of a packet is changed: whoever gets it takes it for the VIP's own address and port."""
    if vip.mode != "l4-dr":
        return
    takers: dict[Key, RealServer | Fallback] = {("servers", index): one for index, one in enumerate(vip.servers)}
    if vip.fallback:
        takers["fallback",] = vip.fallback
    for place, taker in takers.items():
        if (":" in taker.address) != (":" in vip.address):
            message = (
                f"{vip.label}: {taker.address} can't take packets for {vip.address}: one is IPv4, the other IPv6. "
                "Give both alike, or use mode l7-snat."
            )
            yield _error("mixed-families", (*key, *place, "address"), message)
    if vip.fallback and vip.fallback.port not in vip.ports:
        message = (
            f"{vip.label}: direct routing does not translate ports: its fallback gets packets for {vip.address} on the port "
            f"that the client asked for, never on {vip.fallback.port}. Give it a port of the VIP."
        )
        yield _error("fallback-port", (*key, "fallback", "port"), message)


def _http(vip: Vip, key: Key) -> Iterator[Problem]:
    if vip.protocol == "http" or vip.mode == "l4-dr":
        return
    advice = "needs protocol http: in tcp nobody looks into the stream. Change the protocol, or take it out."
    if vip.persistence.mode == "http-cookie":
        yield _error("http-only", (*key, "persistence", "mode"), f"{vip.label}: persistence http-cookie {advice}")
    if vip.x_forwarded_for:
        yield _error("http-only", (*key, "x_forwarded_for"), f"{vip.label}: x_forwarded_for {advice}")


def _contradictions(vip: Vip, key: Key) -> Iterator[Problem]:
    if vip.persistence.mode == "none" and vip.persistence.timeout is not None:
        place = (*key, "persistence", "timeout")
        yield _error(
            "contradiction", place, f"{vip.label}: a timeout without persistence. Give its mode, or take it out."
        )
    if vip.transparent and vip.source_address is not None:
        message = (
            f"{vip.label}: real servers can't see both source_address and the client's own (transparent). Take one out."
        )
        yield _error("contradiction", (*key, "source_address"), message)
    if not any(server.weight for server in vip.servers):
        yield _error(
            "no-weight", (*key, "servers"), f"{vip.label}: all its real servers have weight 0. Give one a weight."
        )


_OF_A_VIP: tuple[Callable[[Vip, Key], Iterator[Problem]], ...] = (_layer_4, _direct_routing, _http, _contradictions)


def _of_a_server(vip: Vip, server: RealServer, key: Key) -> Iterator[Problem]:
    who = f"{vip.label} / {server.label}"
    if vip.mode == "l4-dr" and server.re_encrypt:
        yield _error(
            "layer-7-only", (*key, "re_encrypt"), f"{who}: layer 4 can't re-encrypt. Take it out, or use mode l7-snat."
        )
    if not server.re_encrypt:
        for name in ("verify", "server_name", "client_certificate"):
            if getattr(server, name) is not None:
                message = (
                    f"{who}: {name} means nothing without TLS to the server. Add re_encrypt = true, or take it out."
                )
                yield _error("contradiction", (*key, name), message)
    seen_as = vip.address if vip.transparent else vip.source_address
    if seen_as is not None and (":" in seen_as) != (":" in server.address):
        which = "transparent" if vip.transparent else "source_address"
        message = (
            f"{who}: {server.address} can't be reached from {seen_as} ({which}): one is IPv4, the other IPv6. "
            "Give both alike."
        )
        yield _error("contradiction", (*key, "address"), message)
    if server.address == vip.address and (server.port is None or server.port in vip.ports):
        yield _error("loop", (*key, "address"), f"{who}: this is the VIP itself. Give the real server's own address.")


def _labels(draft: Draft) -> Iterator[Problem]:
    """Labels are what operations and logs go by."""
    seen: dict[str, int] = {}
    for number, vip in draft.vips.items():
        if seen.setdefault(vip.label, number) != number:
            message = (
                f"{vip.label}: another VIP has this label already (vips[{seen[vip.label]}]). Give this one its own."
            )
            yield _error("label-twice", ("vips", number, "label"), message)
        of_servers: set[str] = set()
        for index, server in enumerate(vip.servers):
            if server.label in of_servers:
                message = f"{vip.label}: two of its real servers are labelled {server.label}. Give each its own label."
                yield _error("label-twice", ("vips", number, "servers", index, "label"), message)
            of_servers.add(server.label)


def _ports(draft: Draft) -> Iterator[Problem]:
    """An address and port can be bound once."""
    taken: dict[tuple[str, int], int] = {}
    for number, vip in draft.vips.items():
        key = ("vips", number, "ports")
        for port in [port for port, times in Counter(vip.ports).items() if times > 1]:
            yield _error("overlapping-ports", key, f"{vip.label}: port {port} is given twice. Take one out.")
        for port in dict.fromkeys(vip.ports):
            other = taken.setdefault((vip.address, port), number)
            if other != number:
                owner = f"{draft.vips[other].label}'s (vips[{other}])"
                message = (
                    f"{vip.label}: {vip.address} port {port} is {owner}. Give one of them another address or port."
                )
                yield _error("overlapping-ports", key, message)
    owners = {place: f"{draft.vips[number].label}'s" for place, number in taken.items()}
    for own, place, what in _own_ports(draft):
        owner = owners.setdefault(place, what)
        if owner != what:
            message = f"{place[0]} port {place[1]} is {owner} already, and cannot be {what}. Give another."
            yield _error("overlapping-ports", own, message)


def _own_ports(draft: Draft) -> Iterator[tuple[Key, tuple[str, int], str]]:
    """Where HAProxy and the agent listen besides the VIPs."""
    if draft.haproxy:
        yield ("haproxy", "stats_port"), ("127.0.0.1", draft.haproxy.stats_port), "that of the statistics"
        for address in [node.address for node in draft.pair.nodes] if draft.pair else ["127.0.0.1"]:
            yield ("haproxy", "peer_port"), (address, draft.haproxy.peer_port), "that of the peers"
    if draft.agent:
        yield ("agent", "check_port"), ("127.0.0.1", draft.agent.check_port), "that of the agent"
    if draft.metrics and draft.metrics.port is not None:
        yield ("metrics", "port"), ("127.0.0.1", draft.metrics.port), "that of the metrics"
    if draft.fallback_page:
        page = draft.fallback_page
        yield ("fallback_page", "port"), (page.address, page.port), "that of the fallback page"


def _names(draft: Draft) -> Iterator[Problem]:
    """Certificates and CA families are named where they are used."""

    def missing(kind: str, name: str | None, who: str, key: Key) -> Iterator[Problem]:
        if name is not None and name not in draft.known[kind]:
            there = ", ".join(sorted(draft.known[kind])) or "none"
            message = f"{who}: there is no [{kind}.{name}]; there are: {there}. Add it, or name one of these."
            yield _error("unknown-name", key, message)

    if draft.pair:
        yield from missing("certificates", draft.pair.certificate, "the pair", ("pair", "certificate"))
        yield from missing("ca_families", draft.pair.ca, "the pair", ("pair", "ca"))
    for number, vip in draft.vips.items():
        if vip.termination:
            key: Key = ("vips", number, "termination")
            yield from missing("certificates", vip.termination.certificate, vip.label, (*key, "certificate"))
            yield from missing(
                "certificates", vip.termination.check_certificate, vip.label, (*key, "check_certificate")
            )
            yield from missing("ca_families", vip.termination.ca, vip.label, (*key, "ca"))
        for index, server in enumerate(vip.servers):
            key, who = ("vips", number, "servers", index), f"{vip.label} / {server.label}"
            yield from missing("ca_families", server.verify, who, (*key, "verify"))
            yield from missing("certificates", server.client_certificate, who, (*key, "client_certificate"))


def _metrics(draft: Draft) -> Iterator[Problem]:
    """They are served at one place."""
    if draft.metrics is None:
        return
    given = [name for name in ("port", "socket") if getattr(draft.metrics, name) is not None]
    if len(given) == 2:
        message = "metrics are served at a port or at a socket, not at both. Take one out."
        yield _error("contradiction", ("metrics", "socket"), message)
    elif not given:
        message = "[metrics] says nowhere where they are served. Give port = 7780, or a socket."
        yield _error("not-served", ("metrics",), message)
