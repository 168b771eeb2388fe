"""What a real server sees of the clients of a rendered VIP: PROXY headers, request headers, addresses, ports."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from interop import http_faults
from interop.clients import CHECK, CLIENT, GET, VIP, Heads, client, echo, eventually, named, reached, says, until_closed
from interop.engines import haproxy, rendered, running, short
from interop.remotes import HOST, Remote, free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import Program
from lbkit.testing import Listener, ThrowawayCA

__all__ = ["haproxy", "short"]

# --- PROXY header ---------------------------------------------------------------------------------------------------

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # version 2


def header(client: str, client_port: int, vip: str, port: int) -> bytes:
    """The one of a client that has connected to a VIP, without options (proxy-protocol.txt 2.2)."""
    addresses = b"".join(ipaddress.ip_address(one).packed for one in (client, vip))
    data = addresses + client_port.to_bytes(2) + port.to_bytes(2)
    return SIGNATURE + (b"\x21\x21" if ":" in client else b"\x21\x11") + len(data).to_bytes(2) + data


class Behind:
    """Wants a PROXY header before all else, keeps it, then plays a script; without one it hangs up."""

    def __init__(self, then: Callable[[socket.socket], object]) -> None:
        self._then = then
        self.headers: list[bytes] = []

    def play(self, connection: socket.socket) -> None:
        fixed = connection.recv(16, socket.MSG_WAITALL)
        if fixed.startswith(SIGNATURE):
            self.headers.append(fixed + connection.recv(int.from_bytes(fixed[14:]), socket.MSG_WAITALL))
            self._then(connection)


def test_a_proxy_header_names_the_client_before_all_else(short: Path, haproxy: Program) -> None:
    behind, port, six = Behind(echo), free_port(), free_port()
    with Listener(behind.play) as remote:
        vips = [
            vip("V", f"{VIP}:{port}", server("s", remote.target), proxy_protocol=True, check=CHECK),
            vip("SIX", f":{six}", server("s", remote.target), proxy_protocol=True, check=CHECK, address="::1"),
        ]
        with running(short, rendered(short, *vips), haproxy) as engine:
            for one in vips:
                engine.wait_for(one["label"], {"s": "UP"})
            with client(port) as four, client(six, "::1", "::1") as other:
                expected = [header(*four.getsockname(), VIP, port), header(*other.getsockname()[:2], "::1", six)]
                assert [says(one, b"hello") for one in (four, other)] == [b"hello", b"hello"]
    assert [behind.headers.count(one) for one in expected] == [1, 1]


def test_the_fallback_gets_no_proxy_header(short: Path, haproxy: Program) -> None:
    port = free_port()
    with Listener(echo) as remote:
        away = {"address": HOST, "port": remote.port}
        one = vip("V", f"{VIP}:{port}", server("s", HOST + ":1"), fallback=away, proxy_protocol=True, check=CHECK)
        with running(short, rendered(short, one), haproxy) as engine:
            engine.wait_for("V", {"s": "DOWN"})
            with client(port) as connection:
                assert says(connection, b"hello") == b"hello"


def web(connection: socket.socket) -> None:
    http_faults.hear(connection)
    connection.sendall(http_faults.WHOLE)
    connection.recv(1)


def in_tls(folder: Path) -> Callable[[socket.socket], None]:
    context = ThrowawayCA(folder).server_context()

    def play(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            web(secured)

    return play


def relayed(port: int) -> Callable[[socket.socket], None]:
    def play(connection: socket.socket) -> None:
        with socket.create_connection((HOST, port), timeout=5) as to:
            back = threading.Thread(target=copy, args=(to, connection), daemon=True)
            back.start()
            copy(connection, to)
            back.join(5)

    return play


def copy(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("kind", ["https-get", "at-a-port-of-its-own", "inside-tls", "c-echo"])
def test_checks_send_a_proxy_header_too(
    kind: str, short: Path, haproxy: Program, tmp_path: Path, storescp: Remote
) -> None:
    check, then, terms = {
        "https-get": ({"kind": "https-get", "tls": False}, web, {}),
        "at-a-port-of-its-own": ({"kind": "https-get", "tls": False}, web, {"port": free_port()}),
        "inside-tls": ({"kind": "https-get"}, in_tls(tmp_path), {"re_encrypt": True}),
        "c-echo": ({"kind": "c-echo"}, relayed(storescp.port), {}),
    }[kind]
    with Listener(Behind(then).play) as remote:
        s = server("s", remote.target, **terms)
        if "port" in terms:
            check["port"] = remote.port
        vips = [
            vip(label, f"{VIP}:{free_port()}", s, check={**CHECK, "interval": "1s", **check}, proxy_protocol=sent)
            for label, sent in (("WITH", True), ("WITHOUT", False))
        ]
        with running(short, rendered(short, *vips), haproxy) as engine:
            assert {one: engine.checked(one)["s"]["status"] for one in ("WITH", "WITHOUT")} == {
                "WITH": "UP",
                "WITHOUT": "DOWN",
            }


def test_a_check_of_several_ports_sends_a_proxy_header_to_each(short: Path, haproxy: Program) -> None:
    behind = [Behind(echo) for _ in range(3)]
    with ExitStack() as stack:
        ports = ",".join(str(stack.enter_context(Listener(one.play)).port) for one in behind)
        one = vip("V", f"{VIP}:{ports}", server("s", HOST), check=CHECK, proxy_protocol=True)
        engine = stack.enter_context(running(short, rendered(short, one), haproxy))
        engine.wait_for("V", {"s": "UP"})
        eventually(lambda: all(one.headers for one in behind))


# --- request headers ------------------------------------------------------------------------------------------------

LIE = GET[:-2] + b"X-Forwarded-For: 192.0.2.99\r\nX-Forwarded-Proto: gopher\r\n\r\n"


def test_a_request_tells_the_clients_address_last_and_how_it_came(
    short: Path, haproxy: Program, tmp_path: Path
) -> None:
    ca, heads = ThrowawayCA(tmp_path), Heads()
    (short / "c.pem").write_text(Path(ca.server.cert_file).read_text() + Path(ca.server.key_file).read_text())
    plain, secured, silent = free_port(), free_port(), free_port()
    told = {"protocol": "http", "check": CHECK, "x_forwarded_for": True}
    with Listener(heads.play) as remote:
        s = server("s", remote.target)
        vips = [
            vip("PLAIN", f"{VIP}:{plain}", s, **told),
            vip("TLS", f"{VIP}:{secured}", s, **told, termination={"certificate": "c"}),
            vip("SILENT", f"{VIP}:{silent}", s, protocol="http", check=CHECK),
        ]
        with running(short, rendered(short, *vips, certificates={"c": {"file": "c.pem"}}), haproxy) as engine:
            for one in vips:
                engine.wait_for(one["label"], {"s": "UP"})
            with client(plain) as connection:
                connection.sendall(LIE)
                assert until_closed(connection).endswith(http_faults.BODY)
            trust = ssl.create_default_context(cafile=ca.ca_file)
            with client(secured) as connection, trust.wrap_socket(connection, server_hostname=HOST) as inside:
                inside.sendall(LIE)
                assert until_closed(inside).endswith(http_faults.BODY)
            with client(silent) as connection:
                connection.sendall(GET)
                assert until_closed(connection).endswith(http_faults.BODY)
    addresses, hows = (
        [[one.split()[1] for one in head.decode().lower().split("\r\n") if one.startswith(key)] for head in heads.heads]
        for key in ("x-forwarded-for:", "x-forwarded-proto:")
    )
    assert addresses == [["192.0.2.99", CLIENT], ["192.0.2.99", CLIENT], []]
    assert hows == [["http"], ["https"], []]


# --- addresses and ports --------------------------------------------------------------------------------------------


def test_real_servers_see_the_source_address_in_traffic_and_in_checks(short: Path, haproxy: Program) -> None:
    port, seen = free_port(), []

    def play(connection: socket.socket) -> None:
        seen.append(connection.getpeername()[0])
        connection.sendall(seen[-1].encode())

    with Listener(play) as remote:
        one = vip("V", f"{VIP}:{port}", server("s", remote.target), source_address="127.0.0.77", check=CHECK)
        with running(short, rendered(short, one), haproxy) as engine:
            engine.wait_for("V", {"s": "UP"})
            assert reached(port) == "127.0.0.77"
    assert set(seen) == {"127.0.0.77"}


def test_a_server_without_port_is_reached_at_the_port_that_was_asked_for(short: Path, haproxy: Program) -> None:
    names = ("one", "two", "three")
    with ExitStack() as stack:
        ports = [stack.enter_context(named(name)).port for name in names]
        one = vip("V", f"{VIP}:{','.join(map(str, ports))}", server("s", HOST), check=CHECK)
        engine = stack.enter_context(running(short, rendered(short, one), haproxy))
        engine.wait_for("V", {"s": "UP"})
        assert [reached(port) for port in ports] == list(names)


def test_a_server_with_a_port_is_reached_there_whatever_was_asked_for(short: Path, haproxy: Program) -> None:
    ports = [free_port(), free_port()]
    with named("one") as remote:
        one = vip("V", f"{VIP}:{','.join(map(str, ports))}", server("s", remote.target), check=CHECK)
        with running(short, rendered(short, one), haproxy) as engine:
            engine.wait_for("V", {"s": "UP"})
            assert [reached(port) for port in ports] == ["one", "one"]


@pytest.mark.parametrize("mode", ["none", "source-ip"])
def test_a_vip_and_its_servers_can_be_ipv6(mode: str, short: Path, haproxy: Program) -> None:
    port, seen = free_port(), []
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening, ExitStack() as stack:

        def serve() -> None:
            with suppress(OSError):  # shut down
                while True:
                    connection, peer = listening.accept()
                    with connection:
                        seen.append(peer[0])
                        connection.sendall(b"six")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        stack.callback(thread.join, 5)
        stack.callback(listening.shutdown, socket.SHUT_RDWR)
        six = server("s", f":{listening.getsockname()[1]}", address="::1")
        one = vip("V", f":{port}", six, address="::1", check=CHECK, persistence={"mode": mode})
        engine = stack.enter_context(running(short, rendered(short, one), haproxy))
        engine.wait_for("V", {"s": "UP"})
        assert [reached(port, "::1", "::1") for _ in range(3)] == ["six"] * 3
        if mode == "source-ip":
            assert "key=::1 " in engine.ask("show table V")
