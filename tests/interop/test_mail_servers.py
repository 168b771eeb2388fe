"""What mail servers answer, TLS and login."""

import binascii
import socket
import ssl
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest
from interop.mail_server import MailServer, server_context, who_knows
from interop.remotes import HOST
from unit.mail_site import mail_site

from lbkit.alerts import connection
from lbkit.alerts.outbox import Outbox, Waiting
from lbkit.alerts.smtp import Carrier

WORD = "open-sesame-7"
MAIL = "From: lb@hospital.example\r\nTo: ops@hospital.example\r\nSubject: A mail\r\n\r\nIt is one.\r\n.\r\n"


@pytest.fixture
def server():
    with MailServer() as one:
        yield one


HANG_UP = ""


@pytest.fixture
def scripted():
    """Makes a server that answers each line, and `.`, as it is told, else as one that takes all; its port, and the lines."""
    with ExitStack() as stack:

        def made(answers):
            heard = []
            listening = stack.enter_context(socket.create_server((HOST, 0)))
            threading.Thread(target=_serve, args=(listening, answers, heard), daemon=True).start()
            return listening.getsockname()[1], heard

        yield made


def _hello():
    name = socket.getfqdn()
    return f"ehlo {name if '.' in name else '[127.0.0.1]'}"


def _serve(listening, answers, heard):
    with suppress(OSError):
        while True:
            with listening.accept()[0] as connection, connection.makefile("rb") as lines, suppress(OSError):
                connection.sendall(b"220 here\r\n")
                _converse(connection, lines, answers, heard)


def _converse(connection, lines, answers, heard):
    is_mail = False
    for raw in lines:
        line = raw.decode("latin-1").strip()
        if is_mail and line != ".":
            continue
        heard.append(line)
        is_mail = line == "data"
        said = answers.get(line, "354 go on" if is_mail else "250 OK")
        said = said() if callable(said) else said
        if said == HANG_UP:
            return
        connection.sendall(f"{said}\r\n".encode())


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


def test_who_was_taken_before_a_server_hung_up_does_not_have_the_mail(scripted, tmp_path):
    port, heard = scripted({"rcpt TO:<b@b.example>": "421 4.7.0 too many"})
    outcome = send(carrier(tmp_path, port), "a@a.example", "b@b.example", "c@c.example")
    assert outcome.taken == ()
    assert outcome.later == dict.fromkeys(("a@a.example", "b@b.example", "c@c.example"), "421 4.7.0 too many")
    assert "data" not in heard


def test_a_sender_that_is_refused_keeps_no_mail_of_another(scripted, tmp_path):
    port, _ = scripted({"mail FROM:<web@hospital.example>": "550 5.7.1 not yours"})
    one = carrier(tmp_path, port)
    refused = one.send("web@hospital.example", ["ops@hospital.example"], MAIL).later["ops@hospital.example"]
    assert "takes no mail from web@hospital.example: 550 5.7.1 not yours" in refused
    assert send(one).taken


def test_a_mail_over_which_a_server_hangs_up_keeps_no_other(scripted, tmp_path):
    answers = {".": HANG_UP}
    port, _ = scripted(answers)
    one = carrier(tmp_path, port)
    assert "hangs up" in send(one).later["ops@hospital.example"]
    del answers["."]
    assert send(one).taken


def test_a_mail_over_which_a_server_hangs_up_waits_its_time_whatever_else_goes_out(scripted, tmp_path):
    """It may have it already."""
    answers = {".": HANG_UP}
    port, heard = scripted(answers)
    now = [0.0]
    outbox = Outbox(lambda mails: mails[0], lambda: now[0])
    for moment, answer in ((0.0, HANG_UP), (2.0, "250 OK"), (30.0, "250 OK")):
        now[0], answers["."] = moment, answer
        if moment < 30:
            to = ("ops@hospital.example",)
            outbox.add(Waiting(f"i{moment}", "A mail", "lb@hospital.example", to, MAIL, moment, moment))
        outbox.send(carrier(tmp_path, port), lambda: None)
        assert [one.ident for one in outbox] == (["i0.0"] if moment < 30 else [])
    assert heard.count(".") == 3


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


@pytest.mark.parametrize("answer", ["454 4.7.0 TLS not available due to local problem", HANG_UP])
def test_a_server_that_takes_tls_back_gets_the_mail_without_unless_it_is_required(scripted, tmp_path, answer):
    port, _ = scripted({_hello(): "250-here\r\n250 STARTTLS", "STARTTLS": answer})
    assert send(carrier(tmp_path, port)).taken
    assert send(carrier(tmp_path, port, starttls="required")).later


def test_a_server_that_asks_for_the_password_in_no_language_is_said_so(throwaway_ca, tmp_path, login, monkeypatch):
    def ask(*_, **more):
        raise binascii.Error("Incorrect padding")

    monkeypatch.setattr("smtplib.SMTP.auth", ask)
    context = server_context(throwaway_ca.server.cert_file, throwaway_ca.server.key_file)
    with MailServer(tls_context=context, authenticator=who_knows("lb", WORD)) as server:
        outcome = send(carrier(tmp_path, server.port, ca_file=throwaway_ca.ca_file, **login))
    assert "Is that a mail server?" in outcome.later["ops@hospital.example"]


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


def test_the_answer_to_a_mail_is_waited_for_longer_while_filters_read_it(hurried, monkeypatch, scripted, tmp_path):
    monkeypatch.setattr(connection, "ALTOGETHER", 10.0)

    def read():
        time.sleep(0.8)
        return "250 taken"

    port, _ = scripted({".": read})
    assert send(carrier(tmp_path, port)).taken


def test_something_else_that_listens_there_is_no_mail_server(tmp_path):
    port = speaking(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert "Is that a mail server?" in send(carrier(tmp_path, port)).later["ops@hospital.example"]


def test_a_server_that_is_away_is_asked_once_in_a_round(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        connection, "_connected", lambda *where: asked.append(where) or (_ for _ in ()).throw(TimeoutError())
    )
    one = carrier(tmp_path, 25)
    assert "does not answer" in send(one).later["ops@hospital.example"]
    assert "does not answer" in send(one).later["ops@hospital.example"]
    assert len(asked) == 1
