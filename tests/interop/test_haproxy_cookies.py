"""Cookie persistence, and moving its clients elsewhere while HAProxy runs, with real requests."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from interop.engines import Running, haproxy, rendered, running, short
from interop.remotes import HOST, free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import Program
from lbkit.testing import Listener

__all__ = ["haproxy", "short"]

LABEL = "GLOBAL.x-1"  # what a label may have that a cookie's name, a pattern or HAProxy could take for something else
COOKIE = f"lb-{LABEL}"


def web_server(name: str) -> Listener:
    """Answers its name and the cookies that it was sent, as long as the connection lives."""

    def serve(client):
        while head := read_head(client):
            cookies = [line[7:].strip() for line in head.split("\r\n") if line.lower().startswith("cookie:")]
            body = f"{name}|{';'.join(cookies)}".encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return Listener(serve)


def read_head(client) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = client.recv(65536)
        if not more:
            return ""
        head += more
    return head.decode()


class Browser:
    """Keeps the cookies that it is given, and its connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=5)
        self.cookies = {"app": "a=b,c", "other": "1"}
        self.given = 0

    def get(self) -> tuple[str, str]:
        """The name of the server, and the cookies that it saw."""
        self._connection.request("GET", "/", headers={"Cookie": "; ".join(map("=".join, self.cookies.items()))})
        answer = self._connection.getresponse()
        if cookie := answer.getheader("Set-Cookie"):
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        found, _, seen = answer.read().decode().partition("|")
        return found, seen

    def close(self) -> None:
        self._connection.close()


@contextmanager
def balanced(folder: Path, program: Program, **persistence: str) -> Iterator[tuple[Running, int]]:
    port = free_port()
    with ExitStack() as stack:
        servers = [
            server(name, stack.enter_context(web_server(name)).target) for name in ("first", "second.b", "third")
        ]
        one = vip(
            LABEL,
            f"{HOST}:{port}",
            *servers,
            protocol="http",
            scheduler="round-robin",
            persistence={"mode": "http-cookie", **persistence},
        )
        yield stack.enter_context(running(folder, rendered(folder, one), program)), port


@pytest.fixture(params=[{}, {"timeout": "1h"}], ids=["session", "maxidle"])
def balancer(request, short, haproxy):
    with balanced(short, haproxy, **request.param) as found:
        yield found


@pytest.fixture
def browser(balancer):
    browser = Browser(balancer[1])
    yield browser
    browser.close()


def test_a_client_stays_where_its_first_request_went(browser):
    first, _ = browser.get()
    assert {browser.get()[0] for _ in range(6)} == {first}
    assert browser.cookies[COOKIE].partition("|")[0] == first


def test_the_server_does_not_see_the_balancers_cookie_and_sees_all_others(browser):
    browser.get()
    assert browser.get()[1].replace(" ", "").rstrip(";") == "app=a=b,c;other=1"


def test_a_client_that_is_moved_goes_elsewhere_once_gets_a_new_cookie_and_stays(balancer, browser):
    engine, _ = balancer
    before, _ = browser.get()
    assert engine.ask(f"add acl lists/{LABEL}.acl {before}").strip() == ""
    engine.ask(f"set server {LABEL}/{before} state drain")
    after = [browser.get() for _ in range(6)]
    assert before not in {name for name, _ in after}
    assert len({name for name, _ in after}) == 1
    assert browser.cookies[COOKIE].partition("|")[0] == after[0][0]
    assert {seen.replace(" ", "").rstrip(";") for _, seen in after} == {"app=a=b,c;other=1"}


def test_without_the_list_a_drained_server_keeps_its_clients_and_the_others_do_not_move(balancer, browser):
    engine, port = balancer
    before, _ = browser.get()
    engine.ask(f"set server {LABEL}/{before} state drain")
    assert {browser.get()[0] for _ in range(3)} == {before}
    other = Browser(port)
    stays, _ = other.get()
    assert stays != before
    engine.ask(f"add acl lists/{LABEL}.acl {before}")
    assert {other.get()[0] for _ in range(3)} == {stays}
    assert browser.get()[0] != before
    other.close()


def test_moving_ends_with_the_list(balancer, browser):
    engine, _ = balancer
    before, _ = browser.get()
    engine.ask(f"add acl lists/{LABEL}.acl {before}")
    engine.ask(f"clear acl lists/{LABEL}.acl")
    assert {browser.get()[0] for _ in range(3)} == {before}
