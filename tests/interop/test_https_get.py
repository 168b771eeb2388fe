"""https-get against nginx and HAProxy, which want client certificates, in TLS 1.2 and 1.3, through each of three doors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from interop.doors import Door, Said, blocking, in_asyncio
from interop.web import LONG_AGO, Identities, Web, haproxy, identities, nginx

from lbkit.testing import Identity, ThrowawayCA

UP = ("up", "body", "ok")
VERSIONS = {"tls12": "TLSv1.2", "tls13": "TLSv1.3"}
SERVERS = {"nginx": nginx, "haproxy": haproxy}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    return identities(ThrowawayCA(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module", params=SERVERS)
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, known: Identities) -> Iterator[Web]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    server: AbstractContextManager[Web] = SERVERS[request.param](folder, known)
    with server as running:
        yield running


@pytest.fixture(params=VERSIONS)
def port(request: pytest.FixtureRequest) -> str:
    """The port of each TLS version."""
    return str(request.param)


@pytest.fixture
def ours(known: Identities) -> dict[str, Any]:
    """What lets us in."""
    return {"ca_file": known.ca.ca_file, **certificate(known.ca.client)}


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> ThrowawayCA:
    return ThrowawayCA(tmp_path_factory.mktemp("other-ca"))


def certificate(identity: Identity) -> dict[str, str]:
    return {"cert_file": identity.cert_file, "key_file": identity.key_file}


def assert_down(said: Said, step: str, reason: str, *parts: str) -> None:
    assert said.verdict == ("down", step, reason), said.message
    for part in parts:
        assert part in said.message


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_server_that_serves_is_up_for_a_client_with_a_certificate(
    web: Web, port: str, ours: dict[str, Any], door: Door
) -> None:
    said = door("https-get", web.target(port), **ours)
    assert said.verdict == UP, said.message
    assert said.message == "answers 200 with the expected body"


def test_what_was_learnt_is_told_in_the_details(web: Web, port: str, ours: dict[str, Any]) -> None:
    for door in (blocking, in_asyncio):
        details = door("https-get", web.target(port), **ours).details
        assert (details["status"], details["bytes"], details["content_type"]) == (200, 21, "text/plain")
        assert details["tls"]["version"] == VERSIONS[port]
        assert details.get("server", "").startswith("nginx/" if web.name == "nginx" else "")


@pytest.mark.parametrize("web", ["nginx"], indirect=True)
def test_a_body_in_chunks_is_up(web: Web, ours: dict[str, Any], door: Door) -> None:
    """HAProxy knows the length of what it returns itself."""
    said = door("https-get", web.target("tls13"), path="/chunked", **ours)
    assert said.verdict == UP, said.message


def test_another_body_is_down(web: Web, port: str, ours: dict[str, Any], door: Door) -> None:
    said = door("https-get", web.target(port), path="/other", **ours)
    assert_down(said, "body", "body", "the body is “twoServicesOperative” (20 bytes)")
    assert door("https-get", web.target(port), path="/other", match="regex", body="^t.o", **ours).verdict == UP


def test_a_503_with_the_right_body_is_down_unless_it_is_expected(
    web: Web, port: str, ours: dict[str, Any], door: Door
) -> None:
    said = door("https-get", web.target(port), path="/down", **ours)
    assert_down(said, "status", "http-status", "answers 503 Service", "with “allServicesOperative”")
    assert door("https-get", web.target(port), path="/down", status=(200, 503), **ours).verdict == UP


def test_a_page_that_is_not_there_is_down(web: Web, ours: dict[str, Any], door: Door) -> None:
    said = door("https-get", web.target("tls13"), path="/nowhere?a=b", **ours)
    assert_down(said, "status", "http-status", "answers 404 Not Found", "Check --path")


def test_a_redirect_is_followed_if_asked_and_if_it_stays_there(
    web: Web, port: str, ours: dict[str, Any], door: Door
) -> None:
    target = web.target(port)
    assert_down(door("https-get", target, path="/moved", **ours), "status", "redirected", "--path '/api/health/'")
    assert door("https-get", target, path="/moved", redirects=1, **ours).verdict == UP
    said = door("https-get", target, path="/away", redirects=1, **ours)
    assert_down(said, "status", "redirected", "“https://elsewhere.lbkit.test/”", "Check that instead")


def test_the_host_header_chooses_the_page(web: Web, door: Door) -> None:
    asked = {"tls": False, "path": "/host"}
    said = door("https-get", web.target("plain"), **asked, host="ccw.lbkit.test", body="ccw.lbkit.test")
    assert said.verdict == UP, said.message
    assert door("https-get", web.target("plain"), **asked, body="127.0.0.1").verdict == UP


# --- TLS: who they are ----------------------------------------------------------------------------------------------


def test_the_server_name_chooses_the_certificate_and_the_page(web: Web, known: Identities, door: Door) -> None:
    asked = {"ca_file": known.ca.ca_file, "path": "/name"}
    for name in ("a.lbkit.test", "b.lbkit.test"):
        said = door("https-get", web.target("named"), server_name=name, body=name, **asked)
        assert said.verdict == UP, said.message
    assert_down(door("https-get", web.target("named"), **asked), "tls", "certificate-name", "--server-name")


def test_server_name_and_host_header_may_differ(web: Web, known: Identities, door: Door) -> None:
    names = {"server_name": "a.lbkit.test", "host": "b.lbkit.test", "body": "b.lbkit.test"}
    said = door("https-get", web.target("named"), ca_file=known.ca.ca_file, path="/host", **names)
    assert said.verdict == UP, said.message


def test_a_server_of_another_ca_is_untrusted(
    web: Web, port: str, ours: dict[str, Any], other_ca: ThrowawayCA, door: Door
) -> None:
    said = door("https-get", web.target(port), **(ours | {"ca_file": other_ca.ca_file}))
    assert_down(said, "tls", "certificate-untrusted", "--ca-file")
    said = door("https-get", web.target(port), verify=False, **certificate_of(ours))
    assert said.verdict == UP, said.message


def certificate_of(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("cert_file", "key_file")}


def test_a_server_of_another_name_is_told(web: Web, port: str, ours: dict[str, Any], door: Door) -> None:
    said = door("https-get", web.target(port), server_name="other.lbkit.test", **ours)
    assert_down(said, "tls", "certificate-name", "--server-name")


def test_an_expired_server_is_told(web: Web, known: Identities, door: Door) -> None:
    said = door("https-get", web.target("expired"), ca_file=known.ca.ca_file)
    assert_down(said, "tls", "certificate-expired")


# --- TLS: who we are ------------------------------------------------------------------------------------------------


def test_without_a_client_certificate_the_refusal_is_told(web: Web, port: str, known: Identities, door: Door) -> None:
    """nginx refuses in HTTP; HAProxy in TLS, where 1.2 has no alert for a certificate that is missing."""
    said = door("https-get", web.target(port), ca_file=known.ca.ca_file)
    expected = {
        ("nginx", "tls12"): ("status", "client-certificate-refused"),
        ("nginx", "tls13"): ("status", "client-certificate-refused"),
        ("haproxy", "tls12"): ("tls", "tls-refused"),
        ("haproxy", "tls13"): ("tls", "client-certificate-refused"),
    }
    assert_down(said, *expected[web.name, port], "--cert-file")


@pytest.mark.parametrize("wrong", ["of another CA", "expired"])
def test_a_client_certificate_that_is_not_taken_is_told(
    web: Web, port: str, known: Identities, other_ca: ThrowawayCA, wrong: str, door: Door
) -> None:
    client = known.ca.issue("c.lbkit.test", not_after=LONG_AGO) if wrong == "expired" else other_ca.client
    said = door("https-get", web.target(port), ca_file=known.ca.ca_file, **certificate(client))
    assert_down(said, "status" if web.name == "nginx" else "tls", "client-certificate-refused", "certificate")


# --- TLS or not -----------------------------------------------------------------------------------------------------


def test_plain_http_to_a_server_that_wants_tls_is_told(web: Web, port: str, door: Door) -> None:
    """nginx answers 400; HAProxy closes."""
    said = door("https-get", web.target(port), tls=False)
    expected = ("status", "http-status") if web.name == "nginx" else ("request", "closed")
    assert_down(said, *expected, "eave --no-tls out")


def test_tls_to_a_server_that_speaks_plain_http_is_told(web: Web, door: Door) -> None:
    assert door("https-get", web.target("plain"), tls=False).verdict == UP
    assert_down(door("https-get", web.target("plain")), "tls", "not-tls", "--no-tls")
