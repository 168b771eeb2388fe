"""What `c-echo` says when a remote does not serve: the standard's words, what they mean, what to do next.

Tables from PS3.8 9.3.3.2 (presentation context results), 9.3.4 (rejections), 9.3.8 (aborts) and PS3.7 annex C (statuses).
Loaded on failures only.
"""

from lbkit.checks.conversation import Lost, Outcome, down, up
from lbkit_dicom_echo import pdu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONTEXT_RESULTS = {
    0: "acceptance",
    1: "user-rejection",
    2: "no-reason (provider rejection)",
    3: "abstract-syntax-not-supported (provider rejection)",
    4: "transfer-syntaxes-not-supported (provider rejection)",
}

REJECT_RESULTS = {1: "rejected-permanent", 2: "rejected-transient"}
REJECT_SOURCES = {
    1: "DICOM UL service-user",
    2: "DICOM UL service-provider (ACSE related function)",
    3: "DICOM UL service-provider (Presentation related function)",
}
REJECT_REASONS = {
    (1, 1): "no-reason-given",
    (1, 2): "application-context-name-not-supported",
    (1, 3): "calling-AE-title-not-recognized",
    (1, 7): "called-AE-title-not-recognized",
    (2, 1): "no-reason-given",
    (2, 2): "protocol-version-not-supported",
    (3, 1): "temporary-congestion",
    (3, 2): "local-limit-exceeded",
}

REJECT_ADVICE = {
    (1, 2): "The remote is no DICOM application entity of this standard. Check the address and port.",
    (1, 3): "The remote does not know us as {calling}. Add that AE title there, or give the right one (--aet).",
    (1, 7): "The remote is not called {called}. Give the AE title it is configured with (--aec), or add it there.",
    (2, 2): "The remote speaks another version of the protocol. Check the address and port.",
}
REJECTED_SILENTLY = "The remote does not say why: its log will, at this time. Check both AE titles and its limits."

ABORT_SOURCES = {0: "the DICOM UL service-user", 2: "the DICOM UL service-provider"}
ABORT_REASONS = {
    0: "reason-not-specified",
    1: "unrecognized-PDU",
    2: "unexpected-PDU",
    4: "unrecognized-PDU-parameter",
    5: "unexpected-PDU-parameter",
    6: "invalid-PDU-parameter-value",
}

STATUSES = {
    0x0000: "Success",
    0x0105: "No such attribute",
    0x0106: "Invalid attribute value",
    0x0107: "Attribute list error",
    0x0110: "Processing failure",
    0x0111: "Duplicate SOP instance",
    0x0112: "No such SOP instance",
    0x0113: "No such event type",
    0x0114: "No such argument",
    0x0115: "Invalid argument value",
    0x0116: "Attribute value out of range",
    0x0117: "Invalid object instance",
    0x0118: "No such SOP class",
    0x0119: "Class-instance conflict",
    0x0120: "Missing attribute",
    0x0121: "Missing attribute value",
    0x0122: "Refused: SOP class not supported",
    0x0123: "No such action",
    0x0124: "Refused: not authorized",
    0x0210: "Duplicate invocation",
    0x0211: "Unrecognized operation",
    0x0212: "Mistyped argument",
    0x0213: "Resource limitation",
    0xFE00: "Cancel",
    0xFF00: "Pending",
    0xFF01: "Pending",
}


_HANGS = (
    "the server takes connections and does not serve: hung, overloaded, or no DICOM service. "
    "Restart it, or look at what it waits for."
)
_WORKERS_HANG = (
    "the server takes associations and does not answer in them: its workers hang, perhaps on a database or a disk. "
    "Look at what it waits for, or restart it."
)
_HANGS_UP = (
    "the service hangs up on an association request: often a host or AE title that is not allowed, or a limit that is "
    "reached. Its log says why."
)
_FAILS = (
    "the service takes the association and hangs up when it is to work: it is failing or stopping. Its log says why."
)
_CUT = "its service crashed, or a firewall or an access list cut in. Its log says why."
_CUT_AT_ONCE = (
    "its service crashed, a firewall or an access list cut in, or it expects TLS and gets none. Its log says why."
)
LOST = {  # by step and reason
    ("associate", "timed-out"): _HANGS,
    ("echo", "timed-out"): _WORKERS_HANG,
    ("associate", "closed"): _HANGS_UP,
    ("echo", "closed"): _FAILS,
    ("associate", "reset"): _CUT_AT_ONCE,
    ("echo", "reset"): _CUT,
}


def status_name(status: int) -> str:
    """The name of a status, or of the class it falls into (PS3.7 annex C)."""
    if status in STATUSES:
        return STATUSES[status]
    classes = ((0xA7, 0xA7, "Refused: out of resources"), (0xA0, 0xAF, "Failure"), (0xB0, 0xBF, "Warning"))
    high = status >> 8
    for first, last, name in (*classes, (0xC0, 0xCF, "Failure: unable to process")):
        if first <= high <= last:
            return name
    return "a status that the standard does not define"


def rejection(result: int, source: int, reason: int) -> str:
    """An A-ASSOCIATE-RJ in the standard's words."""
    return (
        f"A-ASSOCIATE-RJ: {REJECT_RESULTS.get(result, f'result {result}')}, "
        f"{REJECT_SOURCES.get(source, f'source {source}')}, "
        f"{REJECT_REASONS.get((source, reason), f'reason {reason} (reserved)')}"
    )


def rejected(result: int, source: int, reason: int, calling: str, called: str, busy_is_up: bool) -> Outcome:
    """The verdict on an A-ASSOCIATE-RJ to `calling` by `called`."""
    said = rejection(result, source, reason)
    details: dict[str, Any] = {"reject": {"result": result, "source": source, "reason": reason}}
    if result == 2:
        meaning = "the server is alive and takes no association just now, usually because all of its are in use."
        if busy_is_up:
            details["notes"] = ["busy counts as up, as asked"]
            return up(f"{said}; {meaning}", details=details)
        what = "Try again; if it stays, look for associations that hang there, or raise its limit."
        return down("rejected-transient", f"{said}; {meaning} {what}", details=details)
    advice = REJECT_ADVICE.get((source, reason), REJECTED_SILENTLY).format(calling=calling, called=called)
    return down("rejected", f"{said}. {advice}", details=details)


def context_rejected(result: int) -> Outcome:
    """The verdict on an A-ASSOCIATE-AC that does not accept Verification."""
    message = (
        f"the association stands, but Verification (1.2.840.10008.1.1) in Implicit VR Little Endian was rejected: "
        f"{CONTEXT_RESULTS[result]}. Enable the Verification SOP class for this AE title on the remote."
    )
    return down("context-rejected", message, details={"context_result": result}, last_words=pdu.ABORT_PDU)


def abort_reason(body: bytes) -> str:
    """An A-ABORT's source and reason in the standard's words; `body`: its 4 bytes."""
    source = ABORT_SOURCES.get(body[2], f"source {body[2]}")
    return source if body[2] == 0 else f"{source}, {ABORT_REASONS.get(body[3], f'reason {body[3]} (reserved)')}"


def unexpected(kind: int, body: bytes, step: str) -> Outcome:
    """The verdict on a PDU that does not belong at this step."""
    if kind == pdu.ABORT:
        message = {
            "associate": "A-ABORT by {0} instead of an answer to the association request. The remote's log says why.",
            "echo": "accepted the association, then A-ABORT by {0} when asked to echo: usually the remote does not allow "
            "this calling AE title to verify, or its service is failing. The remote's log says why.",
        }[step].format(abort_reason(body))
        return down("aborted", message, step, {"abort": {"source": body[2], "reason": body[3]}})
    if kind == pdu.RELEASE_RQ and step == "echo":
        message = (
            "asked for release instead of answering the echo: the server is shutting down or turns this client away."
        )
        return down("released-early", f"{message} Look at its log.", step, last_words=pdu.RELEASE_RP_PDU)
    message = f"sent {pdu.NAMES[kind]} where the {step} step needs another answer: its DICOM service is faulty."
    return down("protocol-error", message, step, last_words=pdu.ABORT_PDU)


def malformed(error: pdu.Malformed, step: str) -> Outcome:
    """The verdict on bytes that break the standard."""
    if error.start and step == "associate":
        return down("not-dicom", f"not DICOM: {_what_it_looks_like(error.start)}")
    what = f"{error} (it begins with {error.start[:8].hex(' ')})" if error.start else error
    message = f"{what}: the remote breaks the DICOM standard here. Report it to the maker of that server."
    return down("protocol-error", message, step, last_words=pdu.ABORT_PDU)


def _what_it_looks_like(start: bytes) -> str:
    seen = pdu.text(start.strip())
    if start[0] in (0x15, 0x16) and start[1:2] in (b"", b"\x03"):
        return "a TLS server answers here. Give --tls, or check the port."
    if start[:5].upper() in (b"HTTP/", b"<!DOC", b"<HTML", b"<?XML"):
        return "a web server answers here. Check the port."
    if start.startswith(b"SSH-"):
        return f"an SSH server answers here (“{seen}”). Check the port."
    if not seen.strip("?"):
        return f"the answer begins with the bytes {start[:8].hex(' ')}. Check the port."
    return f"the answer begins with “{seen}”. Check the port."


def lost(lost: Lost, step: str, pending: bool) -> Outcome:
    """The verdict on a connection that ended, or a deadline that passed, before the response."""
    meaning = LOST.get((step, lost.reason))
    if meaning is None:
        return down(lost.reason, lost.message, lost.step)
    middle = " (in the middle of a PDU)" if pending else ""
    last_words = pdu.ABORT_PDU if lost.reason == "timed-out" else b""
    return down(lost.reason, f"{lost.message}{middle}: {meaning}", lost.step, last_words=last_words)


def echo_status(status: int, comment: str, accepted: bool, details: "dict[str, Any]") -> Outcome:
    """The verdict on a C-ECHO-RSP whose status is not Success."""
    said = f"answers C-ECHO with status {status:04X}H, {status_name(status)}" + (f" (“{comment}”)" if comment else "")
    if accepted:
        return up(f"{said}, accepted as asked", "echo", details)
    advice = (
        "the server is reached and does not verify. Its log says why; if it always answers so, give --accept-status"
    )
    return down("echo-status", f"{said}: {advice} {status:04X}H.", "echo", details)


def odd_release(kind: int, body: bytes, when: str) -> tuple[bytes, str]:
    """(last words, note) for a PDU that is no answer to the release."""
    if kind == pdu.ABORT:
        return b"", f"A-ABORT by {abort_reason(body)} {when}"
    return pdu.ABORT_PDU, f"{pdu.NAMES[kind]} {when}"
