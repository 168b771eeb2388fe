"""TLS below a conversation, by memory buffers, so that both drivers share it.

Of CPython it uses the C module `_ssl` alone, because `lbkit-probe` starts once per check: beyond a bare start of 8.0 ms,
importing `_ssl` took 3.3 ms and `ssl` 16.2 ms (n = 60, medians), and the whole probe with a client certificate 24 ms.
"""

import _ssl

from lbkit.checks.conversation import Conversation, Lost, Outcome, down
from lbkit.errors import Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

READ_SIZE = 65536

# OpenSSL's mnemonics of the alerts by which a remote turns a client certificate down (RFC 8446 section 6.2). TLS 1.3 sends
# them after the handshake, so that they come with the first read of the protocol above.
_CERTIFICATE_ALERTS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "certificate required",
    "TLSV1_ALERT_UNKNOWN_CA": "unknown ca",
    "SSLV3_ALERT_BAD_CERTIFICATE": "bad certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "unsupported certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "certificate revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "certificate expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "certificate unknown",
    "TLSV1_ALERT_ACCESS_DENIED": "access denied",
}
_ADVICE = {
    "certificate required": "Give --cert-file and --key-file.",
    "certificate expired": "Renew the client certificate.",
    "certificate revoked": "Get a new client certificate: this one was revoked.",
    "unknown ca": "Give a certificate of a CA that the remote trusts, or add our CA there.",
}
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "BAD_RECORD_TYPE"}
_EXPIRED, _NOT_YET_VALID, _HOST_MISMATCH, _IP_MISMATCH = 10, 9, 62, 64  # X509_V_ERR_*, x509_vfy.h


def layer(
    ca_file: str = "", cert_file: str = "", key_file: str = "", server_name: str = "", verify: bool = True
) -> "Callable[[Conversation, str], Secured]":
    """Read the files once; the result wraps any number of conversations. Raises Misuse for files that can't be used.

    `ca_file` "": the system's CAs. `key_file` "": the key stands in `cert_file`. `server_name` "": the target's host.
    """
    context = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)
    configure(context, ca_file, cert_file, key_file, verify)
    if server_name:
        try:
            _session(context, _ssl.MemoryBIO(), _ssl.MemoryBIO(), server_name)
        except (ValueError, TypeError, _ssl.SSLError):
            raise Misuse(f"--server-name: {server_name!r} is no host name.") from None

    def wrap(conversation: Conversation, host: str) -> Secured:
        return Secured(conversation, context, server_name or host)

    return wrap


def configure(context: "_ssl._SSLContext", ca_file: str, cert_file: str, key_file: str, verify: bool) -> None:
    """Give a client's context (an `ssl.SSLContext` is one too) its trust and its identity. Raises Misuse as `layer` does."""
    if not verify:
        context.check_hostname = False
        context.verify_mode = _ssl.CERT_NONE
    elif ca_file:
        _load("--ca-file", ca_file, lambda: context.load_verify_locations(ca_file))
    else:
        context.set_default_verify_paths()
    if cert_file:
        # the callback keeps OpenSSL from asking for a passphrase at the terminal, forever
        load = lambda: context.load_cert_chain(cert_file, key_file or None, lambda: b"")  # noqa: E731
        _load("--key-file" if key_file else "--cert-file", f"{cert_file} {key_file}".strip(), load)
    elif key_file:
        raise Misuse("--key-file: a key needs its certificate. Give --cert-file too.")


def _load(option: str, path: str, load: "Callable[[], object]") -> None:
    try:
        load()
    except _ssl.SSLError as e:
        mnemonic = (
            getattr(e, "reason", None) or "PEM_LIB"
        )  # without one, OpenSSL found nothing in it that it could read
        why = "it does not hold what is needed" if mnemonic == "PEM_LIB" else mnemonic.replace("_", " ").lower()
        raise Misuse(f"{option}: {path} can't be used: {why}. It must be PEM, and a key must be unencrypted.") from None
    except OSError as e:
        raise Misuse(f"{option}: {path} can't be read: {e.strerror}.") from None


def _session(context: "_ssl._SSLContext", incoming: "_ssl.MemoryBIO", outgoing: "_ssl.MemoryBIO", name: str) -> "Any":
    """A client's session; the name goes out without the root's dot (RFC 6066 section 3) and in ASCII."""
    name = name.removesuffix(".")
    if not name.isascii():
        name = name.encode("idna").decode()
    return context._wrap_bio(incoming, outgoing, False, name)  # type: ignore[attr-defined]


class Secured:
    """A conversation inside TLS; it looks to a driver as the conversation itself does."""

    __slots__ = ("_agreed", "_incoming", "_inner", "_outgoing", "_ready", "_since", "_tls", "outcome", "steps")

    def __init__(self, inner: Conversation, context: "_ssl._SSLContext", server_name: str) -> None:
        self._inner = inner
        self._incoming = _ssl.MemoryBIO()
        self._outgoing = _ssl.MemoryBIO()
        self._tls = _session(context, self._incoming, self._outgoing, server_name)
        self._agreed: dict[str, str | None] = {}
        self._ready = False
        self._since = 0.0
        self.outcome: Outcome | None = None
        self.steps = inner.steps

    def begin(self, now: float) -> bytes | None:
        """Start the handshake; returns the ClientHello."""
        self._since = now
        return self.receive(None, now)

    def receive(self, data: bytes | None, now: float) -> bytes | None:
        """Give it what was read from the wire; returns what to send, or None when it has ended."""
        if data:
            self._incoming.write(data)
        elif data is not None:
            self._incoming.write_eof()
        try:
            if not self._ready:
                self._shake_hands(now)
            if self._ready:
                self._pump(now)
        except _ssl.SSLWantReadError:
            pass
        except _ssl.SSLError as e:
            self.lose(_classified(e, self._ready), now)
        self._settle()
        return None if self.outcome is not None else self._outgoing.read()

    def lose(self, lost: Lost, now: float) -> None:
        """End it from below."""
        if self._ready:
            self._inner.lose(lost, now)
            self._settle()
        else:
            self.steps["tls"] = now - self._since
            why = "during the TLS handshake: it may speak no TLS on this port. Leave --tls out, or look at its log."
            message = lost.message if lost.step else f"{lost.message} {why}"
            self.outcome = down(lost.reason, message, "tls")

    def farewell(self) -> bytes:
        """The last words, and TLS's close_notify."""
        try:
            if self._ready:
                if self._inner.farewell():
                    self._tls.write(self._inner.farewell())
                self._tls.shutdown()
        except _ssl.SSLError:
            pass  # a close_notify that nobody waits for
        return self._outgoing.read()

    def _shake_hands(self, now: float) -> None:
        self._tls.do_handshake()
        self._ready = True
        self.steps["tls"] = now - self._since
        cipher = self._tls.cipher()
        self._agreed = {"version": self._tls.version(), "cipher": cipher[0] if cipher else None}
        self._reply(self._inner.begin(now))

    def _pump(self, now: float) -> None:
        while self._inner.outcome is None:
            try:
                data = self._tls.read(READ_SIZE)
            except (_ssl.SSLZeroReturnError, _ssl.SSLEOFError):
                data = b""
            self._reply(self._inner.receive(data, now))

    def _reply(self, data: bytes | None) -> None:
        if data:
            self._tls.write(data)

    def _settle(self) -> None:
        if self._inner.outcome is not None:
            self.outcome = self._inner.outcome
            if self._ready:
                self.outcome.details["tls"] = self._agreed


def _classified(error: "_ssl.SSLError", after_handshake: bool) -> Lost:
    """An SSLError as news; after the handshake only an alert is about TLS itself."""
    mnemonic = getattr(error, "reason", None) or ""
    if isinstance(error, _ssl.SSLCertVerificationError):
        return _untrusted(error.verify_code, error.verify_message)
    if mnemonic in _CERTIFICATE_ALERTS:
        alert = _CERTIFICATE_ALERTS[mnemonic]
        advice = _ADVICE.get(alert, "Look at the remote's log for what it wants of the client certificate.")
        return Lost("client-certificate-refused", f"the remote refused the TLS session: “{alert}”. {advice}", "tls")
    if "ALERT" in mnemonic:
        alert = mnemonic.partition("ALERT_")[2].replace("_", " ").lower()
        # TLS 1.2 has no alert for a client certificate that is missing: it is “handshake failure” too (RFC 5246 7.4.6)
        advice = "Compare versions and ciphers, and whether it wants a client certificate (--cert-file)."
        return Lost("tls-refused", f"the remote refused the TLS session: “{alert}”. {advice}", "tls")
    if mnemonic in _NOT_TLS:
        return Lost("not-tls", "the remote does not answer in TLS. Check the port, or leave --tls out.", "tls")
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
    message = f"the remote's certificate is not trusted: {why}. Give its CA with --ca-file."
    return Lost("certificate-untrusted", message, "tls")
