"""The checks as HAProxy runs them, against real servers: its verdict is the one of `lbkit check`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from interop import http_faults
from interop.clients import Heads
from interop.engines import haproxy, rendered, running, short
from interop.remotes import HOST, Remote, free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import Program
from lbkit.testing import Listener, ThrowawayCA
from lbkit_demo import faults, web
from lbkit_demo.authority import Authority
from lbkit_demo.fault import Fault
from lbkit_demo.place import Place

__all__ = ["haproxy", "short"]

# the first check decides
ONE = {"interval": "500ms", "rise": 1, "fall": 1}
QUICK = {**ONE, "timeout": "700ms"}  # where a fault runs into it
VIP = "MASTER"


def verdicts(folder: Path, program: Program, *servers: dict[str, Any], check: Any, **more: Any) -> dict[str, str]:
    """What HAProxy's first check of each real server finds."""
    one = vip(VIP, f"127.0.0.2:{free_port()}", *servers, check=check)  # no server's own address
    with running(folder, rendered(folder, one, **more), program) as engine:
        return {name: row["status"].lower() for name, row in engine.checked(VIP).items()}


def served(stack: ExitStack, faults: Iterable[Fault], place: Place, **more: Any) -> list[dict[str, Any]]:
    return [server(fault.name, "{}:{}".format(*stack.enter_context(fault.serve(place))), **more) for fault in faults]


# --- C-ECHO ---------------------------------------------------------------------------------------------------------

# Where a straight line of bytes ends: it does not put an answer together that comes in several PDVs or PDUs,
STRICT = {"answer-in-pdvs", "answer-in-pdus"}
# and what comes of an acceptance after the accepted context can be taken for the answer to the echo.
BY_CHANCE = {"byte-by-byte"}


def test_c_echo_says_of_each_fault_what_lbkit_says(short: Path, haproxy: Program) -> None:
    with ExitStack() as stack:
        servers = served(stack, faults.FAULTS, Place())
        found = verdicts(short, haproxy, *servers, check={"kind": "c-echo", **QUICK})
    expected = {fault.name: fault.expected.status for fault in faults.FAULTS}
    differ = {name: found[name] for name in expected if found[name] != expected[name] and name not in BY_CHANCE}
    assert differ == dict.fromkeys(STRICT, "down")


def test_c_echo_finds_real_servers_up(
    short: Path, haproxy: Program, storescp: Remote, orthanc_lax: Remote, pynetdicom_server: Remote
) -> None:
    servers = [server(one.name, one.target) for one in (storescp, orthanc_lax, pynetdicom_server)]
    found = verdicts(short, haproxy, *servers, check={"kind": "c-echo", **ONE})
    assert set(found.values()) == {"up"}
    assert len(found) == 3


# --- https-get ------------------------------------------------------------------------------------------------------

# HAProxy takes an informational answer for the answer.
STRICT_HTTP = {"healthy-after-early-hints"}


def test_https_get_says_of_each_fault_what_lbkit_says(short: Path, haproxy: Program) -> None:
    with ExitStack() as stack:
        every = http_faults.FAULTS
        servers = [server(one.name, stack.enter_context(Listener(one.play)).target) for one in every]
        found = verdicts(short, haproxy, *servers, check={"kind": "https-get", "tls": False, **QUICK})
    expected = {fault.name: fault.expected.status for fault in every}
    differ = {name: found[name] for name in expected if found[name] != expected[name]}
    assert differ == dict.fromkeys(STRICT_HTTP, "down")


def answering(status: int, body: bytes) -> Callable[[socket.socket], None]:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return http_faults.Fault("", http_faults.UP, (http_faults.hear, http_faults.say(head + body))).play


ODD = "50% of 'x' \"y\" $HOME ${HOME} #1 \\d [a] (b) {c} ^ü€ | é\t\n\x01%[src]"


@pytest.mark.parametrize(
    ("check", "up", "down"),
    [
        ({}, [(200, "allServicesOperative"), (200, "\r\n allServicesOperative\r\n"), (200, "allServicesOperative\n")],
         [(503, "allServicesOperative"), (200, "notAllServicesOperative"), (200, "allServicesOperative."), (200, "")]),
        ({"status": [200, 204, 302]}, [(302, "allServicesOperative")], [(201, "allServicesOperative")]),
        ({"match": "contains", "body": ODD}, [(200, f"a{ODD}b")], [(200, ODD[:-1]), (200, ODD.upper()), (200, ODD[1:])]),
        ({"match": "equals", "body": ODD}, [(200, f"\n{ODD}\r\n")], [(200, f"a{ODD}")]),
        ({"match": "contains", "body": ""}, [(200, "a"), (200, "")], [(500, "")]),
        ({"match": "anything"}, [(200, "a"), (200, "")], [(404, "a")]),
        ({"match": "regex", "body": r"^(?:ok|up)\s{1,3}'[^]$\"#]\d+\b$"}, [(200, "ok  'x17"), (200, "up\n'y1")],
         [(200, "ok'x17"), (200, "ok ']1"), (200, "OK 'x1"), (200, "a ok 'x1")]),
        ({"match": "regex", "body": r"(?i)all\.ok"}, [(200, "aLL.oK\n")], [(200, "all-ok")]),
        ({"match": "regex", "body": "a\tb\x01"}, [(200, "a\tb\x01")], [(200, "a b")]),
    ],
)  # fmt: skip
def test_status_and_body_both_have_to_be_as_expected(check, up, down, short: Path, haproxy: Program) -> None:
    with ExitStack() as stack:
        cases = {f"{way}{i}": one for way, ones in (("up", up), ("down", down)) for i, one in enumerate(ones)}
        servers = [
            server(name, stack.enter_context(Listener(answering(status, body.encode()))).target)
            for name, (status, body) in cases.items()
        ]
        found = verdicts(short, haproxy, *servers, check={"kind": "https-get", "tls": False, **ONE, **check})
    assert found == {name: name.strip("0123456789") for name in cases}


@pytest.mark.parametrize("host", ["h!$%&'()*+,;=[x]:%[src]", "ccw.hospital.example:80"])
def test_the_request_is_the_one_of_lbkit(host: str, short: Path, haproxy: Program) -> None:
    asked, path = Heads(), "/%41/a?b=$HOME&c=%[src]'\"\\;{x}#"[:-1]
    check = {"kind": "https-get", "tls": False, "host": host, "path": path, **ONE}
    with Listener(asked.play) as remote:
        assert verdicts(short, haproxy, server("s", remote.target), check=check) == {"s": "up"}
    first, *headers = asked.heads[0].decode().split("\r\n")
    assert first == f"GET {path} HTTP/1.1"
    assert asked.hosts() == {host}
    given = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in headers if line)}
    assert given == {
        "host": host,
        "user-agent": "lbkit",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
    }


def test_each_server_is_asked_by_its_own_host_and_port(short: Path, haproxy: Program) -> None:
    asked = [Heads(), Heads()]
    with ExitStack() as stack:
        remotes = [stack.enter_context(Listener(one.play)) for one in asked]
        servers = [server(f"10.{i}", remote.target) for i, remote in enumerate(remotes)]
        verdicts(short, haproxy, *servers, check={"kind": "https-get", "tls": False, **ONE})
    assert [one.hosts() for one in asked] == [{remote.target} for remote in remotes]


# --- ports ----------------------------------------------------------------------------------------------------------


def quiet(client: socket.socket) -> None:
    client.recv(1)


@pytest.mark.parametrize("closed", [None, 0, 1, 2])
def test_a_server_without_port_is_up_where_all_ports_of_the_vip_are(
    closed: int | None, short: Path, haproxy: Program
) -> None:
    with ExitStack() as stack:
        remotes = [stack.enter_context(Listener(quiet)) for _ in range(3)]
        ports = ",".join(str(remote.port) for remote in remotes)
        if closed is not None:
            remotes[closed].close()
        # the VIP's own address is another one: its ports are the servers'
        one = vip(VIP, f"127.0.0.2:{ports}", server("s", HOST), check={"kind": "connect", **ONE})
        with running(short, rendered(short, one), haproxy) as engine:
            assert engine.checked(VIP)["s"]["status"] == ("UP" if closed is None else "DOWN")


def test_each_port_is_asked_by_its_own_host(short: Path, haproxy: Program) -> None:
    asked = [Heads(), Heads()]
    with ExitStack() as stack:
        remotes = [stack.enter_context(Listener(one.play)) for one in asked]
        ports = ",".join(str(remote.port) for remote in remotes)
        check = {"kind": "https-get", "tls": False, **ONE}
        servers = [server("a", HOST), server("b", HOST)]
        one = vip(VIP, f"127.0.0.2:{ports}", *servers, check=check)
        with running(short, rendered(short, one), haproxy) as engine:
            assert {row["status"] for row in engine.checked(VIP).values()} == {"UP"}
    assert [one.hosts() for one in asked] == [{remote.target} for remote in remotes]


def test_the_port_of_the_check_goes_before_that_of_the_server(short: Path, haproxy: Program) -> None:
    with Listener(quiet) as remote:
        check = {"kind": "connect", "port": remote.port, **ONE}
        servers = [server("with", f"{HOST}:{free_port()}"), server("without", HOST)]
        found = verdicts(short, haproxy, *servers, check=check)
        other = verdicts(short, haproxy, *servers, check={**check, "port": free_port()})
    assert found == {"with": "up", "without": "up"}
    assert other == {"with": "down", "without": "down"}


# --- TLS ------------------------------------------------------------------------------------------------------------

NAME = "ccw1.hospital.example"


@pytest.mark.parametrize("kind", ["connect", "https-get", "mtls"])
def test_a_re_encrypted_server_is_checked_inside_tls(kind: str, short: Path, haproxy: Program) -> None:
    authority = Authority()
    (short / "tls").mkdir()
    authority.write(short / "tls/ca.pem", short / "tls/client.pem", "lb.hospital.example")
    more = {"ca_families": {"F": {"ca_file": "tls/ca.pem"}}, "certificates": {"c": {"file": "tls/client.pem"}}}
    table = web.HTTPS if kind == "https-get" else web.TLS
    with ExitStack() as stack:
        terms = {"re_encrypt": True, "verify": "F", "server_name": NAME, "client_certificate": "c"}
        servers = served(stack, table, Place(contexts=authority.contexts(NAME)), **terms)
        found = verdicts(short, haproxy, *servers, check={"kind": kind, **QUICK}, **more)
    assert found == {fault.name: fault.expected.status for fault in table}


def in_tls(ca: ThrowawayCA, identity: Any, **how: Any) -> Callable[[socket.socket], None]:
    context = ca.server_context(identity, **how)

    def play(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secured:
            http_faults.hear(secured)
            secured.sendall(http_faults.WHOLE)
            secured.recv(1)

    return play


def test_a_check_brings_its_own_tls_to_servers_that_clients_reach_as_they_are(short, haproxy, tmp_path) -> None:
    ca, other = ThrowawayCA(tmp_path), ThrowawayCA(tmp_path)
    good, revoked = ca.issue(NAME), ca.issue(NAME)
    own = {"cert_file": ca.client.cert_file, "key_file": ca.client.key_file, "crl_file": ca.revocation_list(revoked)}
    check = {"kind": "https-get", "ca_file": ca.ca_file, "server_name": NAME, **own, **ONE}
    identities = {"good": good, "revoked": revoked, "misnamed": ca.issue("else.example"), "other": other.issue(NAME)}
    with ExitStack() as stack:
        servers = [
            server(name, stack.enter_context(Listener(in_tls(ca, identity, wants_client=True))).target)
            for name, identity in identities.items()
        ]
        found = verdicts(short, haproxy, *servers, check=check)
        unverified = {"kind": "https-get", "verify": False, **ONE}
        open_to_all = [server("any", stack.enter_context(Listener(in_tls(other, other.server))).target)]
        assert verdicts(short, haproxy, *open_to_all, check=unverified) == {"any": "up"}
    assert found == {"good": "up", "revoked": "down", "misnamed": "down", "other": "down"}


def test_a_plain_check_of_a_re_encrypted_server_stays_plain(short: Path, haproxy: Program) -> None:
    with ExitStack() as stack:
        servers = [server("plain", stack.enter_context(Listener(answering(200, b"ok"))).target, re_encrypt=True)]
        check = {"kind": "https-get", "tls": False, "body": "ok", **ONE}
        assert verdicts(short, haproxy, *servers, check=check) == {"plain": "up"}
