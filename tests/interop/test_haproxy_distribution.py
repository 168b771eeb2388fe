"""Which real server a rendered VIP gives a new client, and when it ends a silent one."""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from interop import http_faults
from interop.clients import CHECK, GET, VIP, client, echo, eventually, named, says, tally
from interop.engines import haproxy, rendered, running, short
from interop.remotes import free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import Program
from lbkit.testing import Listener

__all__ = ["haproxy", "short"]


@pytest.mark.parametrize(
    ("scheduler", "weights", "one_by_one", "at_once"),
    [
        ("round-robin", (100, 100, 100), (10, 10, 10), (10, 10, 10)),
        ("round-robin", (20, 10, 0), (20, 10, 0), (20, 10, 0)),
        ("least-connections", (100, 100, 100), None, (10, 10, 10)),
        ("least-connections", (200, 100, 0), None, (20, 10, 0)),
        ("first", (100, 100, 100), (30, 0, 0), (30, 0, 0)),
        ("first", (0, 1, 256), (0, 30, 0), (0, 30, 0)),
    ],
)
def test_30_clients_are_distributed(
    scheduler: str, weights: tuple[int, ...], one_by_one: Any, at_once: Any, short: Path, haproxy: Program
) -> None:
    port = free_port()
    with ExitStack() as stack:
        servers = [
            server(name, stack.enter_context(named(name)).target, weight=weight)
            for name, weight in zip("abc", weights, strict=True)
        ]
        one = vip("V", f"{VIP}:{port}", *servers, check=CHECK, scheduler=scheduler)
        engine = stack.enter_context(running(short, rendered(short, one), haproxy))
        engine.checked("V")
        if one_by_one:
            assert tally(port, 30) == counted(one_by_one)
        held = [stack.enter_context(client(port)) for _ in range(30)]
        assert Counter(each.recv(9).decode() for each in held) == counted(at_once)


def counted(numbers: tuple[int, ...]) -> Counter[str]:
    return Counter({name: number for name, number in zip("abc", numbers, strict=True) if number})


def test_least_connections_counts_those_that_are_open(short: Path, haproxy: Program) -> None:
    port = free_port()
    with ExitStack() as stack:
        servers = [server(name, stack.enter_context(named(name)).target) for name in "ab"]
        one = vip("V", f"{VIP}:{port}", *servers, check=CHECK)
        engine = stack.enter_context(running(short, rendered(short, one), haproxy))
        engine.wait_for("V", {"a": "UP", "b": "UP"})
        held = [stack.enter_context(client(port)) for _ in range(12)]
        for each in [each for each in held if each.recv(9) == b"b"]:
            each.close()
        eventually(lambda: engine.stat("V")["b"]["scur"] == "0")
        later = [stack.enter_context(client(port)) for _ in range(6)]
        assert [each.recv(9) for each in later] == [b"b"] * 6


SHORT = "600ms"
REQUESTS = {"asked": GET.replace(b"Connection: close\r\n", b""), "unanswered": GET}


def silence(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def answers_once(connection: socket.socket) -> None:
    http_faults.hear(connection)
    connection.sendall(http_faults.WHOLE)
    connection.recv(1)


def test_silent_connections_end_when_their_time_is_up_and_no_others(short: Path, haproxy: Program) -> None:
    with ExitStack() as stack:
        to = {play: stack.enter_context(Listener(play)).target for play in (echo, silence, answers_once)}
        vips = [
            vip("client", f"{VIP}:{free_port()}", server("s", to[echo]), client_timeout=SHORT),
            vip("server", f"{VIP}:{free_port()}", server("s", to[echo]), server_timeout=SHORT),
            vip("asked", f"{VIP}:{free_port()}", server("s", to[answers_once]), client_timeout=SHORT, protocol="http"),
            vip("unanswered", f"{VIP}:{free_port()}", server("s", to[silence]), server_timeout=SHORT, protocol="http"),
        ]
        ports = {one["label"]: one["ports"][0] for one in vips}
        files = rendered(short, *[{**one, "check": CHECK} for one in vips])
        engine = stack.enter_context(running(short, files, haproxy))
        for label in ports:
            engine.wait_for(label, {"s": "UP"})
        silent = {stack.enter_context(client(port)): label for label, port in ports.items()}
        for connection, label in silent.items():
            if label in REQUESTS:
                connection.sendall(REQUESTS[label])
        talking = [stack.enter_context(client(ports[label])) for label in ("client", "server")]
        begun, told, ended = time.monotonic(), dict.fromkeys(ports, b""), {}
        while time.monotonic() < begun + 1.5:
            assert [says(one, b"x") for one in talking] == [b"x", b"x"]
            waiting = [one for one, label in silent.items() if label not in ended]
            for one in select.select(waiting, [], [], 0.05)[0]:
                data, label = one.recv(65536), silent[one]
                told[label] += data
                if not data:
                    ended[label] = time.monotonic() - begun
    assert set(ended) == set(ports)
    assert min(ended.values()) > 0.4
    assert told["client"] == told["server"] == b""
    assert told["asked"].endswith(http_faults.BODY)
    assert told["unanswered"].startswith(b"HTTP/1.1 504 ")
