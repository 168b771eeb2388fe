"""What one `mtls` check is run with, prepared once, and what one run of it has found so far."""

import _ssl

from lbkit.checks.context import client, with_pem
from lbkit.tls.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit.checks.context import Terms

_HANDSHAKE, _CERTIFICATE_REQUEST = 22, 13  # RFC 8446 sections 5.1 and 4


class Prepared:
    """What one check is run with, for any number of targets. Raises Misuse for files that can't be used."""

    __slots__ = ("critical_days", "expect_refusal", "ready", "terms", "warning_days")

    def __init__(self, terms: "Terms", warning_days: int, critical_days: int, expect_refusal: bool) -> None:
        self.terms = terms
        self.warning_days = warning_days
        self.critical_days = critical_days
        self.expect_refusal = expect_refusal
        self.ready = Watched(self._read, terms.files)

    def _read(self) -> "tuple[_ssl._SSLContext, dict[str, Any] | None]":
        """The context, and what our own certificate says."""
        context = client(self.terms)
        context._msg_callback = _note  # type: ignore[attr-defined]
        if not self.terms.cert_file:
            return context, None
        try:
            return context, with_pem(self.terms, _ssl._test_decode_cert)  # type: ignore[attr-defined]
        except (OSError, ValueError):  # it holds something that OpenSSL takes and Python can't decode
            return context, {}


def days(warning_days: int, critical_days: int) -> tuple[int, int]:
    """Both thresholds. Raises ValueError for those that can't be right."""
    if not 0 <= critical_days <= warning_days:
        raise ValueError(
            f"critical_days is {critical_days}; it must be from 0 to warning_days, which is {warning_days}"
        )
    return warning_days, critical_days


class Found:
    """What one handshake has found so far."""

    __slots__ = ("__weakref__", "asked", "details", "step")

    def __init__(self) -> None:
        self.step = "tls"
        self.asked = False  # whether the remote has asked for a client certificate
        self.details: dict[str, Any] = {}


def _note(found: Found, direction: str, version: int, content: int, message: int, data: bytes) -> None:
    """OpenSSL's message callback; of all that it is told, it keeps a CertificateRequest."""
    if content == _HANDSHAKE and message == _CERTIFICATE_REQUEST:
        found.asked = True
