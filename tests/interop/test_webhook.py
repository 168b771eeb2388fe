"""The receiver `webhook` against real HTTP servers, which verify what they get by RFC 2104 themselves."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import ssl
import threading
import time
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
from interop.agents import eventually
from interop.hook import Hook
from interop.operated import own_port
from interop.remotes import HOST
from unit.site_text import server, site, vip

from lbkit.agent.receivers import Receivers
from lbkit.errors import CannotRun, Misuse
from lbkit.lint import lint
from lbkit.site.load import load_site
from lbkit.state.events import Event
from lbkit.state.log import EventLog, Place
from lbkit.state.places import Places
from lbkit.state.receiver_plugins import ReceiverPlugins
from lbkit.testing import ThrowawayCA
from lbkit_webhook import _hang_up

KEY = b"a key that nobody guesses"
DOWN = Event("server-down", "A/a is down: umlauts ä and \u2028 too", "lb1", 1.5, "A", "a", reason="refused")


def signature(key: bytes, body: bytes) -> str:
    """RFC 2104, by its own definition: H(K xor opad, H(K xor ipad, text))."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(one ^ 0x36 for one in padded) + body).digest()
    return hashlib.sha256(bytes(one ^ 0x5C for one in padded) + inner).hexdigest()


@pytest.fixture
def hook():
    with Hook() as one:
        yield one


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "webhook.secret"
    file.write_bytes(KEY + b"\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def send(secret):
    """`send(url, event, active=True, **settings)`: as the agent does."""
    kind = ReceiverPlugins().kind("webhook")

    def send(url, event=DOWN, active=True, **more):
        kind.take(event, kind.read({"url": url, "secret_file": str(secret), **more}), active)

    return send


def test_an_event_comes_as_signed_json(send, hook):
    send(hook.url)
    ((path, headers, body),) = hook.got
    assert path == "/lbkit/private-path?x=1"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Lbkit-Event"] == "server-down"
    assert headers["X-Lbkit-Delivery"] == DOWN.ident
    assert headers["X-Lbkit-Signature"] == f"sha256={signature(KEY, body)}"
    assert json.loads(body) == {**DOWN.as_dict(), "level": "warning"}
    assert Event.of(json.loads(body)) == DOWN


def test_a_new_key_is_in_force_with_the_next_event(send, hook, secret):
    send(hook.url)
    secret.write_bytes(b"another")
    send(hook.url)
    assert [headers["X-Lbkit-Signature"] for _, headers, _ in hook.got] == [
        f"sha256={signature(key, body)}" for key, (_, _, body) in zip((KEY, b"another"), hook.got, strict=True)
    ]


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_takes_it(send, hook, status):
    hook.answers.append(status)
    send(hook.url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 429, 500, 503])
def test_whatever_is_not_taken_comes_again(send, hook, status):
    hook.answers.append(status)
    with pytest.raises(CannotRun, match=rf"^{HOST}:{hook.port} has not taken an event: HTTP status {status}\. "):
        send(hook.url, Event("test", "x", when=time.time() - 3600))


@pytest.mark.parametrize(
    ("status", "is_given_up"), [(400, True), (403, True), (408, False), (429, False), (503, False)]
)
def test_what_is_still_refused_after_a_day_is_given_up_and_logged(send, hook, status, is_given_up, caplog):
    hook.answers.append(status)
    with nullcontext() if is_given_up else pytest.raises(CannotRun):
        send(hook.url, old := Event("test", "x", when=time.time() - 90_000))
    said = f"{HOST}:{hook.port} has refused event {old.ident} for a day, and does not get it: HTTP status {status}"
    assert caplog.messages == ([said] if is_given_up else [])


def test_a_redirect_is_not_followed(send, hook):
    with Hook() as other:
        hook.answers.append(302)
        hook.location = other.url
        with pytest.raises(CannotRun, match="HTTP status 302"):
            send(hook.url)
        assert other.got == []


def test_an_answer_without_end_is_not_read(send, hook):
    hook.body = b"x" * (64 << 20)
    begin = time.monotonic()
    send(hook.url)
    assert time.monotonic() - begin < 5.0


def test_nobody_there_is_said(send):
    port = own_port()
    with pytest.raises(CannotRun, match=rf"{HOST}:{port} has not taken an event: Connection refused\. Check it"):
        send(f"http://{HOST}:{port}/private-path")


@pytest.mark.parametrize(
    ("trickle", "how"),
    [
        (b"", pytest.raises(CannotRun)),
        (b"HTTP/1.1 200 OK\r\n", nullcontext()),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", nullcontext()),
    ],
)
def test_it_waits_no_longer_than_it_may_whatever_trickles(send, listener, trickle, how):
    ended = threading.Event()

    def say(client):
        client.recv(65536)
        client.sendall(trickle)
        while not ended.wait(0.05):
            client.sendall(b"x")

    remote = listener(say)
    begin = time.monotonic()
    try:
        with how:
            send(f"http://{HOST}:{remote.port}/", timeout="500ms")
        assert time.monotonic() - begin < 3.0
    finally:
        ended.set()


def test_one_that_is_connected_too_late_is_cut_too():
    """Where the first of a host's addresses is dead there is nothing to cut when the time is over."""
    ended, late = threading.Event(), SimpleNamespace(sock=None)
    cutting = threading.Thread(target=_hang_up, args=(late, 0.05, ended))
    cutting.start()
    time.sleep(0.2)
    remote, late.sock = socket.socketpair()
    with remote, late.sock:
        remote.settimeout(5)
        assert remote.recv(1) == b""
        ended.set()
        cutting.join(5)


def test_half_of_a_surrogate_pair_keeps_no_event_back(send, hook):
    send(hook.url, Event("test", "a \ud800 b"))
    assert json.loads(hook.got[0][2])["text"] == "a \ud800 b"


def test_garbage_is_no_answer(send, listener):
    remote = listener(lambda client: (client.recv(65536), client.sendall(b"220 mail.example ESMTP\r\n")))
    with pytest.raises(CannotRun, match="has not taken an event"):
        send(f"http://{HOST}:{remote.port}/")


# --- TLS ---


@contextmanager
def in_tls(ca: ThrowawayCA):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = ca.issue(HOST)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    with Hook(context) as hook:
        yield hook, f"https://{HOST}:{hook.port}/"


def test_it_speaks_tls_to_a_server_of_the_ca(send, throwaway_ca):
    with in_tls(throwaway_ca) as (hook, url):
        send(url, ca_file=throwaway_ca.ca_file)
        assert len(hook.got) == 1


def test_a_server_of_another_ca_gets_nothing(send, throwaway_ca, tmp_path):
    (tmp_path / "other").mkdir()
    with in_tls(ThrowawayCA(tmp_path / "other")) as (hook, url):
        for more in ({"ca_file": throwaway_ca.ca_file}, {}):
            with pytest.raises(CannotRun, match=r"has not taken an event: .*certificate"):
                send(url, **more)
        assert hook.got == []


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), ("none", "it holds no certificate")])
def test_cas_that_can_t_be_used_are_named(send, tmp_path, content, why):
    cas = tmp_path / "cas.pem"
    if content:
        cas.write_text(content)
    with pytest.raises(CannotRun, match=rf"^{cas} can't be used as ca_file in \[alerts\.receivers\.webhook\]: {why}"):
        send(f"https://{HOST}:1/", ca_file=str(cas))


# --- what is sent ---


@pytest.mark.parametrize(
    ("level", "sent"),
    [
        ("info", ["server-up", "server-down", "vip-down", "test"]),
        ("warning", ["server-down", "vip-down", "test"]),
        ("alarm", ["vip-down", "test"]),
    ],
)
def test_a_level_leaves_out_what_is_below_it_but_never_a_test(send, hook, level, sent):
    for kind in ("server-up", "server-down", "vip-down", "test"):
        send(hook.url, Event(kind, "x"), level=level)
    assert [headers["X-Lbkit-Event"] for _, headers, _ in hook.got] == sent


def test_of_a_pair_the_active_node_sends_or_both_where_that_is_asked_for(send, hook):
    send(hook.url, active=False)
    assert hook.got == []
    send(hook.url, active=False, only_active=False)
    assert len(hook.got) == 1


def test_a_test_is_sent_from_where_it_was_asked_for(send, hook):
    send(hook.url, Event("test", "x"), active=False)
    assert len(hook.got) == 1


def test_no_word_of_it_has_the_key_or_the_path(send, hook, secret, caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    for status, when in ((500, 1.0), (404, 1.0), (404, time.time())):
        hook.answers.append(status)
        try:
            send(hook.url, Event("test", "x", when=when))
        except CannotRun as e:
            said.append(str(e))
    secret.write_bytes(b"")
    with pytest.raises(Misuse, match="is empty") as caught:
        send(hook.url)
    whole = "\n".join((*said, str(caught.value), caplog.text))
    assert "HTTP status" in whole
    assert not [word for word in (KEY.decode(), "private-path") if word in whole]


# --- in the agent, from a site file ---


def site_file(folder, **settings):
    alerts = {"sender": "lb@example.org", "to": ["a@example.org"], "receivers": {"webhook": settings}}
    (folder / "site.toml").write_text(site(vip("A", "192.0.2.1:80", server("a", "192.0.2.2:80")), alerts=alerts))
    return folder / "site.toml"


def test_the_agent_sends_each_event_until_it_is_taken_in_order_and_over_a_restart(tmp_path, hook, secret, monkeypatch):
    state = tmp_path / "state"
    monkeypatch.setattr("lbkit.agent.receivers._mail", lambda site, state: 1 / 0)  # has tests of its own
    loaded = load_site(site_file(tmp_path, url=hook.url, secret_file="webhook.secret"), {})
    Places(state).keep("webhook", Place())
    events = [Event("test", str(number), "lb1", 1.0) for number in range(3)]
    EventLog(state).append(events)
    hook.answers = [200, 500, 500]
    for _ in range(2):
        receivers = Receivers(loaded, state)
        receivers.start()
        receivers.tell(True)
        try:
            eventually(lambda receivers=receivers: len(hook.got) == 5 or receivers.state["webhook"])
            assert len(hook.got) == 5 or "HTTP status 500" in receivers.state["webhook"]
        finally:
            receivers.stop()
    assert [headers["X-Lbkit-Delivery"] for _, headers, _ in hook.got[:3]] == [
        events[0].ident,
        *[events[1].ident] * 2,
    ]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://a.example/", "this is no URL"),
        ("https:///x", "this is no URL"),
        ("https://a.example/a b", "this is no URL"),
        ("https://a.example:0/", "this is no URL"),
        ("https://a.example:70000/", "this is no URL"),
        ("https://a..example/", "this is no URL"),
        ("https://a.example/x#y", "this is no URL"),
        ("https://me:secret/x@a.example/", "this is no URL"),
        ("https://me:secret@a.example/", "a URL holds no user and password here"),
    ],
)
def test_lint_says_what_is_wrong_with_an_url_and_quotes_none(tmp_path, secret, url, said):
    found = lint(site_file(tmp_path, url=url, secret_file="webhook.secret"), {})
    (wrong,) = [str(one) for one in found if one.key == "alerts.receivers.webhook.url"]
    assert said in wrong
    assert ":secret" not in wrong
    assert "'secret'" not in wrong
