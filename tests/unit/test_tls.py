"""TLS below a conversation: a real handshake over memory buffers, and what is said when it fails."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from unit.tls_remote import Remote, found, hello, talk_to

from lbkit.checks.context import Terms
from lbkit.checks.conversation import Conversation, Lost, up
from lbkit.checks.tls import layer
from lbkit.testing import ThrowawayCA

PAST = datetime.now(UTC) - timedelta(days=1)
RESET = Lost("reset", "the remote reset the connection")


# --- it works -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [None, 1, 100])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_conversation_runs_inside_tls_and_ends_with_its_last_words_and_a_close_notify(throwaway_ca, version, piece):
    context = throwaway_ca.server_context()
    context.maximum_version = version
    remote = Remote(context)
    talk = talk_to(remote, ca_file=throwaway_ca.ca_file, piece=piece)
    assert found(talk) == (True, "greet", "ok")
    assert talk.outcome.message == "it says b'hi'"
    assert talk.outcome.details["tls"]["version"] == version.name.replace("_", ".")
    assert talk.outcome.details["tls"]["cipher"]
    assert list(talk.steps) == ["connect", "tls", "greet"]
    assert talk.steps["tls"] >= 1.0
    assert (remote.heard, remote.closed, remote.error) == (b"hellobye", True, None)


def test_a_protocol_that_says_nothing_is_up_after_the_handshake(throwaway_ca):
    def nothing():
        return up("takes TLS connections", "tls")
        yield

    remote = Remote(throwaway_ca.server_context())
    talk = talk_to(remote, protocol=nothing, ca_file=throwaway_ca.ca_file)
    assert found(talk) == (True, "tls", "ok")
    assert (remote.heard, remote.closed, remote.error) == (b"", True, None)


def test_the_name_that_is_asked_for_is_the_hosts_or_the_one_given(throwaway_ca):
    asked = []
    context = throwaway_ca.server_context(throwaway_ca.issue("ccw.example", "xn--bcher-kva.example"))
    context.sni_callback = lambda _tls, name, _context: asked.append(name)
    ca_file = throwaway_ca.ca_file
    assert talk_to(Remote(context), "ccw.example", ca_file=ca_file).outcome.up
    assert talk_to(Remote(context), "192.0.2.1", ca_file=ca_file, server_name="ccw.example").outcome.up
    assert talk_to(Remote(context), "bücher.example", ca_file=ca_file).outcome.up
    assert talk_to(Remote(context), "ccw.example.", ca_file=ca_file).outcome.up
    assert asked == ["ccw.example", "ccw.example", "xn--bcher-kva.example", "ccw.example"]


def test_a_client_certificate_is_shown_to_a_remote_that_wants_one(throwaway_ca):
    client = throwaway_ca.client
    remote = Remote(throwaway_ca.server_context(wants_client=True))
    files = {"ca_file": throwaway_ca.ca_file, "cert_file": client.cert_file, "key_file": client.key_file}
    assert talk_to(remote, **files).outcome.up


def test_the_key_may_stand_in_the_certificates_file(throwaway_ca, tmp_path):
    client = throwaway_ca.client
    both = tmp_path / "both.pem"
    both.write_bytes(Path(client.key_file).read_bytes() + Path(client.cert_file).read_bytes())
    remote = Remote(throwaway_ca.server_context(wants_client=True))
    assert talk_to(remote, ca_file=throwaway_ca.ca_file, cert_file=str(both)).outcome.up


def test_without_verification_any_certificate_will_do(throwaway_ca):
    context = throwaway_ca.server_context(throwaway_ca.issue("other.example", not_after=PAST))
    assert talk_to(Remote(context), verify=False).outcome.up


# --- the remote's certificate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["other.example", "192.0.2.1"])
def test_a_certificate_for_another_name_is_down_and_named(throwaway_ca, host):
    remote = Remote(throwaway_ca.server_context())
    talk = talk_to(remote, host, ca_file=throwaway_ca.ca_file)
    assert found(talk) == (False, "tls", "certificate-name")
    assert host in talk.outcome.message
    assert ".." not in talk.outcome.message
    assert talk.outcome.message.endswith("Give --server-name, or correct the certificate.")
    assert remote.heard == b""


def test_a_certificate_of_a_ca_that_is_not_ours_is_down(throwaway_ca, tmp_path):
    talk = talk_to(Remote(ThrowawayCA(tmp_path).server_context()), ca_file=throwaway_ca.ca_file)
    assert found(talk) == (False, "tls", "certificate-untrusted")
    assert "Give its CA with --ca-file." in talk.outcome.message


def test_without_a_ca_file_the_systems_cas_count(throwaway_ca):
    assert found(talk_to(Remote(throwaway_ca.server_context()))) == (False, "tls", "certificate-untrusted")


def test_an_expired_certificate_is_down(throwaway_ca):
    context = throwaway_ca.server_context(throwaway_ca.issue("127.0.0.1", not_after=PAST))
    talk = talk_to(Remote(context), ca_file=throwaway_ca.ca_file)
    assert found(talk) == (False, "tls", "certificate-expired")
    assert talk.outcome.message == "the remote's certificate has expired. Renew it there; check both clocks."


# --- our certificate ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "alert", "advice"),
    [
        (None, "certificate required", "Give --cert-file and --key-file."),
        ("stranger", "unknown ca", "Give a certificate of a CA that the remote trusts"),
        ("expired", "certificate expired", "Renew the client certificate."),
    ],
)
def test_a_late_alert_about_our_certificate_is_named(throwaway_ca, tmp_path, client, alert, advice):
    """TLS 1.3: our side of the handshake is over when the remote looks at our certificate."""
    identity = {
        None: lambda: None,
        "stranger": lambda: ThrowawayCA(tmp_path).client,
        "expired": lambda: throwaway_ca.issue("client.lbkit.test", not_after=PAST),
    }[client]()
    files = {"cert_file": identity.cert_file, "key_file": identity.key_file} if identity else {}
    talk = talk_to(Remote(throwaway_ca.server_context(wants_client=True)), ca_file=throwaway_ca.ca_file, **files)
    assert found(talk) == (False, "tls", "client-certificate-refused")
    assert f"“{alert}”. {advice}" in talk.outcome.message
    assert talk.outcome.details["tls"]["version"] == "TLSv1.3"


def test_in_tls_1_2_a_missing_certificate_is_a_handshake_failure(throwaway_ca):
    context = throwaway_ca.server_context(wants_client=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    talk = talk_to(Remote(context), ca_file=throwaway_ca.ca_file)
    assert found(talk) == (False, "tls", "tls-refused")
    assert "“handshake failure”" in talk.outcome.message
    assert "--cert-file" in talk.outcome.message


def test_a_remote_of_other_ciphers_refuses_the_session(throwaway_ca):
    context = throwaway_ca.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("PSK")
    assert found(talk_to(Remote(context), ca_file=throwaway_ca.ca_file)) == (False, "tls", "tls-refused")


# --- no TLS, or no more ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\3\0\0\0\0\4\0\1\1\1",
        b"\xff" * 9,
        b"220 mail\r\n",
    ],
)
def test_what_does_not_answer_in_tls_is_named_so(answer):
    talk = layer(Terms(verify=False))(Conversation(hello(), {}), "host")
    talk.begin(0.0)
    assert talk.receive(answer, 1.0) is None
    assert found(talk) == (False, "tls", "not-tls")
    assert talk.steps == {"tls": 1.0}


@pytest.mark.parametrize("lost", [None, RESET, Lost("timed-out", "no answer within 5 s")])
def test_what_ends_during_the_handshake_ends_at_tls(lost):
    talk = layer(Terms(verify=False))(Conversation(hello(), {}), "host")
    talk.begin(0.0)
    if lost is None:
        assert talk.receive(b"", 2.0) is None
    else:
        talk.lose(lost, 2.0)
    assert found(talk) == (False, "tls", lost.reason if lost else "closed")
    assert "during the TLS handshake" in talk.outcome.message
    assert talk.steps == {"tls": 2.0}
    talk.farewell()


@pytest.mark.parametrize("politely", [False, True])
def test_the_end_of_the_stream_with_or_without_a_close_notify_reaches_the_protocol(throwaway_ca, politely):
    remote = Remote(throwaway_ca.server_context(), answer=b"")
    talk = talk_to(remote, protocol=patient, ca_file=throwaway_ca.ca_file)
    assert talk.outcome is None
    assert talk.receive(remote.say_goodbye() if politely else b"", 9.0) is None
    assert found(talk) == (False, "greet", "closed")
    assert talk.outcome.message == "the remote closed the connection"


def patient():
    yield "greet", b"hello"
    yield "greet", b""
    return up("never")


def test_what_ends_the_connection_later_reaches_the_protocol_at_its_step(throwaway_ca):
    talk = talk_to(Remote(throwaway_ca.server_context(), answer=b""), protocol=patient, ca_file=throwaway_ca.ca_file)
    talk.lose(RESET, 9.0)
    assert found(talk) == (False, "greet", "reset")
    assert "tls" in talk.outcome.details


def test_garbage_inside_a_session_is_a_failure_of_tls(throwaway_ca):
    talk = talk_to(Remote(throwaway_ca.server_context(), answer=b""), protocol=patient, ca_file=throwaway_ca.ca_file)
    assert talk.receive(b"\x17\x03\x03\x00\x20" + bytes(32), 9.0) is None
    assert found(talk) == (False, "tls", "tls-failed")
    assert talk.outcome.message.isprintable()
    talk.farewell()
