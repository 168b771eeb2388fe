"""VIPs that are legal as they stand, and dangerous."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.durations import written
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.load import Kinds
from lbkit.site.services import Vip


def problems(draft: Draft, kinds: Kinds) -> Iterator[Problem]:
    """All of them."""
    for number, vip in draft.vips.items():
        key: Key = ("vips", number)
        yield from _check_without_plugin(vip, key, kinds)
        yield from _translated_ports(vip, key)
        yield from _entry_that_ends(vip, key)
        yield from _http_fallback(vip, key)
        yield from _unverified(vip, key)
    yield from _tables_that_diverge(draft)
    yield from _shared_addresses(draft)


def _warning(rule: str, key: Key, message: str) -> Problem:
    return Problem("warning", rule, key, message)


def _check_without_plugin(vip: Vip, key: Key, kinds: Kinds) -> Iterator[Problem]:
    """An error: nothing would watch these servers."""
    if vip.check.kind not in kinds:
        there = ", ".join(sorted(kinds)) or "none"
        message = (
            f"{vip.label}: no plugin gives the check {vip.check.kind}; there are: {there}. Install it, or use another."
        )
        yield Problem("error", "unknown-check", (*key, "check", "kind"), message)


def _translated_ports(vip: Vip, key: Key) -> Iterator[Problem]:
    """The kernel replaces the real server's port by the VIP's, and says nothing."""
    if vip.mode != "l4-dr":
        return
    for index, server in enumerate(vip.servers):
        if server.port is not None and set(vip.ports) != {server.port}:
            message = (
                f"{vip.label} / {server.label}: direct routing does not translate ports: clients reach it on the port they "
                f"asked for, never on {server.port}. Take the port out, or use mode l7-snat."
            )
            yield _warning("port-translation", (*key, "servers", index, "port"), message)


def _entry_that_ends(vip: Vip, key: Key) -> Iterator[Problem]:
    """HAProxy counts from an entry's last new connection, not from its end."""
    persistence = vip.persistence
    if persistence.mode != "last-successful" or persistence.timeout is None:
        return
    message = (
        f"{vip.label}: its Last Successful entry ends {written(persistence.timeout)} after the last new connection, while "
        "connections live on: the next client then goes to the first server, and two are in use. Take the timeout out."
    )
    yield _warning("entry-ends", (*key, "persistence", "timeout"), message)


def _http_fallback(vip: Vip, key: Key) -> Iterator[Problem]:
    if vip.fallback and vip.fallback.protocol == "http" and vip.protocol == "tcp":
        message = (
            f"{vip.label}: an HTTP fallback on a VIP that speaks something else makes clients hang rather than fail. "
            "Take it out, or give a fallback of the same protocol."
        )
        yield _warning("http-fallback", (*key, "fallback", "protocol"), message)


def _unverified(vip: Vip, key: Key) -> Iterator[Problem]:
    for index, server in enumerate(vip.servers):
        who, place = f"{vip.label} / {server.label}", (*key, "servers", index)
        if server.re_encrypt and server.verify is None:
            message = (
                f"{who}: its certificate is not verified: anybody can stand in for it. Give verify, with a CA family."
            )
            yield _warning("not-verified", (*place, "re_encrypt"), message)
        elif server.re_encrypt and server.server_name is None:
            message = (
                f"{who}: its name is not verified: any server with a certificate of {server.verify} can stand in for it. "
                "Give its server_name."
            )
            yield _warning("name-not-verified", (*place, "verify"), message)


def _tables_that_diverge(draft: Draft) -> Iterator[Problem]:
    """VIPs with Last Successful whose real servers are the same have a table each."""
    users: dict[tuple[str, int], Vip] = {}
    for number, vip in draft.vips.items():
        if vip.persistence.mode != "last-successful":
            continue
        others: dict[str, str] = {}
        for server in vip.servers:
            for port in (server.port,) if server.port else vip.ports:
                first = users.setdefault((server.address, port), vip)
                if first is not vip:
                    others.setdefault(first.label, f"{server.address}:{port}")
        for label, where in others.items():
            message = (
                f"{vip.label}: shares real servers ({where}) with {label}, with a Last Successful table of its own: after "
                "a failover the two can be on different servers. Clear, drain and halt for both at once."
            )
            yield _warning("tables-diverge", ("vips", number, "servers"), message)


def _shared_addresses(draft: Draft) -> Iterator[Problem]:
    """What a planned failover does to keep sessions of layer 7 (untracked packets, a second chance) breaks layer 4."""
    first: dict[str, Vip] = {}
    for number, vip in draft.vips.items():
        other = first.setdefault(vip.address, vip)
        if other.mode != vip.mode:
            message = (
                f"{vip.label}: {vip.address} is {other.label}'s too, one on layer 4 and one on layer 7: sessions can't be "
                "kept through a failover there. Give each layer an address of its own."
            )
            yield _warning("shared-address", ("vips", number, "address"), message)
