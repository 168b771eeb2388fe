"""`mtls`: what it says of each remote, by both drivers and the probe, in TLS 1.2 and in 1.3, which judges clients later."""

import asyncio
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from interop.doors import DOORS
from unit.mutual import JUDGED, NOW, PAST, VERSIONS, identity
from unit.remotes import hang_up, replies, silent

import lbkit
from lbkit.testing import ThrowawayCA
from lbkit_mtls.plugin import lbkit_checks

(MTLS,) = lbkit_checks()


@pytest.fixture(params=DOORS)
def door(request):
    return DOORS[request.param]


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def version(request):
    return request.param


@pytest.fixture
def ca(throwaway_ca):
    return throwaway_ca


@pytest.fixture
def clients(ca, tmp_path):
    """By what is the matter with them: the options of clients that are to be refused."""
    revoked = ca.issue("revoked.lbkit.test")
    return {
        "none": {},
        "other CA": identity(ThrowawayCA(tmp_path).client),
        "expired": identity(ca.issue("client.lbkit.test", not_after=PAST)),
        "server's": identity(ca.issue("client.lbkit.test", usage="server")),
        "revoked": identity(revoked),
        "crl_file": ca.revocation_list(revoked),
    }


@pytest.fixture
def strict(ca, clients, version):
    """A server's context that lets in clients of the CA alone, unless they are revoked."""
    context = ca.server_context(wants_client=True)
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(clients["crl_file"])
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    return context


def serves(context):
    """A remote that reads until its client ends the session, then ends it too."""

    def script(client):
        with context.wrap_socket(client, server_side=True, suppress_ragged_eofs=True) as secured:
            while secured.recv(4096):
                pass

    return script


def holds(context):
    """A remote that lets in, and then is deaf: it does not answer our close_notify either. A proxy before a hung server."""

    def script(client):
        secured = context.wrap_socket(client, server_side=True)
        with socket.socket(fileno=secured.detach()) as raw:
            while raw.recv(4096):
                pass

    return script


def without_tickets(context):
    context.num_tickets = 0
    return context


# --- a client that is to be let in ----------------------------------------------------------------------------------


def test_a_remote_that_takes_our_certificate_is_up(ca, strict, version, listener, door):
    found = door("mtls", listener(serves(strict)).target, ca_file=ca.ca_file, **identity(ca.client))
    assert (found.status, found.reason) == ("up", "ok")
    assert found.message.startswith(f"lets us in over {version.name.replace('_', '.')}; the remote's certificate (")


def test_it_tells_the_session_and_every_certificate(ca, strict, version, listener):
    soon = NOW + timedelta(days=40, hours=1)
    client = ca.issue("client.lbkit.test", not_after=soon)
    found = lbkit.check("mtls", listener(serves(strict)).target, ca_file=ca.ca_file, **identity(client))
    assert found.step == JUDGED[version]
    assert [*found.steps] == ["connect", "tls", "client-certificate"][: 3 if version is VERSIONS[1] else 2]
    assert found.details["tls"]["version"] == version.name.replace("_", ".")
    assert found.details["tls"]["cipher"]
    assert found.details["client_certificate_requested"] is True
    remote, root, ours = found.details["certificates"]
    assert [one["whose"] for one in (remote, root, ours)] == ["remote", "ca", "client"]
    assert remote["issuer"] == root["subject"] == root["issuer"] == ours["issuer"]
    assert (ours["not_after"], ours["days_left"]) == (soon.strftime("%Y-%m-%dT%H:%M:%SZ"), 40)
    assert remote["days_left"] > 1000
    assert "client certificate" in found.message
    assert "expires in 40 days, on " in found.message


def test_a_pfx_is_shown_like_any_other_certificate(ca, strict, listener, door):
    found = door("mtls", listener(serves(strict)).target, ca_file=ca.ca_file, cert_file=ca.pfx(ca.client, None))
    assert (found.status, found.reason) == ("up", "ok")


def test_a_remote_that_never_answers_our_goodbye_is_up_at_once(ca, strict, version, listener, door):
    """The ticket of TLS 1.3 says enough; HAProxy before a hung server does so, seen with 2.6."""
    found = door("mtls", listener(holds(strict)).target, ca_file=ca.ca_file, timeout=30.0, **identity(ca.client))
    assert (found.status, found.reason) == ("up", "ok")
    assert found.duration < 15
    assert "notes" not in found.details


def test_a_remote_that_says_nothing_at_all_is_up_with_a_note(ca, listener, door):
    context = without_tickets(ca.server_context(wants_client=True))
    target = listener(holds(context)).target
    found = door("mtls", target, ca_file=ca.ca_file, timeout=0.8, **identity(ca.client))
    assert (found.status, found.reason) == ("up", "ok")
    if found.details:
        (note,) = found.details["notes"]
        assert note.startswith("no answer within 0.8 s after the handshake: taken as let in")


def test_a_remote_that_ends_the_session_without_a_word_is_up(ca, listener, door):
    def script(client):
        secured = context.wrap_socket(client, server_side=True)
        assert secured.recv(100) == b""
        socket.socket(fileno=secured.detach()).close()

    context = without_tickets(ca.server_context(wants_client=True))
    found = door("mtls", listener(script).target, ca_file=ca.ca_file, **identity(ca.client))
    assert (found.status, found.reason) == ("up", "ok")


def test_a_remote_that_speaks_first_is_up(ca, version, listener, door):
    def script(client):
        with context.wrap_socket(client, server_side=True) as secured:
            secured.sendall(b"220 ready" * 999)
            while secured.recv(100):
                pass

    context = ca.server_context(wants_client=True)
    context.maximum_version = version
    found = door("mtls", listener(script).target, ca_file=ca.ca_file, **identity(ca.client))
    assert (found.status, found.reason) == ("up", "ok")


def test_a_remote_that_does_not_ask_for_our_certificate_is_up_with_a_note(ca, version, listener):
    context = ca.server_context()
    context.maximum_version = version
    found = lbkit.check("mtls", listener(serves(context)).target, ca_file=ca.ca_file, **identity(ca.client))
    assert (found.status, found.exit_code) == ("up", 0)
    assert found.details["client_certificate_requested"] is False
    assert "did not ask for our certificate" in found.details["notes"][0]


def test_without_a_certificate_of_ours_it_is_a_handshake_alone(ca, version, listener, door):
    context = ca.server_context()
    context.maximum_version = version
    found = door("mtls", listener(serves(context)).target, ca_file=ca.ca_file)
    assert (found.status, found.reason) == ("up", "ok")
    assert "notes" not in found.details


ALERTS = {
    "none": {"TLSv1_2": "handshake failure", "TLSv1_3": "certificate required"},
    "other CA": {"TLSv1_2": "unknown ca", "TLSv1_3": "unknown ca"},
    "expired": {"TLSv1_2": "certificate expired", "TLSv1_3": "certificate expired"},
    "server's": {"TLSv1_2": "unsupported certificate", "TLSv1_3": "unsupported certificate"},
    "revoked": {"TLSv1_2": "certificate revoked", "TLSv1_3": "certificate revoked"},
}


@pytest.mark.parametrize("client", ALERTS)
def test_a_remote_that_refuses_our_certificate_is_down_and_says_why(
    ca, clients, strict, version, listener, door, client
):
    found = door("mtls", listener(serves(strict)).target, ca_file=ca.ca_file, **clients[client])
    assert found.verdict == ("down", JUDGED[version], "client-certificate-refused"), found.message
    assert f"“{ALERTS[client][version.name]}”" in found.message


def test_a_remote_that_resets_the_connection_when_it_has_seen_our_certificate_is_down(ca, listener, door):
    def script(client):
        secured = context.wrap_socket(client, server_side=True)
        with socket.socket(fileno=secured.detach()) as raw:
            hang_up(raw)

    context = without_tickets(ca.server_context(wants_client=True))
    found = door("mtls", listener(script).target, ca_file=ca.ca_file, **identity(ca.client))
    assert found.verdict == ("down", "client-certificate", "reset")
    assert "after the handshake, without a word: it may refuse our certificate" in found.message


# --- how long certificates last -------------------------------------------------------------------------------------


@pytest.fixture
def short(ca):
    return ca.issue("127.0.0.1", "client.lbkit.test", not_after=NOW + timedelta(days=9, hours=1))


@pytest.mark.parametrize("whose", ["remote", "client"])
def test_a_certificate_that_soon_expires_is_a_warning_and_then_down(ca, short, version, listener, whose):
    context = ca.server_context(short if whose == "remote" else ca.server, wants_client=True)
    context.maximum_version = version
    target = listener(serves(context)).target
    options = {"ca_file": ca.ca_file, **identity(short if whose == "client" else ca.client)}
    calm = lbkit.check("mtls", target, warning_days=9, **options)
    assert (calm.status, calm.exit_code) == ("up", 0)
    warned = lbkit.check("mtls", target, warning_days=10, critical_days=9, **options)
    assert (warned.status, warned.exit_code) == ("up", 1)
    (warning,) = warned.details["warnings"]
    name = "the remote's certificate" if whose == "remote" else "the client certificate"
    assert warning.startswith(f"{name} (")
    assert " expires in 9 days, on " in warning
    down = lbkit.check("mtls", target, warning_days=10, critical_days=10, **options)
    assert (down.status, down.step, down.reason) == ("down", JUDGED[version], "certificate-expiring")
    assert down.message == warning


def test_an_expired_certificate_that_is_not_verified_is_down(ca, listener, door):
    context = ca.server_context(ca.issue("127.0.0.1", not_after=PAST))
    found = door("mtls", listener(serves(context)).target, verify=False)
    assert (found.status, found.reason) == ("down", "certificate-expiring")
    assert "expired 1 day ago" in found.message or "expired 2 days ago" in found.message


def test_by_default_30_days_are_a_warning(ca, listener):
    context = ca.server_context(ca.issue("127.0.0.1", not_after=NOW + timedelta(days=29, hours=23)))
    found = lbkit.check("mtls", listener(serves(context)).target, ca_file=ca.ca_file)
    assert (found.status, found.exit_code) == ("up", 1)


# --- a client that is to be refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ALERTS)
def test_a_refusal_that_is_expected_is_up(ca, clients, strict, version, listener, door, client):
    target = listener(serves(strict)).target
    found = door("mtls", target, ca_file=ca.ca_file, expect_refusal=True, **clients[client])
    assert (found.status, found.reason) == ("up", "ok"), found.message
    assert found.message == f"refuses this client, as expected: “{ALERTS[client][version.name]}”"


@pytest.mark.parametrize("how", [serves, holds])
def test_a_client_that_is_let_in_and_should_not_be_is_down(ca, strict, version, listener, door, how):
    found = door("mtls", listener(how(strict)).target, ca_file=ca.ca_file, expect_refusal=True, **identity(ca.client))
    assert found.verdict == ("down", JUDGED[version], "not-refused")
    assert "`lbkit check https-get --status 400 --match anything`" in found.message


def test_silence_is_no_refusal(ca, listener, door):
    target = listener(holds(without_tickets(ca.server_context(wants_client=True)))).target
    options = {"ca_file": ca.ca_file, "timeout": 0.8, "expect_refusal": True, **identity(ca.client)}
    assert door("mtls", target, **options).verdict == ("down", "client-certificate", "not-refused")


def stranger(ca, tmp_path):
    return serves(ThrowawayCA(tmp_path).server_context(wants_client=True))


def other_name(ca, tmp_path):
    return serves(ca.server_context(ca.issue("other.lbkit.test"), wants_client=True))


def other_ciphers(ca, tmp_path):
    """The same alert as for a missing client certificate, before one is asked for."""
    context = ca.server_context(wants_client=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("PSK")
    return serves(context)


def hears_and_resets(ca, tmp_path):
    def script(client):
        client.recv(4096)
        hang_up(client)

    return script


def resets_after_the_handshake(ca, tmp_path):
    context = without_tickets(ca.server_context(wants_client=True))
    context.verify_mode = ssl.CERT_OPTIONAL

    def script(client):
        secured = context.wrap_socket(client, server_side=True)
        with socket.socket(fileno=secured.detach()) as raw:
            hang_up(raw)

    return script


NO_PROOF = {
    "certificate-untrusted": stranger,
    "certificate-name": other_name,
    "tls-refused": other_ciphers,
    "not-tls": lambda ca, tmp_path: replies(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "closed": lambda ca, tmp_path: lambda client: client.recv(4096),
    "reset": hears_and_resets,
    "reset later": resets_after_the_handshake,
    "timed-out": lambda ca, tmp_path: silent,
}


@pytest.mark.parametrize("expect_refusal", [False, True])
@pytest.mark.parametrize("reason", NO_PROOF)
def test_what_proves_nothing_is_down_with_its_ordinary_reason(ca, tmp_path, listener, door, reason, expect_refusal):
    target = listener(NO_PROOF[reason](ca, tmp_path)).target
    timeout = 0.3 if reason == "timed-out" else 10.0
    found = door("mtls", target, ca_file=ca.ca_file, expect_refusal=expect_refusal, timeout=timeout)
    step = "client-certificate" if reason == "reset later" else "tls"
    assert found.verdict == ("down", step, reason.partition(" ")[0]), found.message
    assert "--tls" not in found.message
    assert "--no-tls" not in found.message


def test_a_connection_that_is_refused_proves_nothing(ca, listener, door):
    remote = listener(silent)
    remote.close()
    found = door("mtls", remote.target, expect_refusal=True)
    assert found.verdict == ("down", "connect", "refused")


def test_a_revoked_remote_proves_nothing(ca, listener, door):
    target = listener(serves(ca.server_context(wants_client=True))).target
    options = {"ca_file": ca.ca_file, "crl_file": ca.revocation_list(ca.server)}
    assert door("mtls", target, expect_refusal=True, **options).verdict == ("down", "tls", "certificate-revoked")


# --- many, and over time --------------------------------------------------------------------------------------------


def test_many_at_once_do_not_mix_up_who_was_asked(ca, listener):
    """The message callback is the context's, which all of them share."""
    asks, does_not = (listener(serves(ca.server_context(wants_client=wants))).target for wants in (True, False))

    async def run():
        targets = [asks, does_not] * 8
        options = {"ca_file": ca.ca_file, **identity(ca.client)}
        return [found async for found in lbkit.check_many("mtls", targets, **options)]

    for found in asyncio.run(run()):
        assert found.details["client_certificate_requested"] is (found.target == asks)


def test_a_renewed_certificate_is_used_and_told_by_the_next_check(ca, listener, tmp_path):
    expired = ca.issue("client.lbkit.test", not_after=PAST)
    one = tmp_path / "one.pem"

    def install(files):
        one.write_bytes(Path(files.cert_file).read_bytes() + Path(files.key_file).read_bytes())

    install(expired)
    check = MTLS.prepare({"ca_file": ca.ca_file, "cert_file": str(one)})
    target = check.target(listener(serves(ca.server_context(wants_client=True))).target)
    assert check.run(target).reason == "client-certificate-refused"
    install(ca.client)
    assert check.run(target).exit_code == 0
    one.unlink()
    old = check.run(target)
    assert (old.status, old.exit_code) == ("up", 1)
    assert old.details["warnings"][0].startswith(f"--cert-file: {one} can't be read")
