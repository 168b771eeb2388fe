"""The verification itself: associate, echo, release (PS3.4 annex A, PS3.7 section 9.1.5, PS3.8 sections 7 and 9.2).

The verdict is fixed at the C-ECHO-RSP; whatever the release brings is a note beside it. Loaded by `lbkit-probe`, so what
to say about failures stands in `words`, which is imported when there is one.
"""

from lbkit.checks.conversation import Lost, Outcome, up
from lbkit_dicom_echo import pdu
from lbkit_dicom_echo.pdu import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from lbkit.checks.conversation import Protocol

    Reading = Generator[tuple[str, bytes], bytes, tuple[int, bytes]]

SUCCESS = 0x0000


def ae_title(value: str) -> str:
    """An AE title as PS3.5 section 6.2 allows it (at most 16 bytes; spaces at both ends do not count). Raises ValueError."""
    title = value.strip(" ")
    if not title:
        raise ValueError("an AE title has at least one character that is not a space")
    if len(title) > 16:
        raise ValueError(f"{title!r} has {len(title)} characters; an AE title has at most 16")
    if not title.isascii() or not title.isprintable() or "\\" in title:
        raise ValueError(f"{title!r}: an AE title has only printable ASCII, and no backslash")
    return title


def status_code(value: str) -> int:
    """A status as it is written: `0122H`, `0122`, `0x0122`. Raises ValueError."""
    digits = value.strip().removeprefix("0x").rstrip("hH")
    if len(digits) != 4 or digits.strip("0123456789abcdefABCDEF"):
        raise ValueError(f"{value!r} is no status; write four hexadecimal digits such as 0122H")
    return int(digits, 16)


class Terms:
    """What one verification is run with; prepared once, used for any number of targets."""

    __slots__ = ("accepted", "associate_rq", "busy_is_up", "called", "calling")

    def __init__(
        self, calling: str, called: str, accept_status: tuple[int, ...] = (), busy_is_up: bool = False
    ) -> None:
        self.calling = calling
        self.called = called
        self.associate_rq = pdu.associate_rq(calling, called)
        self.accepted = frozenset((SUCCESS, *accept_status))
        self.busy_is_up = busy_is_up


class _Verdict(Exception):
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def verification(terms: Terms) -> "Protocol":
    """One C-ECHO: the protocol that the drivers run."""
    reader = pdu.Reader()
    response = pdu.Response()
    step = "associate"
    try:
        accepted = _accepted(*(yield from _read(reader, "associate", terms.associate_rq)), terms)
        step = "echo"
        if found := reader.read():
            _unexpected(*found)  # an abort or a release may come before our request, and nothing else
        status = None
        to_send = _echo_rq(accepted)
        while status is None:
            kind, body = reader.read() or (yield from _read(reader, "echo", to_send))
            if kind != pdu.P_DATA:
                _unexpected(kind, body)
            status = response.add(body)
            to_send = b""
    except _Verdict as verdict:
        return verdict.outcome
    except Malformed as e:
        from lbkit_dicom_echo import words

        return words.malformed(e, step)
    except Lost as lost:
        from lbkit_dicom_echo import words

        return words.lost(lost, step, reader.pending)
    outcome = _verdict(status, accepted, terms)
    ending, note = yield from _release(reader)
    outcome.last_words = ending
    if note:
        outcome.details["notes"] = [note]
    return outcome


def _read(reader: pdu.Reader, step: str, data: bytes) -> "Reading":
    """Send `data`, then read until a whole PDU is there."""
    while True:
        received = yield step, data
        if not received:
            raise Lost("closed", "the remote closed the connection")
        found = reader.read(received)
        if found is not None:
            return found
        data = b""


def _accepted(kind: int, body: bytes, terms: Terms) -> pdu.Accepted:
    if kind == pdu.ASSOCIATE_AC:
        accepted = pdu.associate_ac(body)
        if accepted.result == 0:
            return accepted
    from lbkit_dicom_echo import words

    if kind == pdu.ASSOCIATE_AC:
        raise _Verdict(words.context_rejected(accepted.result))
    if kind == pdu.ASSOCIATE_RJ:
        raise _Verdict(words.rejected(body[1], body[2], body[3], terms.calling, terms.called, terms.busy_is_up))
    raise _Verdict(words.unexpected(kind, body, "associate"))


def _echo_rq(accepted: pdu.Accepted) -> bytes:
    most = accepted.max_pdu
    return pdu.ECHO_RQ_PDU if not most or most >= len(pdu.ECHO_RQ_PDU) else pdu.echo_rq(most)


def _unexpected(kind: int, body: bytes) -> None:
    from lbkit_dicom_echo import words

    raise _Verdict(words.unexpected(kind, body, "echo"))


def _verdict(answer: tuple[int, str], accepted: pdu.Accepted, terms: Terms) -> Outcome:
    status, comment = answer
    details: dict[str, Any] = {
        "status": f"{status:04X}H",
        "implementation_version": accepted.version,
        "implementation_class_uid": accepted.class_uid,
        "max_pdu": accepted.max_pdu,
    }
    if status == SUCCESS:
        return up("answers C-ECHO with Success", "echo", details)
    from lbkit_dicom_echo import words

    return words.echo_status(status, comment, status in terms.accepted, details)


def _release(reader: pdu.Reader) -> "Generator[tuple[str, bytes], bytes, tuple[bytes, str]]":
    """End the association; (last words, what was odd about it). A collision is answered as PS3.8 9.2 AR-8 and AR-9."""
    when = "right after the response"
    try:
        found = reader.read()
        if found is None:
            when = "instead of answering the release"
            found = yield from _read(reader, "release", pdu.RELEASE_RQ_PDU)
            last_words = b""
            if found[0] == pdu.RELEASE_RQ:
                found = reader.read()
                if found is None:
                    found = yield from _read(reader, "release", pdu.RELEASE_RP_PDU)
                else:
                    last_words = pdu.RELEASE_RP_PDU
            if found[0] == pdu.RELEASE_RP:
                return last_words, ""
        elif found[0] == pdu.RELEASE_RQ:
            return pdu.RELEASE_RP_PDU, "the remote asked for the release together with its response"
    except Malformed as e:
        return pdu.ABORT_PDU, f"after the response: {e}"
    except Lost as lost:
        return pdu.ABORT_PDU if lost.reason == "timed-out" else b"", f"{lost.message} {when}"
    from lbkit_dicom_echo import words

    return words.odd_release(*found, when)
