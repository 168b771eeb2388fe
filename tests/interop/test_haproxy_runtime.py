"""The runtime API of real HAProxies: each operation, through each socket, at each level."""

from __future__ import annotations

import socket

import pytest
from interop.remotes import HOST
from interop.runtime_haproxy import admin, haproxy, pem, runtime, server

from lbkit.errors import NotAllowed, NotThere

__all__ = ["admin", "haproxy", "runtime"]

UNKNOWN_BACKEND, UNKNOWN_SERVER = "NO_SUCH_BACKEND", "no_such_server"


def test_info_and_statistics_name_the_version_and_every_proxy(haproxy, runtime):
    assert runtime.info()["Version"].startswith(haproxy.version)
    proxies = {row["pxname"] for row in runtime.stats()}
    assert {"sticky", "STICKY", "SOURCE", "CHECKED"} <= proxies
    assert {row["pxname"] for row in runtime.stats("STICKY")} == {"STICKY"}
    assert [row["svname"] for row in runtime.stats("STICKY")] == ["s1", "s2", "BACKEND"]


def test_a_state_is_set_and_read_back(runtime):
    for state, expected in (("drain", (True, False)), ("maint", (False, True)), ("ready", (False, False))):
        runtime.set_state("STICKY", "s2", state)
        found = server(runtime, "STICKY", "s2")
        assert (found.drain, found.maint) == expected
        assert not server(runtime, "STICKY", "s1").drain


def test_a_weight_is_set_and_read_back(runtime):
    for weight in (0, 256, 10):
        runtime.set_weight("STICKY", "s1", weight)
        assert server(runtime, "STICKY", "s1").weight == weight
    assert server(runtime, "STICKY", "s1").configured_weight == 10


def test_what_is_not_there_is_not_there(haproxy, runtime):
    moved = f"{haproxy.folder}/moved.lst"
    for call in (
        lambda: runtime.set_state(UNKNOWN_BACKEND, "s1", "drain"),
        lambda: runtime.set_state("STICKY", UNKNOWN_SERVER, "drain"),
        lambda: runtime.set_weight("STICKY", UNKNOWN_SERVER, 1),
        lambda: runtime.end_sessions("STICKY", UNKNOWN_SERVER),
        lambda: runtime.end_session("0x12"),
        lambda: runtime.stats(UNKNOWN_BACKEND),
        lambda: runtime.servers(UNKNOWN_BACKEND),
        lambda: runtime.table(UNKNOWN_BACKEND),
        lambda: runtime.table(UNKNOWN_BACKEND, key="1"),
        lambda: runtime.count_entries(UNKNOWN_BACKEND),
        lambda: runtime.count_entries(UNKNOWN_BACKEND, server_id=1),
        lambda: runtime.clear_table(UNKNOWN_BACKEND),
        lambda: runtime.set_entry(UNKNOWN_BACKEND, "1", 1),
        lambda: runtime.certificate("no.pem"),
        lambda: runtime.ca_certificates("no.pem"),
        lambda: runtime.acl_entries("no.lst"),
        lambda: runtime.acl_add("no.lst", "1"),
        lambda: runtime.acl_delete(moved, "192.0.2.1"),
    ):
        with pytest.raises(NotThere):
            call()


def test_sessions_of_a_server_are_ended_and_those_of_others_are_not(haproxy, runtime):
    runtime.set_entry("STICKY", "1", 1)
    here = haproxy.connect("sticky")
    runtime.set_entry("STICKY", "1", 2)
    there = [haproxy.connect("sticky") for _ in range(3)]
    before = len(runtime.sessions(backend="STICKY", server="s2"))
    assert runtime.end_sessions("STICKY", "s2") == before >= 3
    assert runtime.sessions(backend="STICKY", server="s2") == []
    assert [client.recv(1) for client in there] == [b""] * 3
    here.sendall(b"x")
    assert here.recv(1) == b"x"


def test_one_session_is_ended(haproxy, runtime):
    client, other = haproxy.connect("by_source"), haproxy.connect("by_source")
    source = "{}:{}".format(*client.getsockname())
    (session,) = [one for one in runtime.sessions() if one.source == source]
    runtime.end_session(session.ident)
    assert client.recv(1) == b""
    other.sendall(b"x")
    assert other.recv(1) == b"x"
    assert source not in [one.source for one in runtime.sessions()]


def test_a_thousand_commands_are_answered_in_their_order(runtime):
    commands = [f"set server STICKY/s1 weight {n % 200 + 1}" for n in range(1000)]
    commands[500] = "show servers state STICKY"
    answers = runtime.ask_all(commands)
    assert [n for n, answer in enumerate(answers) if answer] == [500]
    assert server(runtime, "STICKY", "s1").weight == 200
    runtime.set_weight("STICKY", "s1", 10)


def test_a_refusal_does_not_stop_the_commands_behind_it(runtime):
    with pytest.raises(NotThere, match=f"`set server STICKY/{UNKNOWN_SERVER} weight 1`: No such server"):
        runtime.ask_all([f"set server STICKY/{UNKNOWN_SERVER} weight 1", "set server STICKY/s1 weight 77"])
    assert server(runtime, "STICKY", "s1").weight == 77
    runtime.set_weight("STICKY", "s1", 10)


def served_by(haproxy, cookie):
    """The server of one request that comes with a cookie."""
    with socket.create_connection((HOST, haproxy.ports["cookies"]), timeout=5) as client:
        client.sendall(f"GET / HTTP/1.0\r\nCookie: SRV={cookie}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(4096), b"")).decode().lower()
    return answer.partition("x-server: ")[2][:1]


def test_clients_with_a_cookie_leave_a_draining_server_once_an_acl_of_a_file_says_so(haproxy, runtime):
    moved = f"{haproxy.folder}/moved.lst"
    runtime.set_state("COOKIES", "c", "drain")
    assert [served_by(haproxy, "c") for _ in range(4)] == ["c"] * 4
    for _ in range(2):  # twice is once
        runtime.acl_add(moved, "c")
        assert runtime.acl_entries(moved) == ["c"]
    assert [served_by(haproxy, "c") for _ in range(4)] == ["d"] * 4
    runtime.acl_delete(moved, "c")
    assert runtime.acl_entries(moved) == []
    assert [served_by(haproxy, "c") for _ in range(4)] == ["c"] * 4
    runtime.set_state("COOKIES", "c", "ready")


LEVELS = {
    "user": {"info", "stats", "servers", "tables", "acl"},
    "operator": {
        "info", "stats", "servers", "tables", "acl", "sessions", "table", "clear", "clear key", "clear server", "set entry",
        "certificates", "certificate",
    },
}  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_does_what_it_may_and_is_told_what_it_may_not(haproxy, admin, level):
    low = haproxy.runtime(level)
    own, moved = f"{haproxy.folder}/own.pem", f"{haproxy.folder}/moved.lst"
    calls = {
        "info": low.info,
        "stats": low.stats,
        "servers": low.servers,
        "tables": low.tables,
        "acl": lambda: (low.acl_add(moved, "192.0.2.1"), low.acl_delete(moved, "192.0.2.1")),
        "sessions": low.sessions,
        "table": lambda: low.table("STICKY"),
        "clear": lambda: low.clear_table("STICKY"),
        "clear key": lambda: low.clear_table("STICKY", key="1"),
        "clear server": lambda: low.clear_table("STICKY", server_id=1),
        "set entry": lambda: low.set_entry("STICKY", "2", 1),
        "certificates": low.certificates,
        "certificate": lambda: low.certificate(own),
        "set certificate": lambda: low.set_certificate(own, pem(haproxy.ca.server)),
        "state": lambda: low.set_state("STICKY", "s1", "drain"),
        "weight": lambda: low.set_weight("STICKY", "s1", 1),
        "end sessions": lambda: low.end_sessions("STICKY", "s1"),
        "end session": lambda: low.end_session("0x12"),
    }
    for name, call in calls.items():
        admin.set_entry("STICKY", "1", 1)
        if name in LEVELS[level]:
            call()
        else:
            with pytest.raises(NotAllowed, match=r"It needs level (operator|admin)"):
                call()
            assert admin.table("STICKY", key="1"), name
    assert not server(admin, "STICKY", "s1").drain
    assert server(admin, "STICKY", "s1").weight == 10
    admin.clear_table("STICKY")
