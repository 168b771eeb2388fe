"""Every way in which a DICOM server can fail or be odd, and what a C-ECHO check must say of it: one table.

It is ordered by the step that fails. The servers behind it are of three kinds: a real SCP (`scp`), a remote that plays
a script (`remote`, `acts`), and ports where nobody answers (`absent`).
"""

from __future__ import annotations

from functools import partial

from lbkit_demo import pdus
from lbkit_demo.acts import (
    EVERY_BYTE,
    accept,
    accept_by_half,
    accept_with_lying_item,
    accept_without_context,
    answer,
    answer_in_pdvs,
    answer_without_end,
    close,
    hear,
    hear_echo,
    hear_first_bytes,
    hear_release,
    hear_request,
    in_pieces,
    pause,
    reset,
    say,
)
from lbkit_demo.fault import AT_CONNECT, Fault, Verdict
from lbkit_demo.fault import plays as _plays
from lbkit_demo.remote import Act
from lbkit_demo.scp import scp

UP = Verdict("up", "echo", "ok")
CLOSED = Verdict("down", "associate", "closed")
RESET = Verdict("down", "associate", "reset")
REJECTED = Verdict("down", "associate", "rejected")
TRANSIENT = Verdict("down", "associate", "rejected-transient")
CONTEXT_REJECTED = Verdict("down", "associate", "context-rejected")
ABORTED = Verdict("down", "associate", "aborted")
NOT_DICOM = Verdict("down", "associate", "not-dicom")
BAD_ASSOCIATE = Verdict("down", "associate", "protocol-error")
LATE_ASSOCIATE = Verdict("down", "associate", "timed-out")
ECHO_ABORTED = Verdict("down", "echo", "aborted")
ECHO_STATUS = Verdict("down", "echo", "echo-status")
RELEASED_EARLY = Verdict("down", "echo", "released-early")
BAD_ECHO = Verdict("down", "echo", "protocol-error")

HTTP_REPLY = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x0a"  # fatal, unexpected_message (RFC 8446 section 6)
STATUSES = {  # PS3.7 annex C
    0x0110: "processing failure",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0211: "unrecognized operation",
    0xFF00: "pending",
    0xB000: "a warning",
}
C_STORE_RSP = 0x8001
DATA_SET_FOLLOWS = 0x0000
UNKNOWN_SUB_ITEMS = pdus.item(0x5F, b"vendor") + pdus.item(0x9A, bytes(300))
ASSOCIATED: tuple[Act, ...] = (hear_request, accept(), hear_echo)  # up to the echo request, all is well
ANSWERED: tuple[Act, ...] = (*ASSOCIATED, answer(), hear_release)
CONFIRM: tuple[Act, ...] = (hear_release, say(pdus.release_rp()))

# One fault is one row.
# fmt: off
HEALTHY = (
    Fault("healthy", "nothing: a DICOM server that answers", UP, scp),
)

ENDED_AT_ASSOCIATE = (
    _plays("silent-at-associate", "it hangs: it takes the connection and says nothing", LATE_ASSOCIATE),
    _plays("closed-at-accept", "it closes each connection at once", CLOSED, close),
    # An RST in the same instant could reach the client before it has seen its connection stand.
    _plays("reset-at-accept", "it resets each connection at once", RESET, pause(0.05), reset),
    _plays("reset-at-first-bytes", "it resets the connection at the first bytes", RESET, hear_first_bytes, reset),
    _plays("closed-after-request", "it reads the association request and closes", CLOSED, hear_request, close),
    _plays("reset-after-request", "it reads the association request and resets", RESET, hear_request, reset),
    _plays("aborted-by-user", "its application aborts the association request", ABORTED,
           hear_request, say(pdus.abort(0, 0))),
    _plays("aborted-by-provider", "its DICOM layer aborts the association request: unexpected PDU", ABORTED,
           hear_request, say(pdus.abort(2, 2)), close),
    _plays("aborted-for-parameter", "its DICOM layer aborts the association request: invalid parameter", ABORTED,
           hear_request, say(pdus.abort(2, 6))),
)

REJECTIONS = (
    Fault("rejected-called-title", "it has another AE title than the one called", REJECTED,
          partial(scp, title="OTHER")),
    Fault("rejected-calling-title", "it does not know the load balancer's AE title", REJECTED,
          partial(scp, known_callers=("OTHER",))),
    _plays("rejected-no-reason", "it rejects the association and gives no reason", REJECTED,
           hear_request, say(pdus.associate_rj(1, 1, 1))),
    _plays("rejected-application-context", "it rejects the application context", REJECTED,
           hear_request, say(pdus.associate_rj(1, 1, 2))),
    _plays("rejected-congestion", "it is busy: temporary congestion", TRANSIENT,
           hear_request, say(pdus.associate_rj(2, 3, 1))),
    _plays("rejected-limit", "it is busy: its limit of associations is reached", TRANSIENT,
           hear_request, say(pdus.associate_rj(2, 3, 2))),
    _plays("rejected-acse", "its association layer rejects for now, without a reason", TRANSIENT,
           hear_request, say(pdus.associate_rj(2, 2, 1))),
    _plays("rejected-and-closed", "it rejects the association and closes at once", REJECTED,
           hear_request, say(pdus.associate_rj(1, 1, 1)), close),
    _plays("rejected-at-accept", "it rejects and closes before it has read the request", REJECTED,
           say(pdus.associate_rj(1, 1, 1)), close),
)

CONTEXTS = (
    _plays("context-user-rejected", "its application rejects the verification service", CONTEXT_REJECTED,
           hear_request, accept(result=1)),
    _plays("context-no-reason", "it rejects the verification service and gives no reason", CONTEXT_REJECTED,
           hear_request, accept(result=2)),
    Fault("context-abstract-syntax", "it does not offer the verification service", CONTEXT_REJECTED,
          partial(scp, abstract_syntax="1.2.840.10008.5.1.4.1.1.2")),
    Fault("context-transfer-syntaxes", "it offers verification in JPEG only", CONTEXT_REJECTED,
          partial(scp, transfer_syntaxes=(pdus.JPEG_BASELINE,))),
    _plays("context-missing", "its acceptance leaves out the presentation context", BAD_ASSOCIATE,
           hear_request, accept_without_context),
    _plays("context-wrong-id", "it accepts a presentation context that was never proposed", BAD_ASSOCIATE,
           hear_request, accept(shift=2)),
    _plays("transfer-syntax-explicit", "it accepts with Explicit VR, which was never proposed", BAD_ASSOCIATE,
           hear_request, accept(syntax=pdus.EXPLICIT_VR_LE)),
    _plays("transfer-syntax-jpeg", "it accepts with JPEG, which was never proposed", BAD_ASSOCIATE,
           hear_request, accept(syntax=pdus.JPEG_BASELINE)),
)

NOT_AN_ACCEPTANCE = (
    _plays("http", "a web server has the port", NOT_DICOM, hear_request, say(HTTP_REPLY), close),
    _plays("ssh", "an SSH server has the port", NOT_DICOM, say(b"SSH-2.0-OpenSSH_9.2p1\r\n")),
    _plays("tls", "it expects TLS", NOT_DICOM, hear_request, say(TLS_ALERT), close),
    _plays("noise", "it sends bytes of FFH", NOT_DICOM, hear_request, say(b"\xff" * 512)),
    _plays("huge-pdu", "its acceptance claims to be 4 GiB long", BAD_ASSOCIATE,
           hear_request, say(pdus.HEADER.pack(pdus.ASSOCIATE_AC, 0xFFFFFFFF))),
    _plays("truncated-acceptance", "its acceptance breaks off in the middle", CLOSED,
           hear_request, accept_by_half, close),
    _plays("lying-item", "an item of its acceptance claims more bytes than there are", BAD_ASSOCIATE,
           hear_request, accept_with_lying_item),
    _plays("short-acceptance", "its acceptance is too short to be one", BAD_ASSOCIATE,
           hear_request, say(pdus.pdu(pdus.ASSOCIATE_AC, bytes(10)))),
    _plays("data-for-acceptance", "it sends data instead of its acceptance", BAD_ASSOCIATE,
           hear_request, say(pdus.p_data([pdus.pdv(1, pdus.COMMAND | pdus.LAST, pdus.echo_response(1))]))),
    _plays("release-for-acceptance", "it confirms a release instead of accepting", BAD_ASSOCIATE,
           hear_request, say(pdus.release_rp())),
    _plays("dripping", "it answers, a byte every 300 ms", LATE_ASSOCIATE,
           hear_request, in_pieces(EVERY_BYTE, 0.3), accept()),
)

ENDED_AT_ECHO = (
    _plays("silent-at-echo", "it hangs after it has accepted the association", Verdict("down", "echo", "timed-out"),
           *ASSOCIATED),
    _plays("closed-at-echo", "it closes after it has accepted the association", Verdict("down", "echo", "closed"),
           *ASSOCIATED, close),
    _plays("reset-at-echo", "it resets after it has accepted the association", Verdict("down", "echo", "reset"),
           *ASSOCIATED, reset),
    _plays("echo-aborted-by-user", "its application aborts when it is asked for the echo", ECHO_ABORTED,
           *ASSOCIATED, say(pdus.abort(0, 0))),
    _plays("echo-aborted-by-provider", "its DICOM layer aborts when it is asked for the echo", ECHO_ABORTED,
           *ASSOCIATED, say(pdus.abort(2, 0)), close),
    _plays("released-early", "it asks for release instead of answering the echo", RELEASED_EARLY,
           *ASSOCIATED, say(pdus.release_rq())),
)

ECHO_RESPONSES = (
    *(Fault(f"status-{status:04x}", f"it answers the echo with {status:04X}H, {name}", ECHO_STATUS,
            partial(scp, status=status)) for status, name in STATUSES.items()),
    _plays("status-missing", "its answer has no status", BAD_ECHO, *ASSOCIATED, answer(status=None)),
    _plays("wrong-message-id", "it answers another message", BAD_ECHO, *ASSOCIATED, answer(shift=1)),
    _plays("wrong-command", "it answers with a C-STORE-RSP", BAD_ECHO, *ASSOCIATED, answer(command=C_STORE_RSP)),
    _plays("data-set-announced", "its answer announces a data set", BAD_ECHO,
           *ASSOCIATED, answer(data_set=DATA_SET_FOLLOWS)),
    _plays("endless-answer", "its answer never ends", BAD_ECHO, *ASSOCIATED, answer_without_end(4096)),
    _plays("endless-empty-answer", "its answer never ends, in fragments of no bytes", BAD_ECHO,
           *ASSOCIATED, answer_without_end(0)),
)

LEGAL_ODDITIES = (
    _plays("scripted", "nothing: a scripted server that answers", UP, *ANSWERED, say(pdus.release_rp())),
    _plays("answer-in-two-writes", "nothing: its answer comes in two writes", UP,
           hear_request, accept(), in_pieces(2, 0.01), hear_echo, answer(), *CONFIRM),
    _plays("answer-in-pdvs", "nothing: its answer comes in several PDVs", UP,
           *ASSOCIATED, answer_in_pdvs(20, pdus_too=False), *CONFIRM),
    _plays("answer-in-pdus", "nothing: its answer comes in several PDUs", UP,
           *ASSOCIATED, answer_in_pdvs(20, pdus_too=True), *CONFIRM),
    _plays("byte-by-byte", "nothing: it writes single bytes", UP,
           in_pieces(EVERY_BYTE), *ANSWERED, say(pdus.release_rp())),
    _plays("halves", "nothing: every message comes in two halves", UP,
           in_pieces(2, 0.01), *ANSWERED, say(pdus.release_rp())),
    _plays("unknown-sub-items", "nothing: its acceptance has sub-items that no standard names", UP,
           hear_request, accept(extra=UNKNOWN_SUB_ITEMS), hear_echo, answer(), *CONFIRM),
    _plays("commented-answer", "nothing: its answer has optional elements", UP,
           *ASSOCIATED, answer(comment="all is well"), *CONFIRM),
)

RELEASE = (
    _plays("closed-at-release", "it closes instead of confirming the release", UP, *ANSWERED, close),
    _plays("reset-at-release", "it resets instead of confirming the release", UP, *ANSWERED, reset),
    _plays("aborted-at-release", "it aborts instead of confirming the release", UP, *ANSWERED, say(pdus.abort(0, 0))),
    _plays("silent-at-release", "it never confirms the release", UP, *ANSWERED),
    _plays("release-with-answer", "it asks for release in one segment with its answer", UP,
           *ASSOCIATED, answer(then=pdus.release_rq())),
    _plays("release-collision", "it asks for release at the moment it is asked", UP,
           *ANSWERED, say(pdus.release_rq()), hear(pdus.RELEASE_RP), say(pdus.release_rp())),
)
# fmt: on

FAULTS: tuple[Fault, ...] = (
    *HEALTHY,
    *AT_CONNECT,
    *ENDED_AT_ASSOCIATE,
    *REJECTIONS,
    *CONTEXTS,
    *NOT_AN_ACCEPTANCE,
    *ENDED_AT_ECHO,
    *ECHO_RESPONSES,
    *LEGAL_ODDITIES,
    *RELEASE,
)

_BY_NAME = {fault.name: fault for fault in FAULTS}


def by_name(name: str) -> Fault:
    """The fault of this name; `KeyError` where there is none."""
    return _BY_NAME[name]
