"""One certificate, read: who it is for, until when, and for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from lbkit.errors import Misuse
from lbkit.tls import files
from lbkit.tls.pem import Block, blocks, lacks

LABELS = ("CERTIFICATE", "X509 CERTIFICATE")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says (RFC 5280), all of it read when it is made.

    `subject`, `issuer`: RFC 4514 strings. `names`: DNS names and addresses that it is for. `not_before`, `not_after`: UTC,
    timezone-aware. `for_server`, `for_client`: whether it may be put to that use in TLS, as OpenSSL and so every engine
    judges it: without the extensions for it, to any; with extendedKeyUsage `any` alone, to none.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    is_ca: bool
    for_server: bool
    for_client: bool
    raw: x509.Certificate = field(repr=False)


def read_certificates(path: str) -> tuple[Certificate, ...]:
    """The certificates of a PEM file, in its order; at least one. Raises Misuse."""
    return of_blocks(blocks(files.read(path), path), path)


def of_blocks(found: list[Block], path: str) -> tuple[Certificate, ...]:
    """The certificates among the blocks of `path`; at least one. Raises Misuse."""
    texts = [block.text for block in found if block.label in LABELS]
    if not texts:
        raise lacks(found, "certificate", path)
    try:
        return tuple([certificate(x509.load_pem_x509_certificate(text)) for text in texts])
    except Exception as e:  # of many kinds, for what is broken at many depths
        raise broken("certificate", path, e) from None


def certificate(raw: x509.Certificate) -> Certificate:
    """What it says. Raises whatever `cryptography` raises for what it can't read: not all is decoded before."""
    extensions = {extension.oid: extension.value for extension in raw.extensions}
    names = extensions.get(x509.SubjectAlternativeName.oid)
    constraints = extensions.get(x509.BasicConstraints.oid)
    for_server, for_client = _uses(extensions)
    return Certificate(
        subject=raw.subject.rfc4514_string(),
        issuer=raw.issuer.rfc4514_string(),
        names=_names(names) if isinstance(names, x509.SubjectAlternativeName) else (),
        not_before=raw.not_valid_before_utc,
        not_after=raw.not_valid_after_utc,
        is_ca=isinstance(constraints, x509.BasicConstraints) and constraints.ca,
        for_server=for_server,
        for_client=for_client,
        raw=raw,
    )


def broken(what: str, path: str, error: Exception) -> Misuse:
    """What is said of a block that `cryptography` can't read. It quotes no content."""
    kind = type(error).__name__
    return Misuse(f"{path}: its {what} is damaged, or of a kind that is not supported ({kind}). Get it anew.")


def _names(found: x509.SubjectAlternativeName) -> tuple[str, ...]:
    return (
        *found.get_values_for_type(x509.DNSName),
        *map(str, found.get_values_for_type(x509.IPAddress)),
    )


def _uses(extensions: dict[x509.ObjectIdentifier, x509.ExtensionType]) -> tuple[bool, bool]:
    """(as a server, as a client), by the rules of OpenSSL's `check_purpose_ssl_server` and `check_purpose_ssl_client`."""
    server = client = True
    extended = extensions.get(x509.ExtendedKeyUsage.oid)
    if isinstance(extended, x509.ExtendedKeyUsage):
        server = ExtendedKeyUsageOID.SERVER_AUTH in extended
        client = ExtendedKeyUsageOID.CLIENT_AUTH in extended
    usage = extensions.get(x509.KeyUsage.oid)
    if isinstance(usage, x509.KeyUsage):
        signs = usage.digital_signature or usage.key_agreement
        client = client and signs
        server = server and (signs or usage.key_encipherment)
    return server, client
