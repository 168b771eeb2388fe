"""Where clients of a rendered VIP go while no real server serves: the fallback, the page, nowhere."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from interop import http_faults
from interop.clients import CHECK, VIP, asked, client, named, tally, until_closed
from interop.engines import haproxy, rendered, running, short
from interop.operated import Named
from interop.remotes import HOST, free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import Program
from lbkit.testing import Listener

__all__ = ["haproxy", "short"]


@pytest.fixture
def servers() -> Iterator[list[Named]]:
    made = [Named("a"), Named("b")]
    yield made
    for one in made:
        one.die()


def of(servers: list[Named]) -> list[dict[str, Any]]:
    return [server(one.name, f"{one.host}:{one.port}") for one in servers]


def test_the_fallback_serves_while_no_real_server_does_and_nobody_stays_on_it(
    short: Path, haproxy: Program, servers: list[Named]
) -> None:
    ports = {mode: free_port() for mode in ("none", "source-ip", "last-successful")}
    with ExitStack() as stack:
        fallback = stack.enter_context(named("fallback"))
        more = {"check": CHECK, "fallback": {"address": HOST, "port": fallback.port}, "scheduler": "first"}
        vips = [
            vip(mode, f"{VIP}:{port}", *of(servers), persistence={"mode": mode}, **more) for mode, port in ports.items()
        ]
        engine = stack.enter_context(running(short, rendered(short, *vips), haproxy))

        def seen(**wanted: str) -> None:
            for mode in ports:
                engine.wait_for(mode, wanted)

        seen(a="UP", b="UP")
        assert [tally(port, 5) for port in ports.values()] == [{"a": 5}] * 3
        servers[0].die()
        seen(a="DOWN", b="UP")
        assert [tally(port, 5) for port in ports.values()] == [{"b": 5}] * 3
        servers[1].die()
        seen(a="DOWN", b="DOWN")
        assert [tally(port, 5) for port in ports.values()] == [{"fallback": 5}] * 3
        servers[0].rise()
        seen(a="UP", b="DOWN")
        assert [tally(port, 20) for port in ports.values()] == [{"a": 20}] * 3
        assert "server_id=1000" not in engine.ask("show table source-ip") + engine.ask("show table last-successful")


def test_the_fallback_serves_while_all_real_servers_are_drained(
    short: Path, haproxy: Program, servers: list[Named]
) -> None:
    port = free_port()
    with named("fallback") as fallback:
        away = {"address": HOST, "port": fallback.port}
        one = vip("V", f"{VIP}:{port}", *of(servers), check=CHECK, fallback=away)
        with running(short, rendered(short, one), haproxy) as engine:
            engine.wait_for("V", {"a": "UP", "b": "UP"})
            for name in "ab":
                engine.ask(f"set server V/{name} state drain")
            assert tally(port, 5) == {"fallback": 5}
            engine.ask("set server V/b state ready")
            assert tally(port, 5) == {"b": 5}


@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_without_a_fallback_clients_are_sent_away_at_once(protocol: str, short: Path, haproxy: Program) -> None:
    port = free_port()
    one = vip("V", f"{VIP}:{port}", server("s", f"{HOST}:{free_port()}"), check=CHECK, protocol=protocol)
    with running(short, rendered(short, one), haproxy) as engine:
        engine.wait_for("V", {"s": "DOWN"})
        begun = time.monotonic()
        if protocol == "http":
            assert asked(port).startswith(b"HTTP/1.1 503 ")
        else:
            with client(port) as connection:
                assert until_closed(connection) == b""
        assert time.monotonic() - begun < 1


OWN = "<p>Call 1234: \"50% of 'x'\" $HOME %[src] é</p>\n"


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    "terms", [{}, {"proxy_protocol": True, "x_forwarded_for": True}], ids=["plain", "with-headers"]
)
def test_the_page_is_a_503_in_html(own: bool, terms: dict[str, Any], short: Path, haproxy: Program) -> None:
    port, page, at = free_port(), {"port": free_port()}, free_port()
    if own:
        (short / "own.html").write_text(OWN)
    away = {"address": HOST, "port": page["port"], "protocol": "http"}
    one = vip("V", f"{VIP}:{port}", server("s", f"{HOST}:{at}"), protocol="http", check=CHECK, fallback=away, **terms)
    files = rendered(short, one, fallback_page={**page, **({"file": "own.html"} if own else {})})
    with running(short, files, haproxy) as engine:
        engine.wait_for("V", {"s": "DOWN"})
        with closing(http.client.HTTPConnection(VIP, port, timeout=5)) as connection:
            for method in ("GET", "POST", "HEAD"):
                connection.request(method, "/any?x", body=b"x=1" if method == "POST" else None)
                answer = connection.getresponse()
                body = answer.read().decode()
                assert (answer.status, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
                assert (answer.headers["Retry-After"], answer.headers["Cache-Control"]) == ("30", "no-store")
                if method != "HEAD":
                    assert body == OWN if own else "test is not available at the moment" in body


def test_the_next_request_on_the_same_connection_leaves_the_page(short: Path, haproxy: Program) -> None:
    port, page = free_port(), free_port()
    with Listener(
        http_faults.Fault("", http_faults.UP, (http_faults.hear, http_faults.say(http_faults.WHOLE))).play
    ) as up:
        away = {"address": HOST, "port": page, "protocol": "http"}
        one = vip("V", f"{VIP}:{port}", server("s", up.target), protocol="http", check=CHECK, fallback=away)
        browser = closing(http.client.HTTPConnection(VIP, port, timeout=5))
        with (
            running(short, rendered(short, one, fallback_page={"port": page}), haproxy) as engine,
            browser as connection,
        ):
            statuses = []
            for state in ("maint", "ready", "maint"):
                engine.ask(f"set server V/s state {state}")
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
    assert statuses == [503, 200, 503]
