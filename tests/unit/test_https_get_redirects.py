"""Redirects, followed and not."""

import pytest
from unit.http_bytes import REQUEST, UP, answer, redirect
from unit.http_exchange import TIMED_OUT, assert_down, assert_up, get

from lbkit.testing import splits


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_unless_asked(status):
    outcome, sent = get(redirect(b"/login", b"%d Elsewhere" % status), UP)
    assert_down(outcome, "status", "redirected", f"answers {status} Elsewhere, a redirect to “/login”")
    assert "give --path '/login', or --redirects 1" in outcome.message
    assert outcome.details["location"] == "/login"
    assert sent == [REQUEST]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (b"/login", b"/login"),
        (b"login?a=b", b"/api/health/login?a=b"),
        (b"../other#top", b"/api/other"),
        (b"?x", b"/api/health/?x"),
        (b"//192.0.2.1/x", b"/x"),
        (b"https://192.0.2.1/x", b"/x"),
        (b"HTTPS://192.0.2.1:443", b"/"),
    ],
)
def test_a_redirect_to_the_same_place_is_followed_over_the_same_connection(location, path):
    for chunks in splits(redirect(location, body=b"moved")):
        outcome, sent = get(*chunks, UP, redirects=1)
        assert_up(outcome)
        assert b"Connection: close" not in sent[0]
        assert sent[1].startswith(b"GET " + path + b" HTTP/1.1\r\nHost: 192.0.2.1\r\n")
        assert b"Connection: close" in sent[1]


@pytest.mark.parametrize(
    "location",
    [
        b"https://sso.example/login",
        b"//sso.example/login",
        b"http://192.0.2.1/x",
        b"https://192.0.2.1:8443/x",
        b"https://[broken/x",
        b"https://192.0.2.1:port/x",
        b"ftp://192.0.2.1/x",
        b"/with space",
        b"/\xe4",
        b"/" + b"x" * 3000,
    ],
)
def test_a_redirect_elsewhere_is_down_and_named(location):
    outcome, sent = get(redirect(location), UP, redirects=10)
    shown = location.decode("latin-1")[:64]
    assert_down(outcome, "status", "redirected", shown, "not the same scheme, host and port. Check that instead")
    assert len(sent) == 1


def test_a_redirect_to_https_is_told_as_such():
    outcome, _ = get(redirect(b"https://192.0.2.1/x"), tls=False, redirects=1)
    assert_down(outcome, "status", "redirected", "it wants TLS. Leave --no-tls out.")


def test_redirects_in_a_circle_end():
    outcome, sent = get(*[redirect(b"/a")] * 9, redirects=3)
    assert_down(outcome, "status", "redirected", "after 3 that were followed", "--redirects")
    assert len(sent) == 4


@pytest.mark.parametrize(
    "ends", [redirect(b"/a", b"302 Found", b"Connection: close"), b"HTTP/1.0" + redirect(b"/a")[8:]]
)
def test_a_redirect_that_ends_the_connection_is_not_followed(ends):
    outcome, _ = get(ends, redirects=1)
    assert_down(outcome, "status", "redirected", "ends the connection", "--path '/a'")


def test_a_redirect_with_a_long_page_is_followed():
    assert_up(get(redirect(b"/a", body=b"x" * 9000), UP, redirects=1)[0])
    outcome, _ = get(redirect(b"/a", body=b"x" * 9000), UP, redirects=1, max_body=8999)
    assert_down(outcome, "status", "redirected")


def test_a_redirect_whose_body_does_not_end_is_not_followed():
    outcome, _ = get(answer(b"", b"302 Found", b"Location: /a", length=b"9"), TIMED_OUT, redirects=1)
    assert_down(outcome, "status", "redirected", "ends the connection")


def test_a_redirect_that_is_expected_is_up():
    assert_up(get(redirect(b"/login"), statuses=(302,), match="anything", redirects=3)[0])
