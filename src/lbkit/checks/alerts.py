"""What an error of OpenSSL means for a check. Loaded on failures only."""

import _ssl

from lbkit.checks.conversation import Lost

# The alerts by which a remote turns a client certificate down (RFC 8446 section 6.2). TLS 1.3 sends them after the
# handshake, so that they come with the first read of the protocol above.
_ABOUT_CERTIFICATES = {
    "certificate required",
    "unknown ca",
    "bad certificate",
    "unsupported certificate",
    "certificate revoked",
    "certificate expired",
    "certificate unknown",
    "access denied",
}
_ADVICE = {
    "certificate required": "Give --cert-file and --key-file.",
    "certificate expired": "Renew the client certificate.",
    "certificate revoked": "Get a new client certificate: this one was revoked.",
    "unknown ca": "Give a certificate of a CA that the remote trusts, or add our CA there.",
}
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "BAD_RECORD_TYPE"}

# X509_V_ERR_* (x509_vfy.h)
_NOT_YET_VALID, _EXPIRED, _REVOKED, _HOST_MISMATCH, _IP_MISMATCH = 9, 10, 23, 62, 64
_ABOUT_CRLS = {
    3: "Every CA of its chain, the root too, needs its list in --crl-file: add those that are missing.",
    8: "A list in --crl-file is damaged: fetch that CA's list anew.",
    11: "A list in --crl-file is not valid yet: check this machine's clock.",
    12: "A list in --crl-file is outdated: fetch that CA's new one.",
}


def alert(error: "_ssl.SSLError") -> str:
    """The alert by which the remote ended the session, in the words of RFC 8446, or ""."""
    mnemonic = getattr(error, "reason", None) or ""  # such as TLSV13_ALERT_CERTIFICATE_REQUIRED
    return mnemonic.partition("ALERT_")[2].replace("_", " ").lower()


def classified(error: "_ssl.SSLError", after_handshake: bool) -> Lost:
    """An SSLError as news; after the handshake only an alert is about TLS itself."""
    mnemonic = getattr(error, "reason", None) or ""
    if isinstance(error, _ssl.SSLCertVerificationError):
        return _untrusted(error.verify_code, error.verify_message)
    if said := alert(error):
        refused = f"the remote refused the TLS session: “{said}”."
        if said in _ABOUT_CERTIFICATES:
            advice = _ADVICE.get(said, "Look at the remote's log for what it wants of the client certificate.")
            return Lost("client-certificate-refused", f"{refused} {advice}", "tls")
        # TLS 1.2 has no alert for a client certificate that is missing: it is “handshake failure” too (RFC 5246 7.4.6)
        advice = "Compare versions and ciphers, and whether it wants a client certificate (--cert-file)."
        return Lost("tls-refused", f"{refused} {advice}", "tls")
    if mnemonic in _NOT_TLS:
        return Lost("not-tls", "the remote does not answer in TLS. Check the port, or give --no-tls.", "tls")
    if not after_handshake and isinstance(error, (_ssl.SSLEOFError, _ssl.SSLZeroReturnError)):
        message = (
            "the remote closed the connection during the TLS handshake: it wants no TLS here, or no client like us."
        )
        return Lost("closed", f"{message} Its log says why.", "tls")
    return Lost("tls-failed", f"TLS failed: {mnemonic.replace('_', ' ').lower() or error}.", "tls")


def _untrusted(code: int, why: str) -> Lost:
    if code in (_HOST_MISMATCH, _IP_MISMATCH):
        message = (
            f"the remote's certificate is for another name: {why.rstrip('.')}. "
            "Give --server-name, or correct the certificate."
        )
        return Lost("certificate-name", message, "tls")
    if code in (_EXPIRED, _NOT_YET_VALID):
        return Lost("certificate-expired", f"the remote's {why}. Renew it there; check both clocks.", "tls")
    if code == _REVOKED:
        message = "the remote's certificate, or one of its chain, was revoked by its CA. Give the remote a new one."
        return Lost("certificate-revoked", message, "tls")
    if code in _ABOUT_CRLS:
        message = f"whether the remote's certificate is revoked can't be told: {why}. {_ABOUT_CRLS[code]}"
        return Lost("revocation-unknown", message, "tls")
    message = f"the remote's certificate is not trusted: {why}. Give its CA with --ca-file."
    return Lost("certificate-untrusted", message, "tls")
