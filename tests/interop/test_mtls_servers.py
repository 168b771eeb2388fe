"""`mtls` against HAProxy, nginx and OpenSSL's own server, in TLS 1.2 and 1.3: who is let in, who is refused, and by what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from interop.doors import Door, blocking
from interop.mutual import SERVERS, VERSIONS, Clients, Ports
from interop.remotes import HOST

from lbkit.testing import Identity

REFUSALS = {  # alerts: RFC 8446 section 6.2; TLS 1.2 has none for a certificate that is missing
    "none": {"1.2": "handshake failure", "1.3": "certificate required"},
    "another CA's": {"1.2": "unknown ca", "1.3": "unknown ca"},
    "revoked": {"1.2": "certificate revoked", "1.3": "certificate revoked"},
}
STEPS = {"1.2": "tls", "1.3": "client-certificate"}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return Clients.made(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, clients: Clients, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ports]:
    with SERVERS[request.param](tmp_path_factory.mktemp("server"), clients) as ports:
        yield ports


def options(clients: Clients, client: Identity | None) -> dict[str, object]:
    trust = {"ca_file": clients.ca.ca_file, "timeout": 10.0}
    return trust | ({"cert_file": client.cert_file, "key_file": client.key_file} if client else {})


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_of_the_ca_is_let_in_at_once(server: Ports, clients: Clients, version: str, door: Door) -> None:
    """Before a hung server too: nothing but the handshake is waited for."""
    said = door("mtls", f"{HOST}:{server[version]}", **options(clients, clients.ca.client))
    assert (said.status, said.reason) == ("up", "ok"), said.message
    assert said.message.startswith(f"lets us in over TLSv{version}; the remote's certificate (")
    assert said.duration < 5
    if said.details:
        assert said.details["tls"]["version"] == f"TLSv{version}"
        assert said.details["client_certificate_requested"] is True
        assert [one["whose"] for one in said.details["certificates"]] == ["remote", "ca", "client"]
        assert "notes" not in said.details


@pytest.mark.parametrize("server", [name for name in SERVERS if name != "nginx"], indirect=True)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client", REFUSALS)
def test_a_client_that_is_refused_is_told_why_and_can_be_what_is_expected(
    server: Ports, clients: Clients, version: str, client: str, door: Door
) -> None:
    target, given = f"{HOST}:{server[version]}", options(clients, clients.refused[client])
    said = door("mtls", target, **given)
    assert said.verdict == ("down", STEPS[version], "client-certificate-refused"), said.message
    assert f"“{REFUSALS[client][version]}”" in said.message
    expected = door("mtls", target, **given, expect_refusal=True)
    assert (expected.status, expected.reason) == ("up", "ok"), expected.message
    assert expected.message == f"refuses this client, as expected: “{REFUSALS[client][version]}”"


@pytest.mark.parametrize("server", ["nginx"], indirect=True)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client", REFUSALS)
def test_a_refusal_in_http_is_no_refusal_in_tls_and_the_message_says_how_to_prove_it(
    server: Ports, clients: Clients, version: str, client: str
) -> None:
    target, given = f"{HOST}:{server[version]}", options(clients, clients.refused[client])
    said = blocking("mtls", target, **given, expect_refusal=True)
    assert said.verdict == ("down", STEPS[version], "not-refused")
    assert "If it refuses in HTTP (nginx answers 400" in said.message
    proof = blocking("https-get", target, **given, status=(400,), match="anything")
    assert (proof.status, proof.reason) == ("up", "ok"), proof.message


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_is_let_in_is_not_refused(server: Ports, clients: Clients, version: str, door: Door) -> None:
    target = f"{HOST}:{server[version]}"
    said = door("mtls", target, **options(clients, clients.ca.client), expect_refusal=True)
    assert said.verdict == ("down", STEPS[version], "not-refused")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_whose_certificate_is_revoked_is_told(
    server: Ports, clients: Clients, version: str, door: Door
) -> None:
    target, given = f"{HOST}:{server[version]}", options(clients, clients.ca.client)
    good = door("mtls", target, **given, crl_file=clients.crl_file)
    assert (good.status, good.reason) == ("up", "ok"), good.message
    crl_file = clients.ca.revocation_list(clients.ca.server)
    revoked = door("mtls", target, **given, crl_file=crl_file)
    assert revoked.verdict == ("down", "tls", "certificate-revoked")
