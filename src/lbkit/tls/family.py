"""A CA family: the CAs that clients or servers may be of, and their revocation lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from lbkit.tls import files
from lbkit.tls.certificate import Certificate, broken, of_blocks
from lbkit.tls.pem import Block, blocks, lacks

# a wrong signature, names that do not agree, a key that can't sign, an algorithm that is not supported
_UNVERIFIABLE = (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One CRL (RFC 5280 section 5). `next_update`: UTC, timezone-aware; from then on engines refuse. None: it has no end."""

    issuer: str
    next_update: datetime | None
    path: str
    raw: x509.CertificateRevocationList = field(repr=False)

    def is_of(self, ca: Certificate) -> bool:
        """Whether this CA has signed it."""
        try:
            key = ca.raw.public_key()
            return self.raw.issuer == ca.raw.subject and self.raw.is_signature_valid(key)  # type: ignore[arg-type]
        except _UNVERIFIABLE:
            return False


@dataclass(frozen=True, slots=True)
class Family:
    """CAs and revocation lists, as they were read; signatures are looked at, times are the caller's to judge."""

    cas: tuple[Certificate, ...]
    lists: tuple[RevocationList, ...]

    def lists_of(self, ca: Certificate) -> tuple[RevocationList, ...]:
        """The revocation lists that this CA has signed."""
        return tuple(one for one in self.lists if one.is_of(ca))

    def without_list(self) -> tuple[Certificate, ...]:
        """The CAs that have none: once any list is given, engines refuse all that these issued."""
        return tuple(ca for ca in self.cas if not self.lists_of(ca))

    def issuer_of(self, certificate: Certificate) -> Certificate | None:
        """The CA of the family that signed it."""
        return next((ca for ca in self.cas if _signed(certificate, ca)), None)

    def has_revoked(self, certificate: Certificate) -> bool:
        """Whether a list of the CA that signed it names it."""
        ca = self.issuer_of(certificate)
        serial = certificate.raw.serial_number
        return ca is not None and any(
            one.raw.get_revoked_certificate_by_serial_number(serial) is not None for one in self.lists_of(ca)
        )


def read_family(ca_files: Iterable[str], crl_files: Iterable[str] = ()) -> Family:
    """Read PEM files: each of `ca_files` holds a certificate or more (lists beside them count), each of `crl_files` a list.

    Raises Misuse, naming the file.
    """
    cas: list[Certificate] = []
    lists: list[RevocationList] = []
    for path in ca_files:
        found = blocks(files.read(path), path)
        cas += of_blocks(found, path)
        lists += _lists(found, path)
    for path in crl_files:
        found = blocks(files.read(path), path)
        given = _lists(found, path)
        if not given:
            raise lacks(found, "revocation list", path)
        lists += given
    return Family(tuple(cas), tuple(lists))


def _lists(found: list[Block], path: str) -> list[RevocationList]:
    return [_list(block, path) for block in found if block.label == "X509 CRL"]


def _list(block: Block, path: str) -> RevocationList:
    try:
        raw = x509.load_pem_x509_crl(block.text)
        raw.get_revoked_certificate_by_serial_number(1)  # reads every entry, so that what is broken shows here
        return RevocationList(raw.issuer.rfc4514_string(), raw.next_update_utc, path, raw)
    except Exception as e:
        raise broken("revocation list", path, e) from None


def _signed(certificate: Certificate, ca: Certificate) -> bool:
    try:
        certificate.raw.verify_directly_issued_by(ca.raw)
    except _UNVERIFIABLE:
        return False
    return True
