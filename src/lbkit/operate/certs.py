"""Certificates: what the site names, what HAProxy has loaded, and putting the one into the other without a reload."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lbkit.errors import EngineError
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.secured import cas, certificate, crl
from lbkit.site.model import Site
from lbkit.site.services import Vip
from lbkit.tls.certificate import Certificate
from lbkit.tls.family import RevocationList, read_family
from lbkit.tls.identity import read_identity

_NEVER = datetime.max.replace(tzinfo=UTC)  # of a list without an end

Kind = Literal["certificate", "issuer", "ca", "crl"]
State = Literal["in force", "differs", "not loaded", "not asked"]


@dataclass(frozen=True, slots=True)
class CertView:
    """A certificate that the site names, an issuer in its file, or one of its CAs or revocation lists.

    `not_after`: UTC, timezone-aware. `used_by`: labels of VIPs. `file`: the site's. `state`: in HAProxy, now.
    """

    name: str
    kind: Kind
    subject: str
    not_after: datetime
    days_left: float
    used_by: tuple[str, ...]
    file: str
    state: State

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "name": self.name,
            "kind": self.kind,
            "subject": self.subject,
            "not_after": self.not_after.isoformat().replace("+00:00", "Z"),
            "days_left": round(self.days_left, 1),
            "used_by": list(self.used_by),
            "file": self.file,
            "state": self.state,
        }


def listed(site: Site, now: datetime | None = None) -> list[CertView]:
    """Every certificate and CA of the site, by when they end. Raises Misuse for a file that can't be read.

    Where HAProxy does not answer, their state is "not asked".
    """
    haproxy, moment = Haproxy(site), now or datetime.now(UTC)
    found = []
    for name, own in site.certificates.items():
        identity = read_identity(own.file, own.key_file or "", own.password_file or "")
        view = _view(haproxy, name, "certificate", identity.certificate, own.file, moment)
        found += [view, *(_issuer(view, one, moment) for one in identity.chain if one.subject != one.issuer)]
    for name, family in site.ca_families.items():
        read = read_family([family.ca_file], [family.crl_file] if family.crl_file else [])
        found += [_view(haproxy, name, "ca", ca, family.ca_file, moment) for ca in read.cas]
        found += [_view_of_list(haproxy, name, one, moment) for one in read.lists]
    return sorted(found, key=lambda one: one.not_after)


def _view_of_list(haproxy: Haproxy, name: str, one: RevocationList, now: datetime) -> CertView:
    """HAProxy does not say which lists it has loaded, so that its disk speaks for it."""
    used = tuple(vip.label for vip in haproxy.vips if name in _names(vip, "crl"))
    ends = one.next_update or _NEVER
    state: State = "not loaded"
    if (file := haproxy.folder / crl(name)).exists():
        state = "in force" if _pem(one) in file.read_bytes() else "differs"
    if not _answers(haproxy):
        state = "not asked"
    return CertView(name, "crl", one.issuer, ends, (ends - now).total_seconds() / 86400, used, one.path, state)


def _view(haproxy: Haproxy, name: str, kind: Kind, one: Certificate, file: str, now: datetime) -> CertView:
    used = tuple(vip.label for vip in haproxy.vips if name in _names(vip, kind))
    left = (one.not_after - now).total_seconds() / 86400
    return CertView(name, kind, one.subject, one.not_after, left, used, file, _state(haproxy, name, kind, one))


def _issuer(of: CertView, one: Certificate, now: datetime) -> CertView:
    """One in the file of a certificate; HAProxy has both or neither."""
    left = (one.not_after - now).total_seconds() / 86400
    return replace(of, kind="issuer", subject=one.subject, not_after=one.not_after, days_left=left)


def _names(vip: Vip, kind: Kind) -> Iterator[str | None]:
    if kind == "certificate":
        yield vip.termination.certificate if vip.termination else None
        yield from (server.client_certificate for server in vip.servers)
    else:
        yield vip.termination.ca if vip.termination else None
        yield from (server.verify for server in vip.servers)


def _state(haproxy: Haproxy, name: str, kind: Kind, one: Certificate) -> State:
    try:
        if kind == "certificate":
            loaded = {haproxy.runtime.certificate(certificate(name)).fingerprint}
        else:
            loaded = {each.fingerprint for each in haproxy.runtime.ca_certificates(cas(name))}
    except EngineError:
        return "not loaded" if _answers(haproxy) else "not asked"
    return "in force" if fingerprint(one.raw) in loaded else "differs"


def _answers(haproxy: Haproxy) -> bool:
    try:
        haproxy.runtime.info()
    except EngineError:
        return False
    return True


def _pem(one: RevocationList) -> bytes:
    return one.raw.public_bytes(Encoding.PEM)


def fingerprint(one: x509.Certificate) -> str:
    """As HAProxy shows it."""
    return hashlib.sha1(one.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest().upper()
