"""The whole verification, driven by scripted bytes without a socket: verdict, step, reason, and what is sent."""

import pytest
from unit import pdu_bytes as remote
from unit.pdu_bytes import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    ECHO_RQ,
    ECHO_RSP,
    RELEASE_RP,
    RELEASE_RQ,
    REMOTE_ABORT,
    echo_rsp,
    p_data,
    pdu,
    pdv,
)

from lbkit.checks.conversation import Lost
from lbkit.testing import play, splits
from lbkit_dicom_echo.echo import Terms, verification
from lbkit_dicom_echo.words import status_name

TERMS = Terms("LOADBALANCER", "LB-SCP")
TIMED_OUT = Lost("timed-out", "no answer within 5 s")
RESET = Lost("reset", "the remote reset the connection")
CLOSED = b""


def verify(*chunks, terms=TERMS):
    outcome, sent = play(verification(terms), *chunks)
    assert outcome is not None, "it waits for more"
    assert sent[0] == ASSOCIATE_RQ
    return outcome, sent[1:]


def assert_down(outcome, step, reason, *parts):
    assert (outcome.up, outcome.step, outcome.reason) == (False, step, reason)
    for part in parts:
        assert part in outcome.message


# --- up -------------------------------------------------------------------------------------------------------------


def test_a_server_that_associates_echoes_and_releases_is_up_and_hears_nothing_after_the_release():
    outcome, sent = verify(ASSOCIATE_AC, ECHO_RSP, RELEASE_RP)
    assert (outcome.up, outcome.step, outcome.reason) == (True, "echo", "ok")
    assert outcome.message == "answers C-ECHO with Success"
    assert outcome.details == {
        "status": "0000H",
        "implementation_version": remote.VERSION,
        "implementation_class_uid": remote.CLASS_UID,
        "max_pdu": 16384,
    }
    assert sent == [ECHO_RQ, RELEASE_RQ]


def test_every_split_of_every_answer_is_the_same_verdict():
    for chunks in splits(ASSOCIATE_AC):
        assert verify(*chunks, ECHO_RSP, RELEASE_RP)[1] == [ECHO_RQ, RELEASE_RQ]
    for chunks in splits(ECHO_RSP):
        assert verify(ASSOCIATE_AC, *chunks, RELEASE_RP)[1] == [ECHO_RQ, RELEASE_RQ]
    for chunks in splits(RELEASE_RP):
        assert verify(ASSOCIATE_AC, ECHO_RSP, *chunks)[1] == [ECHO_RQ, RELEASE_RQ]


def test_a_response_in_fragments_is_up():
    whole = remote.command()
    pieces = [p_data(pdv(whole[i : i + 2], 3 if i + 2 >= len(whole) else 1)) for i in range(0, len(whole), 2)]
    assert verify(ASSOCIATE_AC, *pieces, RELEASE_RP)[0].up
    assert verify(ASSOCIATE_AC, b"".join(pieces), RELEASE_RP)[0].up


def test_a_remote_of_short_pdus_gets_the_request_in_pieces_that_fit():
    short = remote.associate_ac(remote.context(), remote.item(0x50, remote.item(0x51, b"\0\0\0\x20")))
    outcome, sent = verify(short, ECHO_RSP, RELEASE_RP)
    assert outcome.up
    assert outcome.details["max_pdu"] == 32
    assert sent[0] != ECHO_RQ
    assert sent[0][:6] == b"\4\0\0\0\0\x20"


# --- statuses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0x0110, "Processing failure"),
        (0x0122, "Refused: SOP class not supported"),
        (0x0124, "Refused: not authorized"),
        (0x0211, "Unrecognized operation"),
        (0xFF00, "Pending"),
        (0xB000, "Warning"),
        (0xA700, "Refused: out of resources"),
        (0xA801, "Failure"),
        (0xC123, "Failure: unable to process"),
        (0x4242, "a status that the standard does not define"),
    ],
)
def test_a_status_other_than_success_is_down_and_named(status, name):
    outcome, sent = verify(ASSOCIATE_AC, echo_rsp(status), RELEASE_RP)
    assert_down(outcome, "echo", "echo-status", f"status {status:04X}H, {name}", f"--accept-status {status:04X}H")
    assert outcome.details["status"] == f"{status:04X}H"
    assert status_name(status) == name
    assert sent == [ECHO_RQ, RELEASE_RQ]


def test_the_error_comment_is_quoted():
    comment = remote.element(0x0902, b"disk\x1b full ")
    outcome, _ = verify(ASSOCIATE_AC, echo_rsp(0x0110, comment=comment), RELEASE_RP)
    assert_down(outcome, "echo", "echo-status", "(“disk? full”)")


def test_an_accepted_status_is_up_and_still_named():
    terms = Terms("LOADBALANCER", "LB-SCP", (0x0122,))
    outcome, _ = verify(ASSOCIATE_AC, echo_rsp(0x0122), RELEASE_RP, terms=terms)
    assert (outcome.up, outcome.step, outcome.reason) == (True, "echo", "ok")
    assert "0122H, Refused: SOP class not supported, accepted as asked" in outcome.message
    assert not verify(ASSOCIATE_AC, echo_rsp(0x0110), RELEASE_RP, terms=terms)[0].up
    assert verify(ASSOCIATE_AC, ECHO_RSP, RELEASE_RP, terms=terms)[0].up


# --- rejections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        (1, 1, "DICOM UL service-user, no-reason-given"),
        (1, 2, "DICOM UL service-user, application-context-name-not-supported"),
        (1, 3, "DICOM UL service-user, calling-AE-title-not-recognized. The remote does not know us as LOADBALANCER"),
        (1, 7, "DICOM UL service-user, called-AE-title-not-recognized. The remote is not called LB-SCP"),
        (1, 9, "DICOM UL service-user, reason 9 (reserved)"),
        (2, 1, "DICOM UL service-provider (ACSE related function), no-reason-given"),
        (2, 2, "DICOM UL service-provider (ACSE related function), protocol-version-not-supported"),
        (3, 1, "DICOM UL service-provider (Presentation related function), temporary-congestion"),
        (9, 9, "source 9, reason 9 (reserved)"),
    ],
)
def test_a_permanent_rejection_is_down_in_the_standards_words(source, reason, words):
    outcome, sent = verify(remote.associate_rj(1, source, reason))
    assert_down(outcome, "associate", "rejected", f"A-ASSOCIATE-RJ: rejected-permanent, {words}")
    assert outcome.details == {"reject": {"result": 1, "source": source, "reason": reason}}
    assert sent == []


@pytest.mark.parametrize(("reason", "words"), [(1, "temporary-congestion"), (2, "local-limit-exceeded")])
def test_a_transient_rejection_is_down_with_a_reason_of_its_own(reason, words):
    outcome, sent = verify(remote.associate_rj(2, 3, reason))
    assert_down(
        outcome, "associate", "rejected-transient", "rejected-transient", words, "takes no association just now"
    )
    assert sent == []


def test_with_busy_up_a_transient_rejection_is_up_and_a_permanent_one_is_not():
    terms = Terms("LOADBALANCER", "LB-SCP", busy_is_up=True)
    outcome, _ = verify(remote.associate_rj(2, 3, 1), terms=terms)
    assert (outcome.up, outcome.step, outcome.reason) == (True, "associate", "ok")
    assert outcome.details["notes"] == ["busy counts as up, as asked"]
    assert_down(verify(remote.associate_rj(1, 3, 1), terms=terms)[0], "associate", "rejected")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (1, "user-rejection"),
        (2, "no-reason (provider rejection)"),
        (3, "abstract-syntax-not-supported (provider rejection)"),
        (4, "transfer-syntaxes-not-supported (provider rejection)"),
    ],
)
def test_a_rejected_context_is_down_in_words_and_ends_with_an_abort(result, words):
    outcome, sent = verify(remote.associate_ac(remote.context(1, result)))
    assert_down(outcome, "associate", "context-rejected", words)
    assert outcome.details["context_result"] == result
    assert sent == [ABORT]


# --- aborts and releases --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        (0, 0, "A-ABORT by the DICOM UL service-user"),
        (0, 5, "A-ABORT by the DICOM UL service-user"),
        (2, 0, "A-ABORT by the DICOM UL service-provider, reason-not-specified"),
        (2, 2, "A-ABORT by the DICOM UL service-provider, unexpected-PDU"),
        (2, 6, "A-ABORT by the DICOM UL service-provider, invalid-PDU-parameter-value"),
        (2, 3, "A-ABORT by the DICOM UL service-provider, reason 3 (reserved)"),
        (7, 7, "A-ABORT by source 7, reason 7 (reserved)"),
    ],
)
def test_an_abort_is_down_at_the_step_it_came_and_is_not_answered(source, reason, words):
    abort = pdu(7, bytes((0, 0, source, reason)))
    early, sent_early = verify(abort)
    late, sent_late = verify(ASSOCIATE_AC, abort)
    with_acceptance, sent_with = verify(ASSOCIATE_AC + abort)
    assert_down(early, "associate", "aborted", f"{words} instead of an answer")
    assert_down(late, "echo", "aborted", f"accepted the association, then {words}")
    assert_down(with_acceptance, "echo", "aborted", words)
    assert late.details == {"abort": {"source": source, "reason": reason}}
    assert (sent_early, sent_late, sent_with) == ([], [ECHO_RQ], [])


def test_a_remote_that_asks_for_release_instead_of_answering_is_down_and_gets_its_answer():
    outcome, sent = verify(ASSOCIATE_AC, RELEASE_RQ)
    assert_down(outcome, "echo", "released-early", "shutting down")
    assert sent == [ECHO_RQ, RELEASE_RP]


# --- what breaks the standard, or is no DICOM -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "step", "part"),
    [
        ((ECHO_RSP,), "associate", "sent P-DATA-TF where the associate step needs another answer"),
        ((RELEASE_RP,), "associate", "sent A-RELEASE-RP where the associate step"),
        ((RELEASE_RQ,), "associate", "sent A-RELEASE-RQ where the associate step"),
        ((ASSOCIATE_RQ,), "associate", "sent an A-ASSOCIATE-RQ where it should have answered ours"),
        ((b"\2\0\xff\xff\xff\xff",), "associate", "claims a length of 4294967295 bytes"),
        ((remote.associate_ac(remote.context(3)),), "associate", "presentation context 3; 1 was proposed"),
        ((ASSOCIATE_AC + ECHO_RSP,), "echo", "sent P-DATA-TF where the echo step needs another answer"),
        ((ASSOCIATE_AC, ASSOCIATE_AC), "echo", "sent A-ASSOCIATE-AC where the echo step"),
        ((ASSOCIATE_AC, RELEASE_RP), "echo", "sent A-RELEASE-RP where the echo step"),
        ((ASSOCIATE_AC, remote.associate_rj(1, 1, 1)), "echo", "sent A-ASSOCIATE-RJ where the echo step"),
        ((ASSOCIATE_AC, b"\4\0\xff\xff\xff\xff"), "echo", "P-DATA-TF claims a length of 4294967295 bytes"),
        ((ASSOCIATE_AC, p_data(pdv(remote.command(), context=3))), "echo", "presentation context 3; 1 was agreed"),
        ((ASSOCIATE_AC, echo_rsp(status=None)), "echo", "Status (0000,0900) is missing"),
        ((ASSOCIATE_AC, echo_rsp(answered=remote.short(0x0120, 7))), "echo", "(0000,0120) is 7; 1 was asked"),
        ((ASSOCIATE_AC, echo_rsp(field=remote.short(0x0100, 1))), "echo", "Command Field (0000,0100) is 0001H"),
    ],
)
def test_what_breaks_the_standard_is_a_protocol_error_and_ends_with_an_abort(chunks, step, part):
    outcome, sent = verify(*chunks)
    assert_down(outcome, step, "protocol-error", part)
    assert sent == [ECHO_RQ, ABORT][-len(chunks) :]


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "a TLS server answers here. Give --tls"),
        (b"\x16", "a TLS server answers here"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a web server answers here"),
        (b"<html><body>", "a web server answers here"),
        (b"<!doctype html>", "a web server answers here"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "an SSH server answers here (“SSH-2.0-OpenSSH_9.2p1”)"),
        (b"220 mail\x1b[2J ready\r\n", "the answer begins with “220 mail?[2J ready”"),
        (b"\xff\xfd\x18\xff", "the answer begins with the bytes ff fd 18 ff"),
        (b"   ", "the answer begins with the bytes 20 20 20"),
    ],
)
def test_what_is_no_dicom_is_named_for_what_it_looks_like_and_hears_no_more(start, part):
    outcome, sent = verify(start)
    assert_down(outcome, "associate", "not-dicom", part)
    assert sent == []


def test_garbage_inside_an_association_is_a_protocol_error_and_ends_with_an_abort():
    """PS3.8 9.2.3, AA-8: an unrecognized PDU. A server that has associated is a DICOM server."""
    outcome, sent = verify(ASSOCIATE_AC, b"\xff\xff")
    assert_down(outcome, "echo", "protocol-error", "ff ff")
    assert sent == [ECHO_RQ, ABORT]


# --- lost connections -----------------------------------------------------------------------------------------------

LOST = [(TIMED_OUT, "timed-out"), (RESET, "reset"), (CLOSED, "closed")]


@pytest.mark.parametrize(("lost", "reason"), LOST)
@pytest.mark.parametrize(("before", "step"), [((), "associate"), ((ASSOCIATE_AC,), "echo")])
def test_a_connection_that_ends_before_the_response_is_down_at_its_step(lost, reason, before, step):
    outcome, sent = verify(*before, lost)
    assert_down(outcome, step, reason)
    assert "middle of a PDU" not in outcome.message
    assert (sent[-1:] == [ABORT]) == (reason == "timed-out")


@pytest.mark.parametrize(("lost", "reason"), LOST)
def test_a_connection_that_ends_in_the_middle_of_a_pdu_is_said_to(lost, reason):
    assert_down(verify(ASSOCIATE_AC[:40], lost)[0], "associate", reason, "(in the middle of a PDU)")
    assert_down(verify(ASSOCIATE_AC, ECHO_RSP[:5], lost)[0], "echo", reason, "(in the middle of a PDU)")


def test_a_tls_alert_keeps_its_own_step_and_words():
    refused = Lost("client-certificate-refused", "the remote refused the TLS session: “unknown ca”.", "tls")
    outcome, _ = verify(refused)
    assert_down(outcome, "tls", "client-certificate-refused", "“unknown ca”")


# --- the verdict is fixed at the response ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0x0000, 0x0122])
@pytest.mark.parametrize(
    ("ending", "note", "last"),
    [
        ((TIMED_OUT,), "no answer within 5 s", [ABORT]),
        ((RESET,), "the remote reset the connection", []),
        ((CLOSED,), "the remote closed the connection", []),
        ((REMOTE_ABORT,), "A-ABORT by the DICOM UL service-provider, unexpected-PDU", []),
        ((ECHO_RSP,), "P-DATA-TF instead of answering the release", [ABORT]),
        ((b"\xff",), "after the response: this is no DICOM PDU", [ABORT]),
        ((b"\6\0\0\0\0\5",), "after the response: A-RELEASE-RP claims a length of 5", [ABORT]),
        ((RELEASE_RQ, ABORT), "A-ABORT by the DICOM UL service-user", [RELEASE_RP]),
        ((RELEASE_RQ, CLOSED), "the remote closed the connection", [RELEASE_RP]),
        ((RELEASE_RQ, TIMED_OUT), "no answer within 5 s", [RELEASE_RP, ABORT]),
        ((RELEASE_RQ, RELEASE_RQ), "A-RELEASE-RQ instead of answering the release", [RELEASE_RP, ABORT]),
    ],
)
def test_an_odd_ending_is_a_note_beside_the_verdict(status, ending, note, last):
    outcome, sent = verify(ASSOCIATE_AC, echo_rsp(status), *ending)
    assert (outcome.up, outcome.step) == (status == 0, "echo")
    assert [note in one for one in outcome.details["notes"]] == [True]
    assert sent == [ECHO_RQ, RELEASE_RQ, *last]


def test_a_release_collision_is_answered_and_is_no_oddity():
    """PS3.8 9.2.3, AR-8 and AR-9: both asked; the requestor answers, then takes the remote's answer."""
    outcome, sent = verify(ASSOCIATE_AC, ECHO_RSP, RELEASE_RQ, RELEASE_RP)
    assert outcome.up
    assert "notes" not in outcome.details
    assert sent == [ECHO_RQ, RELEASE_RQ, RELEASE_RP]


def test_a_release_collision_whose_two_pdus_come_at_once_does_not_wait_for_more():
    outcome, sent = verify(ASSOCIATE_AC, ECHO_RSP, RELEASE_RQ + RELEASE_RP)
    assert outcome.up
    assert sent == [ECHO_RQ, RELEASE_RQ, RELEASE_RP]


def test_a_remote_that_asks_for_release_together_with_its_response_is_up_and_gets_its_answer():
    outcome, sent = verify(ASSOCIATE_AC, ECHO_RSP + RELEASE_RQ)
    assert outcome.up
    assert "together with its response" in outcome.details["notes"][0]
    assert sent == [ECHO_RQ, RELEASE_RP]


def test_a_remote_that_answers_a_release_nobody_asked_for_gets_an_abort_and_a_note():
    """PS3.8 9.2.3, AA-8: an unexpected PDU."""
    outcome, sent = verify(ASSOCIATE_AC, ECHO_RSP + RELEASE_RP)
    assert outcome.up
    assert "A-RELEASE-RP" in outcome.details["notes"][0]
    assert sent == [ECHO_RQ, ABORT]
