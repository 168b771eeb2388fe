"""What mail servers answer, TLS and login, and how the one of a domain is found."""

import socket
import ssl
import sys
import threading
import time
from contextlib import closing, suppress

import dns.resolver
import pytest
from interop.mail_server import MailServer, dns_server, server_context, who_knows
from interop.remotes import HOST
from unit.mail_site import mail_site

from lbkit.alerts import connection, smtp
from lbkit.alerts.smtp import Carrier

WORD = "open-sesame-7"
MAIL = "From: lb@hospital.example\r\nTo: ops@hospital.example\r\nSubject: A mail\r\n\r\nIt is one.\r\n.\r\n"


@pytest.fixture
def server():
    with MailServer() as one:
        yield one


# --- what a server answers ---


def carrier(tmp_path, port, **alerts):
    return Carrier(mail_site(tmp_path, smart_host_port=port, **alerts).alerts)


def send(carrier, *to):
    return carrier.send("lb@hospital.example", to or ("ops@hospital.example",), MAIL)


def test_a_mail_arrives_as_it_was_written(server, tmp_path):
    assert send(carrier(tmp_path, server.port)).taken == ("ops@hospital.example",)
    (mail,) = server.mails
    assert mail.get_content() == "It is one.\r\n.\r\n"
    name = socket.getfqdn()
    assert server.sessions[0].host_name == (name if "." in name else "[127.0.0.1]")


def test_recipients_that_are_refused_are_told_from_those_to_try_again(server, tmp_path):
    server.answers |= {"gone@a.example": "550 5.1.1 no \x1b[31msuch user", "busy@a.example": "451 4.3.0 try later"}
    outcome = send(carrier(tmp_path, server.port), "here@a.example", "gone@a.example", "busy@a.example")
    assert outcome.taken == ("here@a.example",)
    assert outcome.refused == {"gone@a.example": "550 5.1.1 no ?[31msuch user"}
    assert outcome.later == {"busy@a.example": "451 4.3.0 try later"}
    assert len(server.mails) == 1


@pytest.mark.parametrize(("reply", "part"), [("554 5.6.0 no", "refused"), ("452 4.2.2 full", "later")])
def test_a_mail_that_is_refused_as_a_whole_is_so_for_all(server, tmp_path, reply, part):
    server.answers[""] = reply
    outcome = send(carrier(tmp_path, server.port), "a@a.example", "b@b.example")
    assert getattr(outcome, part) == {"a@a.example": reply, "b@b.example": reply}
    assert outcome.taken == ()


# --- TLS and login ---


@pytest.fixture
def secured(throwaway_ca):
    context = server_context(throwaway_ca.server.cert_file, throwaway_ca.server.key_file)
    with MailServer(tls_context=context, authenticator=who_knows("lb", WORD)) as one:
        yield one


@pytest.fixture
def login(tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{WORD}\n")
    return {"user": "lb", "password_file": str(file)}


def test_tls_is_used_where_it_is_offered_whoever_the_server_is(secured, tmp_path):
    assert send(carrier(tmp_path, secured.port)).taken
    assert secured.sessions[0].ssl is not None


def test_never_is_never(secured, tmp_path):
    assert send(carrier(tmp_path, secured.port, starttls="never")).taken
    assert secured.sessions[0].ssl is None


def test_required_sends_to_a_server_that_shows_its_name(secured, tmp_path, throwaway_ca):
    strict = {"starttls": "required", "ca_file": throwaway_ca.ca_file}
    assert send(carrier(tmp_path, secured.port, **strict)).taken
    assert secured.sessions[0].ssl is not None


def test_required_sends_nothing_to_a_server_that_nobody_vouches_for(secured, tmp_path):
    outcome = send(carrier(tmp_path, secured.port, starttls="required"))
    assert "its certificate is not trusted: unable to get local issuer" in outcome.later["ops@hospital.example"]
    assert secured.mails == []


def test_required_sends_nothing_to_a_server_with_another_name(tmp_path, throwaway_ca):
    other = throwaway_ca.issue("other.example")
    with MailServer(tls_context=server_context(other.cert_file, other.key_file)) as server:
        outcome = send(carrier(tmp_path, server.port, starttls="required", ca_file=throwaway_ca.ca_file))
        assert "certificate is not trusted: IP address mismatch" in outcome.later["ops@hospital.example"]
        assert server.mails == []


def test_required_sends_nothing_to_a_server_without_tls(server, tmp_path):
    outcome = send(carrier(tmp_path, server.port, starttls="required"))
    assert "does not offer STARTTLS, and nothing is sent without" in outcome.later["ops@hospital.example"]
    assert server.mails == []


def test_a_server_that_offers_tls_and_cannot_do_it_gets_the_mail_without(tmp_path, throwaway_ca):
    context = server_context(throwaway_ca.server.cert_file, throwaway_ca.server.key_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED  # it wants a certificate of us: the handshake fails
    context.load_verify_locations(throwaway_ca.ca_file)
    with MailServer(tls_context=context) as server:
        assert send(carrier(tmp_path, server.port)).taken
        assert server.sessions[0].ssl is None


def test_it_logs_in_over_tls(secured, tmp_path, throwaway_ca, login):
    outcome = send(carrier(tmp_path, secured.port, ca_file=throwaway_ca.ca_file, **login))
    assert outcome.taken
    assert secured.sessions[0].authenticated


def test_a_password_is_given_to_nobody_but_the_server_that_is_meant(secured, tmp_path, login):
    outcome = send(carrier(tmp_path, secured.port, **login))  # its CA is not trusted
    assert "certificate is not trusted" in outcome.later["ops@hospital.example"]


def test_a_password_is_not_sent_in_the_clear(server, tmp_path, login):
    assert "does not offer STARTTLS" in send(carrier(tmp_path, server.port, **login)).later["ops@hospital.example"]
    never = carrier(tmp_path, server.port, starttls="never", **login)
    assert "nobody logs in without TLS" in send(never).later["ops@hospital.example"]


def test_a_wrong_password_is_in_no_error(secured, tmp_path, throwaway_ca, login):
    (tmp_path / "password").write_text("not-the-word")
    outcome = send(carrier(tmp_path, secured.port, ca_file=throwaway_ca.ca_file, **login))
    words = outcome.later["ops@hospital.example"]
    assert f"refuses the login of lb (535). Correct user, or {tmp_path}/password." in words
    assert "not-the-word" not in words


@pytest.mark.parametrize("content", [None, "", "pässwort"])
def test_a_password_that_cannot_be_used_is_said(secured, tmp_path, throwaway_ca, login, content):
    (tmp_path / "password").unlink()
    if content is not None:
        (tmp_path / "password").write_text(content)
    words = send(carrier(tmp_path, secured.port, ca_file=throwaway_ca.ca_file, **login)).later["ops@hospital.example"]
    assert "password" in words
    assert "pässwort" not in words


# --- servers that hang ---


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(connection, "STEP", 0.5)
    monkeypatch.setattr(connection, "ALTOGETHER", 1.0)


def speaking(behave):
    """Its port. `behave` has the connection."""
    listening = socket.create_server((HOST, 0))

    def serve():
        with closing(listening):
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                behave(connection)

    threading.Thread(target=serve, daemon=True).start()
    return listening.getsockname()[1]


def test_a_server_that_says_nothing_is_left_after_a_step(hurried, tmp_path):
    port = speaking(lambda connection: time.sleep(3))
    begun = time.monotonic()
    outcome = send(carrier(tmp_path, port))
    assert time.monotonic() - begun < 2
    assert "is silent for too long" in outcome.later["ops@hospital.example"]


def test_a_server_that_gives_each_byte_just_in_time_is_left_after_all(hurried, tmp_path):
    def drip(connection):
        for _ in range(100):
            connection.sendall(b"2")
            time.sleep(0.1)

    begun = time.monotonic()
    outcome = send(carrier(tmp_path, speaking(drip)))
    assert 0.9 < time.monotonic() - begun < 3
    assert outcome.later


def test_something_else_that_listens_there_is_no_mail_server(tmp_path):
    port = speaking(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert "127.0.0.1" in send(carrier(tmp_path, port)).later["ops@hospital.example"]


def test_a_server_that_is_away_is_asked_once_in_a_round(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        connection, "_connected", lambda *where: asked.append(where) or (_ for _ in ()).throw(TimeoutError())
    )
    one = carrier(tmp_path, 25)
    assert "does not answer" in send(one).later["ops@hospital.example"]
    assert "does not answer" in send(one).later["ops@hospital.example"]
    assert len(asked) == 1


# --- the domain's own mail server ---


@pytest.fixture
def domains(monkeypatch):
    """What the DNS says of domains."""
    records = {}

    with dns_server(records) as port:

        def pointed():
            one = dns.resolver.Resolver(configure=False)
            one.nameservers, one.port = [HOST], port
            return one

        monkeypatch.setattr("lbkit.alerts.mx.resolver", pointed)
        yield records


@pytest.fixture
def at_port(monkeypatch):
    def those(port):
        monkeypatch.setattr(smtp, "MX_PORT", port)

    return those


def direct(tmp_path):
    site = mail_site(tmp_path)
    return Carrier(site.alerts.model_copy(update={"smart_host": None}))


def test_without_a_smart_host_each_domain_gets_its_own(domains, at_port, tmp_path):
    with MailServer(host="127.0.0.2") as first, MailServer(first.port, host="127.0.0.3") as second:
        at_port(first.port)
        domains |= {"a.example": ["10 127.0.0.2."], "b.example": ["20 127.0.0.3."]}
        outcome = send(direct(tmp_path), "x@a.example", "y@B.example", "z@a.example")
        assert sorted(outcome.taken) == ["x@a.example", "y@B.example", "z@a.example"]
        assert [one.rcpt_tos for one in first.envelopes] == [["x@a.example", "z@a.example"]]
        assert [one.rcpt_tos for one in second.envelopes] == [["y@B.example"]]


def test_the_preferred_server_is_asked_first_and_the_next_where_it_is_away(domains, at_port, tmp_path):
    domains["a.example"] = ["20 127.0.0.3.", "10 127.0.0.2."]
    with MailServer(host="127.0.0.3") as second:
        at_port(second.port)
        with MailServer(second.port, host="127.0.0.2") as first:
            assert send(direct(tmp_path), "x@a.example").taken
            assert (len(first.mails), len(second.mails)) == (1, 0)
        assert send(direct(tmp_path), "x@a.example").taken
        assert len(second.mails) == 1


def test_a_domain_without_mx_is_its_own_mail_server(domains, at_port, tmp_path):
    domains["localhost"] = []
    with MailServer() as server:
        at_port(server.port)
        assert send(direct(tmp_path), "x@localhost").taken


def test_a_domain_that_takes_no_mail_is_refused_for_good(domains, tmp_path):
    domains["a.example"] = ["0 ."]
    assert send(direct(tmp_path), "x@a.example").refused == {"x@a.example": "a.example takes no mail (its MX says so)"}


def test_a_domain_that_the_dns_does_not_know_is_tried_again_and_keeps_no_other(domains, at_port, tmp_path):
    domains["a.example"] = ["10 127.0.0.1."]
    with MailServer() as server:
        at_port(server.port)
        outcome = send(direct(tmp_path), "x@a.example", "y@typo.example")
    assert outcome.taken == ("x@a.example",)
    assert outcome.later == {
        "y@typo.example": "the DNS knows no domain typo.example. Correct the address, or give a smart_host."
    }


def test_a_dns_that_does_not_answer_is_waited_for_so_long_and_no_longer(monkeypatch, tmp_path):
    monkeypatch.setattr("lbkit.alerts.mx._WITHIN", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        one = dns.resolver.Resolver(configure=False)
        one.nameservers, one.port = [HOST], silent.getsockname()[1]
        monkeypatch.setattr("lbkit.alerts.mx.resolver", lambda: one)
        outcome = send(direct(tmp_path), "x@a.example")
    assert "the DNS does not say who takes mail for a.example" in outcome.later["x@a.example"]


def test_without_dnspython_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    assert "pip install 'lbkit-core[mail]'" in send(direct(tmp_path), "x@a.example").later["x@a.example"]
