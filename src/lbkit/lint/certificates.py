"""What the files of certificates, keys, CAs and revocation lists say, and who may read them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime, timedelta

from lbkit.errors import Misuse
from lbkit.lint.files import missing, readable_by_all
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.tls.certificate import Certificate, read_certificates
from lbkit.tls.family import Family, read_family
from lbkit.tls.identity import read_identity

SOON = timedelta(days=30)


def problems(draft: Draft, now: datetime) -> Iterator[Problem]:
    """All of them. `now`: timezone-aware."""
    families: dict[str, Family] = {}
    for name, family in draft.ca_families.items():
        read = yield from _read_family(name, family.ca_file, family.crl_file)
        if read is not None:
            families[name] = read
            yield from _of_a_family(name, read, bool(family.crl_file), now)
    for name, certificate in draft.certificates.items():
        key: Key = ("certificates", name)
        given = {n: getattr(certificate, n) for n in ("file", "key_file", "password_file") if getattr(certificate, n)}
        absent = list(missing(given, key))
        yield from absent
        if not absent:
            yield from _of_an_identity(name, given, _uses(draft, name), families, now)
    for number, vip in draft.vips.items():
        given = {n: v for n, v in vip.check.params.items() if n.endswith("_file") and isinstance(v, str)}
        yield from missing(given, ("vips", number, "check"))


def _error(rule: str, key: Key, message: str) -> Problem:
    return Problem("error", rule, key, message)


def _read_family(name: str, ca_file: str, crl_file: str | None) -> Generator[Problem, None, Family | None]:
    key: Key = ("ca_families", name)
    absent = list(missing({"ca_file": ca_file, **({"crl_file": crl_file} if crl_file else {})}, key))
    yield from absent
    if absent:
        return None
    try:
        return read_family([ca_file], [crl_file] if crl_file else [])
    except Misuse as e:
        wrong = "crl_file" if crl_file and str(e).startswith(crl_file) else "ca_file"
        yield _error("unusable", (*key, wrong), f"{name}: {e}")
        return None


def _of_a_family(name: str, family: Family, has_crl_file: bool, now: datetime) -> Iterator[Problem]:
    key: Key = ("ca_families", name)
    for ca in family.cas:
        yield from _times(ca, f"{name}: its CA {ca.subject}", (*key, "ca_file"), now)
    for one in family.lists:
        if one.next_update is not None and one.next_update <= now:
            message = (
                f"{name}: the revocation list of {one.issuer} was to be renewed on {one.next_update:%Y-%m-%d}: engines "
                "refuse every certificate of that CA. Fetch the new one."
            )
            yield _error("crl-expired", (*key, "crl_file"), message)
    for ca in family.without_list() if family.lists else ():
        message = (
            f"{name}: {ca.subject} has no revocation list beside one that has: engines then refuse every certificate of "
            "that CA. Add its list, or take the CA out."
        )
        yield Problem("warning", "ca-without-crl", (*key, "crl_file" if has_crl_file else "ca_file"), message)


def _of_an_identity(
    name: str, given: dict[str, str], uses: dict[str, str], families: dict[str, Family], now: datetime
) -> Iterator[Problem]:
    key: Key = ("certificates", name)
    certificates: tuple[Certificate, ...] = ()
    try:
        found = read_identity(given["file"], given.get("key_file", ""), given.get("password_file", ""))
        certificates = (found.certificate, *found.chain)
    except Misuse as e:
        wrong = next((n for n in ("password_file", "key_file") if given.get(n, "\0") in str(e)), "file")
        yield _error("unusable", (*key, wrong), f"{name}: {e}")
        try:  # the certificates can be right where the key is not
            certificates = read_certificates(given["file"])
        except Misuse:
            return
    for one in certificates:
        yield from _times(one, f"{name}: the certificate {one.subject}", (*key, "file"), now)
    for family in [family for family, read in families.items() if read.has_revoked(certificates[0])]:
        message = (
            f"{name}: the certificate {certificates[0].subject} is on the revocation list of family {family}: whoever uses "
            "that list refuses it. Get a new one."
        )
        yield _error("revoked", (*key, "file"), message)
    for use, where in uses.items():
        if not getattr(certificates[0], f"for_{use}"):
            message = (
                f"{name}: {where} puts it to use as a {use}'s certificate, and its key usage does not allow that: the other "
                f"side refuses it. Get one with the extended key usage {use}Auth."
            )
            yield _error("wrong-usage", (*key, "file"), message)
    secret = [n for n in given if n != "file" or "key_file" not in given]
    for field in secret:
        yield from readable_by_all(given[field], (*key, field), name)


def _times(certificate: Certificate, who: str, key: Key, now: datetime) -> Iterator[Problem]:
    if certificate.not_after <= now:
        yield _error("expired", key, f"{who} expired on {certificate.not_after:%Y-%m-%d}. Renew it.")
    elif certificate.not_before > now:
        message = f"{who} is not valid before {certificate.not_before:%Y-%m-%d}. Check this machine's clock, or wait."
        yield _error("not-yet-valid", key, message)
    elif certificate.not_after - now < SOON:
        days = (certificate.not_after - now).days
        left = "in a day" if days == 1 else f"in {days} days"
        yield Problem(
            "warning", "expires-soon", key, f"{who} expires on {certificate.not_after:%Y-%m-%d}, {left}. Renew it."
        )


def _uses(draft: Draft, name: str) -> dict[str, str]:
    """`server`, `client`: where the certificate is put to that use first, if anywhere."""
    uses: dict[str, str] = {}
    for vip in draft.vips.values():
        if vip.termination and vip.termination.certificate == name:
            uses.setdefault("server", f"VIP {vip.label}")
        if vip.termination and vip.termination.check_certificate == name:
            uses.setdefault("client", f"VIP {vip.label} (check_certificate)")
        for server in vip.servers:
            if server.client_certificate == name:
                uses.setdefault("client", f"{vip.label} / {server.label}")
    if draft.pair and draft.pair.certificate == name:
        uses = {"server": "the pair", "client": "the pair"} | uses
    return uses
