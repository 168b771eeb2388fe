"""What breaks the standard or is no HTTP, connections that end early, and what is shown of a remote."""

import pytest
from unit.http_bytes import BODY, EARLY_HINTS, UP, answer, chunked, until_close
from unit.http_exchange import CLOSED, ENDINGS, RESET, TIMED_OUT, assert_down, get

from lbkit.checks.conversation import Lost
from lbkit.testing import splits

# --- what breaks the standard, or is no HTTP ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "terms", "part"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", {}, "an SSH server answers here (“SSH-2.0-OpenSSH_9.2p1”)"),
        (b"\x15\x03\x01\0\2\2\x46", {"tls": False}, "a TLS server answers here. Leave --no-tls out"),
        (b"\x15", {"tls": False}, "a TLS server answers here"),
        (b"\x15\x03\x01\0\2\2\x46", {}, "begins with the bytes 15 03 01"),
        (b"\0\0\x12\4\0\0\0\0\0", {}, "a server that speaks HTTP/2 only answers here"),
        (b"<!doctype html><p>", {}, "a page comes without the head"),
        (b"220 mail\x1b[2J ready\r\n", {}, "the answer begins with “220 mail?[2J ready”"),
        (b"   ", {}, "the answer begins with the bytes 20 20 20"),
        (b"HTTX/1.1 200 OK\r\n", {}, "the answer begins with “HTTX/1.1 200 OK”"),
        (b"ICY 200 OK\r\n", {}, "the answer begins with “ICY 200 OK”"),
    ],
)
def test_what_is_no_http_is_named_for_what_it_looks_like_at_once(start, terms, part):
    outcome, _ = get(start, **terms)
    assert_down(outcome, "request", "not-http", "not HTTP: ", part)
    for chunks in splits(start):
        assert_down(get(*chunks, **terms)[0], "request", "not-http")


@pytest.mark.parametrize(
    ("whole", "step", "part"),
    [
        (b"HTTP/1.1 abc\r\n\r\n", "request", "illegal status line (“HTTP/1.1 abc”)"),
        (b"HTTP/1.1 200 OK\r\nfoo bar\r\n\r\n", "request", "illegal header line (“foo bar”)"),
        (answer(length=b"x"), "request", "bad Content-Length"),
        (answer(b"", b"200 OK", b"Content-Length: 5"), "request", "conflicting Content-Length"),
        (answer(b"", b"200 OK", b"Transfer-Encoding: gzip"), "request", "a transfer encoding other than chunked"),
        (b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "request", "another protocol"),
        (EARLY_HINTS * 9, "request", "more than 8 answers 1xx"),
        (chunked(b"abc").replace(b"3\r\n", b"zz\r\n"), "body", "illegal chunk header (“zz"),
        (chunked(b"abc").replace(b"3\r\n", b"2\r\n"), "body", "a chunk of the body is longer than it says"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 17000, "request", "far too long"),
        (chunked(b"a", trailer=b"X: " + b"a" * 17000)[:-4], "body", "far too long"),
    ],
)
def test_what_breaks_the_standard_is_a_protocol_error(whole, step, part):
    for chunks in ((whole,), tuple(whole[i : i + 1] for i in range(len(whole)))):
        assert_down(get(*chunks)[0], step, "protocol-error", part, "breaks the HTTP standard")


# --- lost connections -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("end", "reason"), ENDINGS)
@pytest.mark.parametrize(
    ("before", "step", "late", "cut"),
    [
        (b"", "request", "does not answer", "instead of answering"),
        (b"HTT", "request", "stops in the middle of its head", "in the middle of the answer's head"),
        (EARLY_HINTS, "request", "stops in the middle of its head", "in the middle of the answer's head"),
        (UP[:-4], "body", "stops after 16 bytes", "after 16 bytes of the body"),
        (chunked(BODY)[:-5], "body", "stops after 20 bytes", "after 20 bytes of the body"),
    ],
)
def test_a_connection_that_ends_before_the_answer_is_down_where_it_ended(end, reason, before, step, late, cut):
    outcome, _ = get(*[before] if before else [], end)
    assert_down(outcome, step, reason, late if reason == "timed-out" else cut)


def test_a_body_without_an_end_that_is_reset_or_late_is_not_taken_for_whole():
    assert_down(get(until_close(), RESET)[0], "body", "reset")
    assert_down(get(until_close(), TIMED_OUT)[0], "body", "timed-out")


@pytest.mark.parametrize("end", [RESET, CLOSED])
def test_what_a_server_may_want_that_hangs_up_at_once_is_said(end):
    assert "leave --no-tls out" in get(end, tls=False)[0].message
    assert "--cert-file" in get(end)[0].message


def test_a_tls_alert_keeps_its_own_step_and_words():
    refused = Lost("client-certificate-refused", "the remote refused the TLS session: “unknown ca”.", "tls")
    outcome, _ = get(refused)
    assert_down(outcome, "tls", "client-certificate-refused", "“unknown ca”")


# --- what is shown of a remote --------------------------------------------------------------------------------------


def test_headers_are_shown_cut_and_printable():
    outcome, _ = get(answer(BODY, b"200 OK", b"Server: \x1b[2J" + b"x" * 500))
    assert outcome.details["server"] == "?[2J" + "x" * 60


def test_messages_are_bounded():
    outcome, _ = get(answer(b"\x1b" * 9999, b"500 " + b"y" * 9999))
    assert len(outcome.message) < 500
