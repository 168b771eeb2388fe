"""What `mtls` says when a handshake fails, and when one that should fail does not. Loaded then only."""

from lbkit.checks.alerts import alert, classified
from lbkit.checks.conversation import Lost, Outcome, down, up

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ssl

    from lbkit_mtls.prepared import Found, Prepared

_NOT_TLS = "the remote does not answer in TLS. Check the port."
_WANTS_ONE = (
    "the remote refused the TLS session after it had asked for a client certificate: “{0}”. Give one that it takes "
    "(--cert-file), or look at its log."
)
_DURING_HANDSHAKE = (
    "{0} during the TLS handshake: it may speak no TLS on this port. Check the port, or look at its log."
)
_AFTER_HANDSHAKE = (
    "{0} after the handshake, without a word: it may refuse our certificate, or its service crashed. Its log says why."
)
_NOT_REFUSED = (
    "the remote lets this client in, and was to refuse it. Let it require a certificate, trust only its own CAs, and use "
    "their revocation lists. If it refuses in HTTP (nginx answers 400, IIS 403), TLS can't show that: prove it with "
    "`lbkit check https-get --status 400 --match anything`."
)


def failed(error: "_ssl.SSLError", prepared: "Prepared", found: "Found") -> Outcome:
    """The verdict on a session that OpenSSL has ended, most often because of an alert."""
    lost = classified(error, found.step != "tls")
    reason, message = lost.reason, lost.message
    # TLS 1.2 says no more when a certificate is missing; before the remote has asked for one, it means something else
    if found.asked and alert(error) == "handshake failure":
        reason, message = "client-certificate-refused", _WANTS_ONE.format(alert(error))
    if reason == "client-certificate-refused" and prepared.expect_refusal:
        return up(f"refuses this client, as expected: “{alert(error)}”", details=found.details)
    return down(reason, _NOT_TLS if reason == "not-tls" else message, details=found.details)


def lost(lost: Lost, found: "Found") -> Outcome:
    """The verdict on a connection that ended, or a deadline that passed."""
    text = _DURING_HANDSHAKE if found.step == "tls" else _AFTER_HANDSHAKE
    return down(lost.reason, text.format(lost.message), details=found.details)


def not_refused(found: "Found") -> Outcome:
    """The verdict on a remote that lets a client in which it was to refuse."""
    return down("not-refused", _NOT_REFUSED, details=found.details)
