"""Certificates: what the site names, what HAProxy has loaded, and putting the one into the other without a reload."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lbkit.checks.plan import KindOf, is_of_this_machine
from lbkit.errors import EngineError, Misuse, NotDone
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.secured import cas, certificate, crl
from lbkit.install import ritual
from lbkit.install.files import File
from lbkit.operate.apply import manifest, render
from lbkit.operate.outcome import Done
from lbkit.site.model import Site
from lbkit.site.services import Vip
from lbkit.tls.certificate import Certificate
from lbkit.tls.family import read_family
from lbkit.tls.identity import read_identity

HANDSHAKE = 5.0  # seconds

Kind = Literal["certificate", "ca", "crl"]
State = Literal["in force", "differs", "not loaded", "not asked"]


@dataclass(frozen=True, slots=True)
class CertView:
    """A certificate that the site names, or one of its CAs. `file`: the site's. `state`: in HAProxy, now.

    `not_after`: UTC, timezone-aware. `used_by`: labels of VIPs.
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
        first = read_identity(own.file, own.key_file or "", own.password_file or "").certificate
        found.append(_view(haproxy, name, "certificate", first, own.file, moment))
    for name, family in site.ca_families.items():
        cas_of_it = read_family([family.ca_file]).cas
        found += [_view(haproxy, name, "ca", ca, family.ca_file, moment) for ca in cas_of_it]
    return sorted(found, key=lambda one: one.not_after)


def _view(haproxy: Haproxy, name: str, kind: Kind, one: Certificate, file: str, now: datetime) -> CertView:
    used = tuple(vip.label for vip in haproxy.vips if name in _names(vip, kind))
    left = (one.not_after - now).total_seconds() / 86400
    return CertView(name, kind, one.subject, one.not_after, left, used, file, _state(haproxy, name, kind, one))


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
    return "in force" if _fingerprint(one) in loaded else "differs"


def _answers(haproxy: Haproxy) -> bool:
    try:
        haproxy.runtime.info()
    except EngineError:
        return False
    return True


def _fingerprint(one: Certificate) -> str:
    """As HAProxy shows it."""
    return hashlib.sha1(_der(one.raw), usedforsecurity=False).hexdigest().upper()


def rotate(
    site: Site, kind_of: KindOf, node: str | None = None, names: Collection[str] = (), *, dry_run: bool = False
) -> list[Done]:
    """Put certificates, CAs and revocation lists of the site that differ into HAProxy, and on its disk. `names`: of which.

    Nothing is reloaded, and no connection touched: handshakes from then on have the new ones, as a handshake with each VIP
    that this machine holds proves. Where anything fails HAProxy and its disk are as before: RolledBack. Raises Misuse for a
    name that the site does not have, EngineError.
    """
    for name in names:
        if name not in site.certificates and name not in site.ca_families:
            known = ", ".join([*site.certificates, *site.ca_families]) or "none"
            raise Misuse(f"the site has no certificate or CA family {name!r}. There are: {known}.")
    haproxy = Haproxy(site)
    files = render(site, kind_of, node).files
    chosen = [file for file in files if _is_of(haproxy, file, names) and _differs(haproxy, file)]
    done = [_said(haproxy, file, dry_run) for file in chosen]
    if dry_run or not chosen:
        return done

    def activate() -> None:
        for file in chosen:
            _give(haproxy, file.path)

    def verify() -> None:
        for one in done:
            one.steps += _handshakes(haproxy, one.vip)

    kept = [file if file in chosen else _as_it_is(file) for file in files]
    installed = [file for file in kept if file is not None]
    if not ritual.install(installed, manifest(site), check=lambda: None, activate=activate, verify=verify):
        activate()  # the disk was right already, and HAProxy was not
        verify()
    return done


def _relative(haproxy: Haproxy, path: Path) -> str:
    """The name by which haproxy.cfg, and so HAProxy, calls a file."""
    return str(path.relative_to(haproxy.folder))


def _is_of(haproxy: Haproxy, file: File, names: Collection[str]) -> bool:
    return _relative(haproxy, file.path).startswith(("tls/certificates/", "tls/families/")) and (
        not names or file.path.stem in names
    )


def _differs(haproxy: Haproxy, file: File) -> bool:
    """From the disk, or from what HAProxy has loaded; of revocation lists HAProxy does not say which it has."""
    if not file.path.exists():
        raise Misuse(
            f"{file.path} is not there yet: HAProxy does not know it. Write all of the site first: lbkit apply"
        )
    if file.path.read_bytes() != file.content:
        return True
    name = _relative(haproxy, file.path)
    if name.endswith(".crl"):
        return False
    if name == certificate(file.path.stem):
        return haproxy.runtime.certificate(name).fingerprint != _fingerprints(file.content)[0]
    return {one.fingerprint for one in haproxy.runtime.ca_certificates(name)} != set(_fingerprints(file.content))


def _said(haproxy: Haproxy, file: File, dry_run: bool) -> Done:
    name = _relative(haproxy, file.path)
    return Done(file.path.stem, None, "rotate", dry_run, [f"{name} is replaced, on disk and in the running HAProxy"])


def _as_it_is(file: File) -> File | None:
    """A file that is not to be touched now; None: it is not there."""
    return replace(file, content=file.path.read_bytes()) if file.path.exists() else None


def _give(haproxy: Haproxy, path: Path) -> None:
    """What is on disk, to HAProxy: the new, and where that went wrong the old again."""
    name, content = _relative(haproxy, path), path.read_bytes()
    if name == certificate(path.stem):
        haproxy.runtime.set_certificate(name, content)
    elif name == cas(path.stem):
        haproxy.runtime.set_ca_file(name, content)
    elif name == crl(path.stem):
        haproxy.runtime.set_crl_file(name, content)


def _handshakes(haproxy: Haproxy, name: str) -> Iterator[str]:
    """Meet each VIP that ends TLS with this certificate, as a client does. Raises NotDone."""
    for vip in haproxy.vips:
        if vip.termination is None or vip.termination.certificate != name:
            continue
        if not is_of_this_machine(vip.address):
            yield f"{vip.label} is not on this machine now: not met"
            continue
        wanted = _fingerprints((haproxy.folder / certificate(name)).read_bytes())[0]
        for port in vip.ports:
            shown = _shown(vip.address, port)
            if shown != wanted:
                raise NotDone(
                    f"{vip.label} at port {port} shows the certificate {shown}, and {wanted} was given to it."
                )
        yield f"{vip.label} shows it"


def _shown(address: str, port: int) -> str:
    """The fingerprint of the certificate that is shown to a client; one without a certificate of its own sees it too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), HANDSHAKE) as connection,
            context.wrap_socket(connection) as session,
        ):
            return hashlib.sha1(session.getpeercert(True) or b"", usedforsecurity=False).hexdigest().upper()
    except OSError as e:
        raise EngineError(
            f"{address} port {port} can't be met: {e.strerror or e}. lbkit check mtls {address}:{port}"
        ) from None


def _fingerprints(pem: bytes) -> list[str]:
    return [
        hashlib.sha1(_der(one), usedforsecurity=False).hexdigest().upper()
        for one in x509.load_pem_x509_certificates(pem)
    ]


def _der(one: x509.Certificate) -> bytes:
    return one.public_bytes(Encoding.DER)
