"""An identity: a certificate with its chain and its private key, from PEM files or from a PFX."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12

from lbkit.errors import Misuse
from lbkit.tls import files
from lbkit.tls.certificate import Certificate, broken, certificate, of_blocks
from lbkit.tls.pem import Block, blocks, lacks

_KEY_LABELS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")


class Locked(Misuse):
    """A key or a PFX is encrypted, and no password is given, or one that does not open it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, the CA certificates that are sent with it, and its key. They match."""

    certificate: Certificate
    chain: tuple[Certificate, ...]
    key: PrivateKeyTypes = field(repr=False)

    def pem(self) -> bytes:
        """Certificate, chain and key, the key unencrypted, without a blank line: what engines load. Not for logs."""
        certificates = [self.certificate, *self.chain]
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return b"".join(one.raw.public_bytes(serialization.Encoding.PEM) for one in certificates) + key


def read_identity(cert_file: str, key_file: str = "", password_file: str = "") -> Identity:
    """Read `cert_file`: PEM with the certificate first and its chain after it, or a PFX (told by its content).

    `key_file` "": the key stands in `cert_file` too. `password_file`: its first line opens the key or the PFX.
    Raises Misuse, naming the file, for whatever does not make one whole identity; Locked, if it is the password.
    """
    data = files.read(cert_file)
    password = files.password(password_file) if password_file else None
    if files.is_pfx(data):
        if key_file:
            raise Misuse(f"{cert_file} is a PFX, which holds its key: leave {key_file} out.")
        return _from_pfx(data, cert_file, password, password_file)
    found = blocks(data, cert_file)
    certificates = of_blocks(found, cert_file)
    key = _key(blocks(files.read(key_file), key_file) if key_file else found, key_file or cert_file, password_file)
    return _matched(certificates, key, cert_file, key_file)


def _key(found: list[Block], path: str, password_file: str) -> PrivateKeyTypes:
    for block in found:
        if block.label in _KEY_LABELS:
            return _opened(block, path, password_file)
    raise lacks(found, "private key", path)


def _opened(block: Block, path: str, password_file: str) -> PrivateKeyTypes:
    """The key of a block; a password that is given for a key that needs none is of no account, as with OpenSSL."""
    encrypted = block.label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in block.text
    if encrypted and not password_file:
        raise Locked(f"the key in {path} is encrypted. Give the file that holds its password.")
    try:
        return serialization.load_pem_private_key(block.text, files.password(password_file) if encrypted else None)
    except Misuse:
        raise
    except Exception as e:
        if encrypted:
            raise Locked(
                f"the password in {password_file} does not open the key in {path}. Check both files."
            ) from None
        raise broken("key", path, e) from None


def _from_pfx(data: bytes, path: str, password: bytes | None, password_file: str) -> Identity:
    try:
        found = pkcs12.load_pkcs12(data, password)
    except Exception:  # it does not tell a wrong password from damage
        if password is None:
            why = f"the PFX {path} needs a password, or is damaged. Give the file that holds its password."
        else:
            why = f"the password in {password_file} does not open {path}, or the PFX is damaged. Check both files."
        raise Locked(why) from None
    if found.cert is None or found.key is None:
        raise Misuse(f"the PFX {path} holds no certificate with its key. Export it anew, with the private key.")
    raws = [found.cert.certificate, *(one.certificate for one in found.additional_certs)]
    try:
        certificates = tuple(map(certificate, raws))
    except Exception as e:
        raise broken("certificate", path, e) from None
    return _matched(certificates, found.key, path, "")


def _matched(certificates: tuple[Certificate, ...], key: PrivateKeyTypes, cert_file: str, key_file: str) -> Identity:
    try:
        ours = _public(key)
        matching = [_public(one.raw) == ours for one in certificates]
    except Exception as e:
        raise broken("key", key_file or cert_file, e) from None
    if matching[0]:
        return Identity(certificates[0], certificates[1:], key)
    where = f"the key in {key_file} is" if key_file else f"{cert_file}: the key in it is"
    if any(matching):
        raise Misuse(
            f"{where} not that of the first certificate in {cert_file}, but of a later one. Put that one first."
        )
    raise Misuse(f"{where} not that of the certificate in {cert_file}. Give the two that belong together.")


def _public(of: PrivateKeyTypes | x509.Certificate) -> bytes:
    return of.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
