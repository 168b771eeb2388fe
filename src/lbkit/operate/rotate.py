"""New certificates, CAs and revocation lists in force, in the running HAProxy and on its disk."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from cryptography import x509

from lbkit.checks.here import is_of_this_machine
from lbkit.checks.plan import KindOf
from lbkit.errors import EngineError, Misuse, NotDone
from lbkit.haproxy import guarded
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.secured import cas, certificate, crl
from lbkit.install import ritual
from lbkit.install.files import File
from lbkit.operate import audit
from lbkit.operate.apply import in_force, manifest, render
from lbkit.operate.certs import fingerprint
from lbkit.operate.outcome import Done
from lbkit.site.model import Site
from lbkit.state.intents import Intents

HANDSHAKE = 5.0  # seconds


def rotate(
    site: Site,
    kind_of: KindOf,
    node: str | None = None,
    names: Collection[str] = (),
    *,
    dry_run: bool = False,
    state: Path | None = None,
) -> list[Done]:
    """Put certificates, CAs and revocation lists of the site that differ into HAProxy, and on its disk. `names`: of which.

    No connection is touched: handshakes from then on have the new ones, as a handshake with each VIP that this machine holds
    proves. Nothing is reloaded, except by HAProxy below 2.8 for CAs and revocation lists, which crash it. Where anything
    fails HAProxy and its disk are as before: RolledBack. Raises Misuse for a name that the site does not have, EngineError.
    `state`: the folder of intents.
    """
    for name in names:
        if name not in site.certificates and name not in site.ca_families:
            known = ", ".join([*site.certificates, *site.ca_families]) or "none"
            raise Misuse(f"the site has no certificate or CA family {name!r}. There are: {known}.")
    haproxy = Haproxy(site)
    files = render(site, kind_of, node).files
    chosen = [file for file in files if _is_of(haproxy, file, names) and _differs(haproxy, file)]
    reloads = any(_is_of_a_family(haproxy, file) for file in chosen) and not haproxy.runtime.takes_cas()
    done = [_said(haproxy, file, dry_run, reloads) for file in chosen]
    if dry_run or not chosen:
        return done

    def activate() -> None:
        if reloads:
            guarded.reload(haproxy, in_force(site, state))
            return
        for file in chosen:
            _give(haproxy, file.path)

    def verify() -> None:
        for one in done:
            one.steps += _handshakes(haproxy, one.vip)

    kept = [file if file in chosen else _as_it_is(file) for file in files]
    installed = [file for file in kept if file is not None]
    with Intents(state).alone(), audit.rolled_back(state):
        if not ritual.install(installed, manifest(site), check=lambda: None, activate=activate, verify=verify):
            activate()  # the disk was right already, and HAProxy was not
            verify()
    names = ", ".join(sorted({one.vip for one in done}))
    audit.note("certificates-rotated", f"new certificates, CAs or revocation lists are in force: {names}", state)
    return done


def _relative(haproxy: Haproxy, path: Path) -> str:
    """The name by which haproxy.cfg, and so HAProxy, calls a file."""
    return str(path.relative_to(haproxy.folder))


def _is_of(haproxy: Haproxy, file: File, names: Collection[str]) -> bool:
    return _relative(haproxy, file.path).startswith(("tls/certificates/", "tls/families/")) and (
        not names or file.path.stem in names
    )


def _is_of_a_family(haproxy: Haproxy, file: File) -> bool:
    return _relative(haproxy, file.path).startswith("tls/families/")


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


def _said(haproxy: Haproxy, file: File, dry_run: bool, reloads: bool) -> Done:
    how = "by a reload: this HAProxy takes no CA while it runs" if reloads else "in the running HAProxy"
    step = f"{_relative(haproxy, file.path)} is replaced, on disk and {how}"
    return Done(file.path.stem, None, "rotate", dry_run, [step])


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
    return [fingerprint(one) for one in x509.load_pem_x509_certificates(pem)]
