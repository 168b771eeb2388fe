"""A whole exchange, driven by scripted bytes without a socket: what is asked, and what is made of the answer."""

import pytest
from unit.http_bytes import BODY, EARLY_HINTS, REQUEST, UP, answer, chunked, page, until_close
from unit.http_exchange import CLOSED, RESET, TIMED_OUT, assert_down, assert_up, get, waits

from lbkit.testing import splits

# --- up -------------------------------------------------------------------------------------------------------------


def test_the_status_and_the_body_that_are_expected_are_up_and_nothing_more_is_sent():
    outcome, sent = get(answer(BODY, b"200 OK", b"Server: nginx", b"Content-Type: text/plain"))
    assert_up(outcome)
    assert outcome.message == "answers 200 with the expected body"
    assert outcome.details == {"status": 200, "bytes": 20, "server": "nginx", "content_type": "text/plain"}
    assert sent == [REQUEST]


@pytest.mark.parametrize(
    "whole",
    [
        UP,
        EARLY_HINTS + UP,
        EARLY_HINTS * 8 + UP,
        b"HTTP/1.1 100 Continue\r\n\r\n" + UP,
        chunked(BODY),
        chunked(b"all", b"Services", b"Operative", trailer=b"Checksum: 1\r\n", extension=b";a=b"),
        chunked(*[BODY[i : i + 1] for i in range(len(BODY))]),
        b"HTTP/1.1 200\r\nContent-Length: 20\r\n\r\n" + BODY,
        b"HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\ncontent-length: 20\n\n" + BODY,
        answer(BODY, b"200 OK", b"Content-Encoding: identity"),
    ],
)
def test_every_framing_and_every_split_of_an_answer_is_the_same_verdict(whole):
    for chunks in splits(whole):
        outcome, sent = get(*chunks)
        assert_up(outcome)
        assert sent == [REQUEST]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_that_ends_with_the_connection_is_up_when_it_ends(version):
    whole = until_close(version=version)
    assert waits(whole)
    for chunks in splits(whole):
        assert_up(get(*chunks, CLOSED)[0])


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_not_waited_for(status):
    outcome, _ = get(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status, statuses=(status,), body="")
    assert_up(outcome)
    assert outcome.details["bytes"] == 0


def test_what_follows_the_answer_does_not_matter():
    assert_up(get(UP + b"\r\n\x00garbage")[0])


# --- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "port", "terms", "expected"),
    [
        ("192.0.2.1", 443, {}, "192.0.2.1"),
        ("192.0.2.1", 8443, {}, "192.0.2.1:8443"),
        ("192.0.2.1", 80, {}, "192.0.2.1:80"),
        ("192.0.2.1", 80, {"tls": False}, "192.0.2.1"),
        ("192.0.2.1", 443, {"tls": False}, "192.0.2.1:443"),
        ("2001:db8::1", 443, {}, "[2001:db8::1]"),
        ("fe80::1%eth0", 8443, {}, "[fe80::1]:8443"),
        ("ccw.example.", 443, {}, "ccw.example"),
        ("krankenhäuser.example", 443, {}, "xn--krankenhuser-ncb.example"),
        ("192.0.2.1", 8443, {"server_name": "ccw.example"}, "ccw.example:8443"),
        ("192.0.2.1", 8443, {"server_name": "ccw.example", "host": "api.example"}, "api.example"),
        ("192.0.2.1", 8443, {"host": "api.example:1"}, "api.example:1"),
    ],
)
def test_the_host_header_names_who_is_meant(at, port, terms, expected):
    _, sent = get(UP, at=at, port=port, **terms)
    assert f"\r\nHost: {expected}\r\n".encode() in sent[0]


def test_a_host_that_no_resolver_takes_does_not_break_the_exchange():
    assert_up(get(UP, at="ä" * 80)[0])


def test_the_path_is_asked_for_as_it_is_given():
    _, sent = get(UP, path="/health?a=%20b&c")
    assert sent[0].startswith(b"GET /health?a=%20b&c HTTP/1.1\r\n")


# --- the status -----------------------------------------------------------------------------------------------------


def test_a_wrong_status_is_down_even_with_the_right_body():
    """Some servers send their usual body with a 503."""
    outcome, _ = get(answer(BODY, b"503 Service Unavailable"))
    assert_down(outcome, "status", "http-status", "answers 503 Service Unavailable with “allServicesOperative”", "log")
    assert outcome.details["status"] == 503


@pytest.mark.parametrize("end", [TIMED_OUT, RESET, CLOSED])
def test_a_wrong_status_is_the_verdict_even_if_the_body_never_comes(end):
    outcome, _ = get(answer(b"", b"500 Oops", length=b"1000"), end)
    assert_down(outcome, "status", "http-status", "answers 500 Oops: the application failed")
    outcome, _ = get(answer(b"part", b"500 Oops", length=b"1000"), end)
    assert_down(outcome, "status", "http-status", "answers 500 Oops with “part”")


def test_a_wrong_status_is_the_verdict_even_if_the_body_breaks_the_standard():
    broken = answer(b"zz\r\n", b"500 Oops", b"Transfer-Encoding: chunked", length=b"")
    assert_down(get(broken)[0], "status", "http-status")


def test_of_a_wrong_status_no_more_of_the_body_is_read_than_can_be_quoted():
    outcome, _ = get(answer(b"x" * 5000, b"500 Oops", length=b"9999999"))
    assert_down(outcome, "status", "http-status", "“" + "x" * 120 + "…”")


def test_several_statuses_can_be_expected():
    for status in (200, 503):
        assert_up(get(answer(BODY, b"%d X" % status), statuses=(200, 503))[0])
    assert_down(get(answer(BODY, b"500 X"), statuses=(200, 503))[0], "status", "http-status")


@pytest.mark.parametrize(
    ("status", "part"),
    [
        (201, "though not as expected. If that is right, give --status 201"),
        (300, "neither the page nor where it is. If that is right, give --status 300"),
        (302, "neither the page nor where it is"),
        (400, "Check --host"),
        (401, "wants credentials"),
        (403, "--cert-file"),
        (404, "there is no such page. Check --path"),
        (418, "turns our request down. If that is right, give --status 418"),
        (421, "Check --server-name and --host"),
        (502, "what is behind it does not"),
        (504, "too slow"),
        (599, "the server fails; its log says why. If that is right, give --status 599"),
        (999, "HTTP has no such status"),
    ],
)
def test_what_a_status_means_and_what_to_do_is_said(status, part):
    assert_down(get(answer(b"", b"%d" % status))[0], "status", "http-status", f"answers {status}: ", part)


def test_an_error_page_is_quoted_by_its_title_or_without_its_tags():
    outcome, _ = get(page(b"503 Service Temporarily Unavailable", b"503 Down"))
    assert_down(outcome, "status", "http-status", "answers 503 Down with “503 Service Temporarily Unavailable”: ")
    outcome, _ = get(answer(b"<html><body><h1>503 Down</h1>\nNo server is available.\n</body></html>", b"503 Down"))
    assert_down(outcome, "status", "http-status", "with “503 Down No server is available.”: ")


@pytest.mark.parametrize(
    ("whole", "advice"),
    [
        (page(b"400 No required SSL certificate was sent", b"400 Bad Request"), "Give --cert-file and --key-file"),
        (answer(b"", b"496 SSL Certificate Required"), "Give --cert-file and --key-file"),
        (
            answer(b"<h2>HTTP Error 403.7 - Forbidden: SSL client certificate is required.</h2>", b"403 Forbidden"),
            "Give --cert-file and --key-file",
        ),
        (page(b"400 The SSL certificate error", b"400 Bad Request"), "does not take our client certificate"),
        (answer(b"", b"495 SSL Certificate Error"), "does not take our client certificate"),
        (answer(b"HTTP Error 403.16 - Forbidden", b"403 Forbidden"), "does not take our client certificate"),
    ],
)
def test_a_server_that_refuses_a_client_certificate_in_http_is_told_so(whole, advice):
    assert_down(get(whole)[0], "status", "client-certificate-refused", advice, "--cert-file")


@pytest.mark.parametrize(
    "whole",
    [
        page(b"400 The plain HTTP request was sent to HTTPS port", b"400 Bad Request"),
        answer(b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />", b"400 Bad Request"),
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        answer(b"", b"497 HTTP Request Sent to HTTPS Port"),
    ],
)
def test_plain_http_to_an_https_port_is_told_so(whole):
    outcome, _ = get(whole, CLOSED, tls=False)
    assert_down(outcome, "status", "http-status", "plain HTTP was spoken to an HTTPS port. Leave --no-tls out.")


# --- the body -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", [b"%s\n", b"\r\n%s\r\n", b"  \t%s"])
def test_equals_ignores_white_space_at_both_ends(around):
    assert_up(get(answer(around % BODY))[0])


@pytest.mark.parametrize("body", [b"allServicesOperativ", b"allservicesoperative", b"x allServicesOperative", b"\xff"])
def test_another_body_is_down_and_quoted(body):
    outcome, _ = get(answer(body))
    assert_down(outcome, "body", "body", "answers 200 OK, but the body is “", f"({len(body)} bytes)")
    assert "“allServicesOperative” is expected (white space at both ends does not count)" in outcome.message


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_an_empty_body_is_told_so(body):
    assert_down(get(answer(body))[0], "body", "body", "but the body is empty;")


@pytest.mark.parametrize(
    ("match", "body", "up", "says"),
    [
        ("contains", "Services", True, ""),
        ("contains", "services", False, "it does not contain “services”"),
        ("contains", "(", False, "it does not contain “(”"),
        ("regex", "^all.*ive$", True, ""),
        ("regex", "vicesOp", True, ""),
        ("regex", "^services", False, "the regular expression “^services” matches nowhere in it"),
        ("regex", "(?i)^ALLSERVICES", True, ""),
        ("equals", " allServicesOperative\n", True, ""),
        ("anything", "whatever", True, ""),
    ],
)
def test_the_body_can_be_compared_in_four_ways(match, body, up, says):
    outcome, _ = get(UP, match=match, body=body)
    assert outcome.up == up
    assert says in outcome.message


def test_the_body_is_read_as_utf_8():
    assert_up(get(answer("grün".encode()), body="grün")[0])
    assert_up(get(answer(b"a\xffb"), match="contains", body="\ufffd")[0])


def test_a_body_that_is_anything_has_still_to_come():
    assert waits(answer(b"x", length=b"2"), match="anything")
    assert_up(get(answer(b""), match="anything")[0])
    assert get(answer(b""), match="anything")[0].message == "answers 200"


def test_a_body_up_to_the_limit_is_read_and_a_longer_one_is_down():
    assert_up(get(answer(b"x" * 100), match="anything", max_body=100)[0])
    for chunks in splits(answer(b"x" * 101)):
        outcome, _ = get(*chunks, match="anything", max_body=100)
        assert_down(outcome, "body", "body-too-large", "more than 100 bytes", "--max-body")


def test_a_body_that_is_compressed_unasked_is_down_unless_anything_will_do():
    gzipped = answer(b"\x1f\x8b\x08\0", b"200 OK", b"Content-Encoding: gzip")
    assert_down(get(gzipped)[0], "body", "content-encoding", "encoded as “gzip”")
    assert_up(get(gzipped, match="anything")[0])
    assert_up(get(answer(b"", b"200 OK", b"Content-Encoding: gzip"), body="")[0])
