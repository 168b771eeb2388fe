"""When the certificates, CAs and revocation lists end that a site names, as its files have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from lbkit.errors import Misuse
from lbkit.metrics.figures import Expiry
from lbkit.site.model import CaFamily, Certificate, Site
from lbkit.tls import files
from lbkit.tls.certificate import Certificate as Read
from lbkit.tls.certificate import read_certificates
from lbkit.tls.family import read_family
from lbkit.tls.identity import read_identity


def expiries(site: Site) -> list[Expiry]:
    """Those of all files that this process may read. Blocking."""
    found: list[Expiry] = []
    for name, own in site.certificates.items():
        with suppress(Misuse):  # lint says what is wrong with a file
            found += _of_own(name, own)
    for name, family in site.ca_families.items():
        with suppress(Misuse):
            found += _of_family(name, family)
    return found


def _of_own(name: str, own: Certificate) -> Iterator[Expiry]:
    """Of a root in the file nobody asks when it ends: who meets the certificate has his own."""
    certificate, *chain = _certificates(own)
    yield Expiry("certificate", name, certificate.not_after.timestamp())
    issuers = [one.not_after.timestamp() for one in chain if one.subject != one.issuer]
    if issuers:
        yield Expiry("issuer", name, min(issuers))


def _certificates(own: Certificate) -> Sequence[Read]:
    """Those of a PEM file can be read without its key, which is not for everybody."""
    if not files.is_pfx(files.read(own.file)):
        return read_certificates(own.file)
    found = read_identity(own.file, "", own.password_file or "")
    return found.certificate, *found.chain


def _of_family(name: str, family: CaFamily) -> Iterator[Expiry]:
    read = read_family([family.ca_file], [family.crl_file] if family.crl_file else [])
    yield Expiry("ca", name, min(ca.not_after.timestamp() for ca in read.cas))
    lists = [one.next_update.timestamp() for one in read.lists if one.next_update]
    if lists:
        yield Expiry("crl", name, min(lists))
