"""TLS below a conversation: a real handshake over memory buffers, and what is said when it fails."""

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lbkit.checks.conversation import Conversation, Lost, up
from lbkit.checks.tls import layer
from lbkit.errors import Misuse
from lbkit.testing import ThrowawayCA

PAST = datetime.now(UTC) - timedelta(days=1)
RESET = Lost("reset", "the remote reset the connection")


def hello():
    received = yield "greet", b"hello"
    return up(f"it says {received!r}", last_words=b"bye")


class Remote:
    """The server's side. It answers the first bytes it hears."""

    def __init__(self, context, answer=b"hi"):
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._answer = answer
        self._ready = False
        self.heard = b""
        self.closed = False
        self.error = None

    def take(self, data):
        self._in.write(data)
        try:
            if not self._ready:
                self._tls.do_handshake()
                self._ready = True
            while not self.closed:
                read = self._tls.read()
                self.closed = not read
                if read and not self.heard and self._answer:
                    self._tls.write(self._answer)
                self.heard += read
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as e:
            self.error = e
        return self._out.read()

    def say_goodbye(self):
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._out.read()


def talk_to(remote, host="127.0.0.1", protocol=hello, piece=None, **options):
    """Let a secured conversation and the remote talk until one of them has nothing to say; the conversation."""
    talk = layer(**options)(Conversation(protocol(), {"connect": 0.5}), host)
    now = 1.0
    to_send = talk.begin(now)
    while to_send:
        answer = remote.take(to_send)
        to_send = b""
        for chunk in (answer,) if piece is None else (answer[i : i + piece] for i in range(0, len(answer), piece)):
            now += 1.0
            if chunk and talk.outcome is None:
                to_send += talk.receive(chunk, now) or b""
    if talk.outcome is not None:
        remote.take(talk.farewell())
    return talk


def found(talk):
    assert talk.outcome is not None
    return talk.outcome.up, talk.outcome.step, talk.outcome.reason


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
    talk = layer(verify=False)(Conversation(hello(), {}), "host")
    talk.begin(0.0)
    assert talk.receive(answer, 1.0) is None
    assert found(talk) == (False, "tls", "not-tls")
    assert talk.steps == {"tls": 1.0}


@pytest.mark.parametrize("lost", [None, RESET, Lost("timed-out", "no answer within 5 s")])
def test_what_ends_during_the_handshake_ends_at_tls(lost):
    talk = layer(verify=False)(Conversation(hello(), {}), "host")
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


# --- files and names that can't be used -----------------------------------------------------------------------------


def misuse(**options):
    with pytest.raises(Misuse) as caught:
        layer(**options)
    return str(caught.value)


@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
def test_a_file_that_is_not_there_is_misuse(option, tmp_path):
    flag = "--" + option.replace("_", "-")
    path = str(tmp_path / "nowhere.pem")
    assert misuse(**{option: path}) == f"{flag}: {path} can't be read: No such file or directory."


@pytest.mark.parametrize("content", [b"", b"\x30\x82\x01\x0a", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\0" * 99])
@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
def test_a_file_that_is_no_pem_is_misuse(option, content, tmp_path):
    path = tmp_path / "odd.pem"
    path.write_bytes(content)
    said = misuse(**{option: str(path)})
    assert said.startswith(f"--{option.replace('_', '-')}: {path} can't be used: ")
    assert said.endswith("It must be PEM, and a key must be unencrypted.")


@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
def test_a_folder_is_misuse(option, tmp_path):
    assert str(tmp_path) in misuse(**{option: str(tmp_path)})


def test_a_key_needs_its_certificate():
    assert misuse(key_file="x.key") == "--key-file: a key needs its certificate. Give --cert-file too."


def secrets(path):
    return [line for line in Path(path).read_text().splitlines() if not line.startswith("-----")]


def test_the_key_of_another_certificate_is_misuse_and_stays_secret(throwaway_ca):
    one, other = throwaway_ca.client, throwaway_ca.server
    said = misuse(cert_file=one.cert_file, key_file=other.key_file)
    assert said.startswith(f"--key-file: {one.cert_file} {other.key_file} can't be used: key values mismatch")
    assert not [line for line in secrets(other.key_file) if line in said]


def test_a_key_in_place_of_a_certificate_is_misuse_and_stays_secret(throwaway_ca):
    key = throwaway_ca.client.key_file
    for options in ({"ca_file": key}, {"cert_file": key}, {"cert_file": key, "key_file": key}):
        said = misuse(**options)
        assert not [line for line in secrets(key) if line in said]


def test_an_encrypted_key_is_misuse_and_nobody_is_asked_for_a_passphrase(throwaway_ca, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(throwaway_ca.client.key_file).read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    said = misuse(cert_file=throwaway_ca.client.cert_file, key_file=str(encrypted))
    assert "a key must be unencrypted" in said
    assert "secret" not in said


@pytest.mark.parametrize("name", [".ccw", "a\0b", "x" * 300, "ü" * 70, "\udc80"], ids=range(5))
def test_a_server_name_that_tls_cannot_carry_is_misuse(name):
    said = misuse(verify=False, server_name=name)
    assert said == f"--server-name: {name!r} is no host name."
