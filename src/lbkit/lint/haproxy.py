"""What HAProxy can't do of a site that is right by itself, and what would be less safe there than it looks."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.checks.plan import KindOf
from lbkit.errors import LbkitError, Misuse
from lbkit.haproxy import limits, native, page
from lbkit.lint.files import missing
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.services import Vip


def problems(draft: Draft, kind_of: KindOf) -> Iterator[Problem]:
    """All of them; VIPs with other errors are left to those who find these."""
    yield from limits.problems(draft)
    yield from _page(draft)
    yield from _plaintext_doors(draft)
    for number, vip in draft.vips.items():
        if vip.mode == "l7-snat" and _names(vip) <= draft.ca_families.keys() | draft.certificates.keys():
            yield from _of_a_vip(vip, ("vips", number), draft, kind_of)


def _names(vip: Vip) -> set[str]:
    ends = vip.termination
    named = [ends.ca, ends.certificate] if ends else []
    for server in vip.servers:
        named += [server.verify, server.client_certificate]
    return {name for name in named if name is not None}


def _of_a_vip(vip: Vip, key: Key, draft: Draft, kind_of: KindOf) -> Iterator[Problem]:
    try:
        servers = native.checked(vip, draft, kind_of(vip.check.kind))
    except LbkitError:  # a check without its plugin, or with parameters that are wrong: said elsewhere
        return
    for place, why in native.not_native(vip, draft, servers):
        yield Problem("warning", "needs-agent", (*key, *place), f"{why} As it is, the agent runs it: lbkit agent.")
    yield from limits.of_vip(vip, key, draft, servers)


def _page(draft: Draft) -> Iterator[Problem]:
    if draft.fallback_page is None or draft.fallback_page.file is None:
        return
    absent = list(missing({"file": draft.fallback_page.file}, ("fallback_page",)))
    yield from absent
    if not absent:
        try:
            page.content(draft.fallback_page, "")
        except Misuse as e:
            yield Problem("error", "unusable", ("fallback_page", "file"), str(e))


def _plaintext_doors(draft: Draft) -> Iterator[Problem]:
    """The vendor's appliance opens such ports itself: 444 behind 443, and so on. lbkit does not."""
    guarded: dict[tuple[str, int], str] = {}
    for vip in draft.vips.values():
        if vip.termination and vip.termination.ca:
            for place in _reached(vip):
                guarded.setdefault(place, vip.label)
    for number, vip in draft.vips.items():
        if vip.mode != "l7-snat" or vip.termination:
            continue
        first = next((place for place in _reached(vip) if place in guarded), None)
        if first is not None:
            message = (
                f"{vip.label}: without termination it leads to {first[0]} port {first[1]}, which {guarded[first]} opens to "
                "clients with a certificate alone: a way past it. Take the VIP out, or give it the same termination."
            )
            yield Problem("warning", "plaintext-door", ("vips", number), message)


def _reached(vip: Vip) -> list[tuple[str, int]]:
    return [(server.address, server.port or port) for server in vip.servers for port in vip.ports]
