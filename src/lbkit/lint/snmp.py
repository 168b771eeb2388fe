"""[snmp]: who would be answered or told, and with what (guide 12.1)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from lbkit.errors import LbkitError, Misuse
from lbkit.lint.files import missing, readable_by_all
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.reporting import Snmp, SnmpUser
from lbkit.snmp.keys import PASSPHRASE, check_name, content
from lbkit.snmp.oids import LABEL
from lbkit.snmp.render import check_line


def problems(draft: Draft) -> Iterator[Problem]:
    """All of them."""
    if draft.snmp is None:
        return
    snmp = draft.snmp
    yield from _nobody(snmp)
    yield from _lines(snmp)
    yield from _twice(snmp)
    yield from _open(snmp)
    yield from _too_long(draft)
    if snmp.community_file:
        yield from _file("community_file", snmp.community_file, ("snmp",), 1)
    if snmp.user:
        key: Key = ("snmp", "user")
        try:
            check_name(snmp.user.name)
        except Misuse as e:
            yield _error("unusable", (*key, "name"), str(e))
        yield from _weak(snmp.user)
        for name in ("authentication_file", "privacy_file"):
            yield from _file(name, getattr(snmp.user, name), key, PASSPHRASE)


def _error(rule: str, key: Key, message: str) -> Problem:
    return Problem("error", rule, key, message)


def _nobody(snmp: Snmp) -> Iterator[Problem]:
    for version in ("v1", "v2c"):
        if getattr(snmp, version) and not snmp.community_file:
            message = f"{version} goes by a community, and there is none. Give community_file, or take {version} out."
            yield _error("contradiction", ("snmp", version), message)
    if not (snmp.v1 or snmp.v2c or snmp.user):
        yield _error("contradiction", ("snmp",), "nobody is answered: neither v1, v2c nor a user is there. Give one.")
    for number, one in enumerate(snmp.traps):
        key: Key = ("snmp", "traps", number, "version")
        if one.version == "v3" and not snmp.user:
            yield _error("contradiction", key, f"{one.address}: v3 goes by a user, and there is none. Give one.")
        if one.version == "v2c" and not snmp.community_file:
            message = f"{one.address}: v2c goes by a community, and there is none. Give community_file."
            yield _error("contradiction", key, message)


def _lines(snmp: Snmp) -> Iterator[Problem]:
    for name in ("location", "contact"):
        try:
            check_line(getattr(snmp, name))
        except Misuse as e:
            yield _error("unusable", ("snmp", name), str(e))


def _twice(snmp: Snmp) -> Iterator[Problem]:
    for number, one in enumerate(snmp.addresses):
        every = "::" if ":" in one else "0.0.0.0"  # noqa: S104
        before = [other for other in snmp.addresses[:number] if (":" in other) == (":" in one)]
        if one in before or (before and every in (one, *before)):
            other = one if one in before else before[-1] if one == every else every
            message = f"{one} beside {other}: snmpd can't open both, and would not start. Take one out."
            yield _error("contradiction", ("snmp", "addresses", number), message)
    told: set[tuple[str, int]] = set()
    for number, to in enumerate(snmp.traps):
        if (to.address, to.port) in told:
            message = f"{to.address} port {to.port} is there already: one receiver is told once. Take one out."
            yield _error("contradiction", ("snmp", "traps", number), message)
        told.add((to.address, to.port))


def _open(snmp: Snmp) -> Iterator[Problem]:
    versions = " and ".join(one for one in ("v1", "v2c") if getattr(snmp, one))
    if versions and not snmp.managers and not all(ip_address(one).is_loopback for one in snmp.addresses):
        message = (
            f"by {versions} anybody is answered who knows the community, and each packet shows it. Name in managers who "
            "asks, or have a user (v3) alone."
        )
        yield Problem("warning", "community-open", ("snmp", "addresses"), message)


def _too_long(draft: Draft) -> Iterator[Problem]:
    for number, vip in draft.vips.items():
        labels: dict[Key, str] = {("label",): vip.label}
        labels |= {("servers", place, "label"): one.label for place, one in enumerate(vip.servers)}
        for key, label in labels.items():
            if len(label) > LABEL:
                message = f"{label}: a name in SNMP has room for {LABEL} characters. Shorten it."
                yield _error("unusable", ("vips", number, *key), message)


def _weak(user: SnmpUser) -> Iterator[Problem]:
    for name, weak, instead, harm in (
        ("authentication", "MD5", "SHA-256", "find the passphrase"),
        ("privacy", "DES", "AES", "read along"),
    ):
        if getattr(user, name) == weak:
            message = f"{weak} is weak: who hears the manager can {harm}. Give {instead}, if it can."
            yield Problem("warning", "weak-algorithm", ("snmp", "user", name), message)


def _file(name: str, path: str, key: Key, least: int) -> Iterator[Problem]:
    absent = list(missing({name: path}, key))
    yield from absent
    if absent:
        return
    try:
        content(path, least)
    except LbkitError as e:
        yield _error("unusable", (*key, name), str(e))
    yield from readable_by_all(path, (*key, name))
