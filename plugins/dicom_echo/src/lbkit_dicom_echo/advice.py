"""What to change, and on which side: the last part of `lbkit explain c-echo`."""

from __future__ import annotations

from lbkit.checks.target import Target
from lbkit_dicom_echo.attempts import Attempt
from lbkit_dicom_echo.negotiation import Negotiation

SHORT_PDU = 4096  # bytes; PS3.8 sets no minimum, and common servers take 16384 and more

# By reason code; where a reason means something else at one step, or for one answer, `_BY_CASE` goes before it.
_BY_REASON = {
    "name-not-found": ("Here: correct the name {host}, or give the address.",),
    "dns-failed": ("Here: give the address instead of {host}, or repair DNS.",),
    "refused": (
        "On the remote: start its DICOM service, and let it listen on port {port}.",
        "Here: if it listens on another port, give that (--port).",
    ),
    "unreachable": ("Here: check this machine's route to {host}.", "On the remote: check that it is switched on."),
    "timed-out": ("On the remote: restart the service; it takes connections and does not serve them.",),
    "closed": (
        "On the remote: allow this host's address and the AE title {aet}; many servers cut off strangers without a word.",
        "On the remote: look at its log for a crash.",
    ),
    "reset": (
        "On the remote: look at its log for a crash, and at its access list for this host's address.",
        "Between: look for a firewall that cuts DICOM connections.",
        "Here: if the remote expects TLS, give --tls.",
    ),
    "not-tls": (
        "On the remote: switch TLS on for port {port}.",
        "Here: leave --tls out, or give another port (--port).",
    ),
    "tls-refused": (
        "Both sides: let them have a TLS version and a cipher in common.",
        "Here: give a client certificate, if the remote wants one (--cert-file, --key-file).",
    ),
    "tls-failed": ("Both sides: let them have a TLS version and a cipher in common.",),
    "client-certificate-refused": (
        "Here: give a client certificate that the remote trusts (--cert-file, --key-file).",
        "On the remote: trust the CA that issued ours.",
    ),
    "certificate-untrusted": ("Here: give the CA of the remote's certificate (--ca-file).",),
    "certificate-name": (
        "Here: give the name that stands in the remote's certificate (--server-name).",
        "On the remote: use a certificate for the name by which it is called.",
    ),
    "certificate-expired": ("On the remote: renew its certificate.", "Both sides: check the clocks."),
    "certificate-revoked": ("On the remote: use a new certificate; its CA has revoked the one that it shows.",),
    "revocation-unknown": ("Here: give a current revocation list of every CA of the remote's chain (--crl-file).",),
    "protocol-error": ("On the remote: report it to its maker; it breaks the DICOM standard.",),
    "rejected": ("On the remote: its log says why it rejects {aet} → {aec}; check both AE titles there.",),
    "rejected-transient": ("On the remote: end associations that hang there, or raise its limit of associations.",),
    "context-rejected": ("On the remote: enable the Verification SOP class for the AE title {aet}.",),
    "aborted": (
        "On the remote: allow the AE title {aet} to verify (C-ECHO). In Orthanc: list it under DicomModalities, or set "
        "DicomAlwaysAllowEcho.",
    ),
    "released-early": ("On the remote: look at its log; it is shutting down, or turns {aet} away.",),
    "echo-status": (
        "On the remote: its log says why it answers {status}.",
        "Here: if it always answers so, let that count as up (--accept-status {status}).",
    ),
}
_CALLING_UNKNOWN = (
    "On the remote: add the AE title {aet} to the calling AE titles that it allows.",
    "Here: give an AE title that it knows (--aet).",
)
_CALLED_UNKNOWN = (
    "Here: give the AE title that the remote is configured with (--aec); it is not {aec}.",
    "On the remote: configure it with the AE title {aec}.",
)
_NO_TLS_FOR_US = ("On the remote: its log says why it ends the TLS handshake.", "Here: leave --tls out.")
_BY_CASE = {
    ("dns", "timed-out"): ("Here: give the address instead of {host}, or repair DNS.",),
    ("connect", "timed-out"): (
        "On the remote: check that it is switched on, and that its firewall lets port {port} in.",
        "Between: look for a firewall that drops connections to {host} port {port}.",
    ),
    ("tls", "closed"): _NO_TLS_FOR_US,
    ("tls", "reset"): _NO_TLS_FOR_US,
    ("tls", "timed-out"): _NO_TLS_FOR_US,
    ("rejected", 1, 3): _CALLING_UNKNOWN,  # source and reason of A-ASSOCIATE-RJ, PS3.8 table 9-21
    ("rejected", 1, 7): _CALLED_UNKNOWN,
}
ADVISED = {*_BY_REASON, "not-dicom"}  # for not-dicom, the check says what it is instead


def advice(target: Target, attempts: list[Attempt], found: Negotiation | None) -> list[str]:
    """Sentences, each with what to change and on which side; each once, in the order in which they are to be tried."""
    working = [attempt for attempt in attempts if attempt.result.status == "up"]
    said = _with_working(target, attempts, working) if working else _without(target, attempts)
    if found and found.max_pdu and found.max_pdu < SHORT_PDU:
        said.append(
            f"On the remote: raise its maximum PDU length of {found.max_pdu} bytes; short PDUs make transfers slow."
        )
    if found and found.ran_out:
        said.append("Here: give more time (--timeout), if the remote is known to be slow.")
    return list(dict.fromkeys(said))


def _with_working(target: Target, attempts: list[Attempt], working: list[Attempt]) -> list[str]:
    """The titles that work; and what the remote lacks for callers that fail where others are served."""
    first = working[0]
    titles = f"--aet '{first.calling}' --aec '{first.called}'"
    found = f"Nothing has to change: it is up with {titles}."
    said = [found if first is attempts[0] else f"Here: give {titles}; it is up with these."]
    served = {attempt.called for attempt in working}
    for attempt in attempts:
        if attempt not in working and attempt.called in served:
            said += [s for s in _on_failure(target, attempt) if not s.startswith("Here: ")]
    return said


def _without(target: Target, attempts: list[Attempt]) -> list[str]:
    return [sentence for attempt in attempts for sentence in _on_failure(target, attempt)]


def _on_failure(target: Target, attempt: Attempt) -> list[str]:
    result = attempt.result
    if result.reason == "not-dicom":  # the check has seen what else it is
        return [f"Here: {result.message.rpartition('. ')[2]}"]
    reject = result.details.get("reject", {})
    case = (result.reason, reject["source"], reject["reason"]) if reject else (result.step, result.reason)
    sentences = _BY_CASE.get(case) or _BY_REASON[result.reason]
    names = {"host": target.host, "port": target.port, "aet": attempt.calling, "aec": attempt.called}
    return [s.format(**names, status=result.details.get("status", "")) for s in sentences]
