"""VIPs and real servers by what an operator calls them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from lbkit.errors import Misuse
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip


def vips_of(site: Site, labels: Iterable[str] = ()) -> list[Vip]:
    """The VIPs of these labels, each once, in the order given; none given: all. Raises Misuse for one that is not there."""
    known = {vip.label: vip for vip in site.vips}
    for label in (asked := list(dict.fromkeys(labels))):
        if label not in known:
            raise Misuse(f"no VIP of site {site.name} is labelled {label!r}. {_advice(label, known)}")
    return [known[label] for label in asked or known]


def vip_of(site: Site, label: str) -> Vip:
    """The VIP of that label. Raises Misuse."""
    return vips_of(site, (label,))[0]


def server_of(vip: Vip, rip: str) -> RealServer:
    """The real server of that label, or else of that address or ADDRESS:PORT. Raises Misuse: none, or several."""
    for server in vip.servers:
        if server.label == rip:
            return server
    found = [server for server in vip.servers if rip in (server.address, f"{server.address}:{server.port}")]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(server.label for server in found)
        raise Misuse(f"{vip.label} has several real servers at {rip}: {several}. Name one of them.")
    labels = [server.label for server in vip.servers]
    raise Misuse(f"{vip.label} has no real server {rip!r}. {_advice(rip, labels)}")


def everywhere(site: Site, rip: str) -> Iterator[tuple[Vip, RealServer]]:
    """Each place of a real server in the site. By address: all that are there; by label: also those of other labels at its
    address and port. Raises Misuse where there is none.
    """
    all_of_them = [(vip, server) for vip in site.vips for server in vip.servers]
    named = {(server.address, server.port) for _, server in all_of_them if server.label == rip}
    found = [
        (vip, server)
        for vip, server in all_of_them
        if rip in (server.label, server.address) or (server.address, server.port) in named
    ]
    if not found:
        labels = dict.fromkeys(server.label for _, server in all_of_them)
        raise Misuse(f"no VIP of site {site.name} has a real server {rip!r}. {_advice(rip, labels)}")
    yield from found


def _advice(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = get_close_matches(name, known, 1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
