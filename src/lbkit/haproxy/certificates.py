"""Certificates, CA and CRL files in a running HAProxy (management guide, 9.3: `set ssl cert` …), without a reload.

What is set here is gone with the process: the file on disk has to be changed as well.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass

from lbkit.errors import EngineError, Misuse, NotDone
from lbkit.haproxy.refusals import failed
from lbkit.haproxy.requests import Requests
from lbkit.haproxy.wording import file as filed

_LIST = b"-----BEGIN X509 CRL-----"
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A certificate in HAProxy's memory. `fingerprint`: SHA-1, in capitals; the times are OpenSSL's text, in GMT."""

    serial: str
    fingerprint: str
    subject: str
    issuer: str
    not_before: str
    not_after: str


class Certificates(Requests):
    """Reading wants level operator, writing admin."""

    def certificates(self) -> list[str]:
        """The files of certificates that HAProxy has loaded, by the names that its configuration gives them."""
        return self._files("cert")

    def certificate(self, file: str) -> Loaded:
        """What it has loaded from one of them."""
        return loaded(self.ask(f"show ssl cert {filed(file)}"), file)[0]

    def ca_certificates(self, file: str) -> list[Loaded]:
        """What it has loaded from a CA file."""
        return loaded(self.ask(f"show ssl ca-file {filed(file)}"), file)

    def set_certificate(self, file: str, pem: bytes) -> None:
        """Replace a certificate and its key, for handshakes from now on. Raises NotDone where it reads back otherwise."""
        wanted = _fingerprints(pem, file)[:1]
        self._replace("cert", file, pem)
        self._verify(file, wanted, [self.certificate(file).fingerprint])

    def set_ca_file(self, file: str, pem: bytes) -> None:
        """Replace the CAs that are trusted. From HAProxy 2.8 on: 2.6 raises EngineError before anything is sent."""
        wanted = _fingerprints(pem, file)
        self._survives(file)
        self._replace("ca-file", file, pem)
        self._verify(file, sorted(set(wanted)), sorted({one.fingerprint for one in self.ca_certificates(file)}))

    def set_crl_file(self, file: str, pem: bytes) -> None:
        """Replace the revocation lists, as `set_ca_file` does. Their dates and serial numbers are read back."""
        wanted = _revoked(pem, file)
        self._survives(file)
        self._replace("crl-file", file, pem)
        self._verify(file, wanted, loaded_lists(self.ask(f"show ssl crl-file {filed(file)}")))

    def _replace(self, kind: str, file: str, pem: bytes) -> None:
        """Set and commit; a transaction that fails is taken back. The payload is in no message: it may be a key."""
        command = f"set ssl {kind} {filed(file)}"
        payload = b"\n".join(line for line in pem.split(b"\n") if line.strip())
        answer = self._ask(command, payload)
        if "ransaction " not in answer:
            raise failed(self.where, command, answer)
        commit = f"commit ssl {kind} {file}"
        try:
            answer = self.ask(commit)
            if "Success" not in answer:
                raise failed(self.where, commit, answer)
        except EngineError:
            self.ask(f"abort ssl {kind} {file}")
            raise

    def takes_cas(self) -> bool:
        """Whether CAs and revocation lists can be replaced while it runs.

        2.6.12 ends with a segmentation fault when CA file, certificate, CA file are committed one after the other.
        """
        return [int(part) for part in re.findall(r"\d{1,4}", self.ask("show version"))[:2]] >= [2, 8]

    def _survives(self, file: str) -> None:
        if not self.takes_cas():
            raise EngineError(
                f"{self.where} is older than 2.8, and may crash when {file} is replaced while it runs. "
                "Replace the file on disk and reload it, or update to HAProxy 2.8."
            )

    def _files(self, kind: str) -> list[str]:
        lines = self.ask(f"show ssl {kind}").splitlines()
        return [line for line in lines if line and not line.startswith(("#", "*"))]

    def _verify(self, file: str, wanted: object, found: object) -> None:
        if wanted != found:
            raise NotDone(f"{self.where}: {file} was replaced, and HAProxy still has others. Reload it.")


def loaded(text: str, file: str) -> list[Loaded]:
    """`show ssl cert FILE`, `show ssl ca-file FILE`."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        label, colon, value = line.partition(": ")
        if label == "Serial":
            found.append({})
        if colon and found:
            found[-1][label] = value
    if not found:
        raise EngineError(f"HAProxy has nothing in {file!r}: {text[:80]!r}. Check the file.")
    return [
        Loaded(
            *(
                one.get(label, "")
                for label in ("Serial", "SHA1 FingerPrint", "Subject", "Issuer", "notBefore", "notAfter")
            )
        )
        for one in found
    ]


def loaded_lists(text: str) -> list[tuple[str, list[int]]]:
    """`show ssl crl-file FILE`: of each list the time of its last update, and the serial numbers that it revokes."""
    found: list[tuple[str, list[int]]] = []
    for line in text.splitlines():
        label, _, value = line.strip().partition(": ")
        if label == "Last Update":
            found.append((value, []))
        elif label == "Serial Number" and found and re.fullmatch(r"[0-9A-Fa-f]{1,64}", value):
            found[-1][1].append(int(value, 16))
    return [(updated, sorted(serials)) for updated, serials in sorted(found)]


def _revoked(pem: bytes, file: str) -> list[tuple[str, list[int]]]:
    """The same of lists in PEM."""
    from cryptography import x509  # every verb loads this module, and few come here

    try:
        lists = [x509.load_pem_x509_crl(_LIST + part) for part in pem.split(_LIST)[1:]]
    except ValueError:
        lists = []
    if not lists:
        raise Misuse(f"{file}: what is to replace it has no revocation list in PEM. Give one.")
    found = []
    for one in lists:
        at = one.last_update_utc
        found.append((f"{at:%b} {at.day:2d} {at:%H:%M:%S %Y} GMT", sorted(entry.serial_number for entry in one)))
    return sorted(found)


def _fingerprints(pem: bytes, file: str) -> list[str]:
    """Of the certificates in PEM, in their order."""
    found: list[str] = []
    for part in pem.decode("ascii", "replace").split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        try:
            der = ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{body}{end}")
        except ValueError:
            raise Misuse(f"{file}: what is to replace it is no certificate in PEM. Give one.") from None
        found.append(hashlib.sha1(der, usedforsecurity=False).hexdigest().upper())
    if not found:
        raise Misuse(f"{file}: what is to replace it has no certificate in PEM. Give one.")
    return found
