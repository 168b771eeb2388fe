"""A request to something that does not answer as HAProxy does: it ends, in time and with words."""

from __future__ import annotations

import socket
from pathlib import Path
from time import monotonic, sleep

import pytest

from lbkit.errors import EngineError, Misuse, NotAllowed, NotRunning
from lbkit.haproxy.channel import LINE, Channel
from lbkit.haproxy.runtime import Runtime


def says(answer):
    """A script: read a line, answer, close."""

    def script(client):
        client.makefile("rb").readline()
        client.sendall(answer)

    return script


def test_nobody_there_is_not_running_and_names_the_socket(tmp_path):
    with pytest.raises(NotRunning, match=rf"nobody answers at {tmp_path}/s: No such file.*is this the path"):
        Runtime(f"{tmp_path}/s").info()


def test_a_socket_that_nobody_listens_on_is_not_running(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/s")
        with pytest.raises(NotRunning, match="Connection refused"):
            Runtime(f"{tmp_path}/s").info()


def test_a_path_that_is_too_long_is_not_running():
    with pytest.raises(NotRunning, match="too long"):
        Runtime("/x" * 100).info()


def test_a_socket_that_this_user_may_not_open_is_not_allowed(tmp_path, monkeypatch):
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)  # root may open every socket
    with pytest.raises(NotAllowed, match="may not be opened by this user"):
        Runtime(f"{tmp_path}/s").info()


def test_one_that_stays_silent_is_given_up_after_the_timeout(listener):
    remote = listener(lambda client: client.recv(100) and sleep(1))
    start = monotonic()
    with pytest.raises(NotRunning, match=r"stayed silent for 0\.1 s"):
        Runtime(remote.target, 0.1).info()
    assert monotonic() - start < 1


def test_one_that_drips_for_ever_is_given_up(listener, monkeypatch):
    def drips(client):
        while True:
            client.sendall(b"x")
            sleep(0.01)

    monkeypatch.setattr("lbkit.haproxy.channel.MOST_SECONDS", 0.2)
    with pytest.raises(EngineError, match=r"took longer than 0\.2 s"):
        Runtime(listener(drips).target, 0.1).info()


def test_one_that_never_ends_is_given_up(listener, monkeypatch):
    def floods(client):
        while True:
            client.sendall(b"x" * 65536)

    monkeypatch.setattr("lbkit.haproxy.channel.MOST_BYTES", 1 << 20)
    with pytest.raises(EngineError, match="more than 1 MiB"):
        Runtime(listener(floods).target).table("T")


def test_one_that_hangs_up_without_a_word_is_not_running(listener):
    with pytest.raises(NotRunning, match="hung up before it answered: no answer"):
        Runtime(listener(says(b"")).target).info()


def test_one_that_is_no_haproxy_is_an_engine_error(listener):
    with pytest.raises(EngineError, match=r"`show info` can't be read: 'HTTP/1.1 400"):
        Runtime(listener(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")).target).info()


@pytest.mark.parametrize("address", ["", "haproxy.sock", "a b:1", "::1", "127.0.0.1:99999", "x:", ":1"])
def test_an_address_that_is_none_is_misuse(address):
    with pytest.raises(Misuse, match=r"is no runtime API\. Give the path"):
        Runtime(address)


def test_tcp_over_ipv6_is_an_address_too():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        server.settimeout(5)
        found = Channel(f"[::1]:{server.getsockname()[1]}", 0.1).exchange(["show info"])
        with pytest.raises(NotRunning, match="silent"):
            next(found)


def test_lines_are_kept_under_what_haproxy_takes_and_lose_nothing():
    commands = [f"set server B/s{n} weight {n}" for n in range(3000)]
    for channel in (Channel("/s", 1), Channel("/s", 1, worker="@!123")):
        batches = list(channel.batches(commands))
        assert [command for batch in batches for command in batch] == commands
        assert all(len(";".join(map(channel._addressed, batch))) < LINE for batch in batches)
        assert len(batches) < 12


def test_a_refusal_in_the_middle_is_raised_after_all_were_sent(listener):
    heard = []

    def script(client):
        heard.append(client.makefile("rb").readline())
        client.sendall(b"\nNo such server.\n\n\n")

    with pytest.raises(EngineError, match=r"`b` refuses|answers to `b`: No such server"):
        Runtime(listener(script).target).ask_all(["a", "b", "c"])
    assert heard == [b"a;b;c\n"]


@pytest.mark.parametrize("answers", [b"\n\n", b"\n\n\n\n"])
def test_a_number_of_answers_that_is_not_that_of_the_commands_is_an_engine_error(listener, answers):
    with pytest.raises(EngineError, match="answers to 3 commands"):
        Runtime(listener(says(answers)).target).ask_all(["a", "b", "c"])


def test_a_write_that_reads_back_otherwise_is_not_done(listener):
    header = "# be_name srv_name srv_id srv_addr srv_port srv_op_state srv_admin_state srv_uweight srv_iweight"
    state = f"\n1\n{header} srv_time_since_last_change\nB s1 1 127.0.0.1 80 2 0 7 1 5\n\n"
    runtime = Runtime(listener(says(state.encode())).target)
    with pytest.raises(EngineError, match=r"B/s1 was set to drain, and has admin_state 0"):
        runtime.set_state("B", "s1", "drain")
    with pytest.raises(EngineError, match=r"B/s1 was given weight 9, and has 7"):
        runtime.set_weight("B", "s1", 9)
    with pytest.raises(EngineError, match=r"B/s2 was set, and is not there"):
        runtime.set_weight("B", "s2", 9)
    runtime.set_weight("B", "s1", 7)


def test_a_table_that_is_not_cleared_is_not_done(listener):
    left = b"\n# table: T, type: string, size:9, used:1\n0x1: key=1 use=1 exp=0 server_id=1 server_key=a\n\n"
    with pytest.raises(EngineError, match=r"still has 1 of the entries, such as '1'"):
        Runtime(listener(says(left)).target).clear_table("T")


def test_entries_that_connections_bring_anew_are_not_left_over(listener):
    answers = iter(range(100))

    def script(client):
        client.makefile("rb").readline()
        entry = b"0x1: key=1.2.3.4 use=0 exp=%d server_id=1 server_key=a" % (1000 + next(answers))
        client.sendall(b"\n# table: T, type: ip, size:9, used:1\n" + entry + b"\n\n")

    Runtime(listener(script).target).clear_table("T")


def test_a_session_is_gone_though_another_is_at_its_address(listener):
    """HAProxy gives the place of a session that has ended to the next one, which can be the one that asks."""
    numbers = iter((5, 5, 9))

    def script(client):
        asked = client.makefile("rb").readline()
        client.sendall(b"\n" if b"shutdown" in asked else b"0x1: [x] id=%d proto=tcpv4\n\n" % next(numbers))

    Runtime(listener(script).target, 1.0).end_session("0x1")
    assert next(numbers, None) is None


def test_what_can_not_be_is_misuse_before_anything_is_sent(tmp_path):
    runtime = Runtime(f"{tmp_path}/nobody")
    with pytest.raises(Misuse, match="weight 257 of B/s1: HAProxy takes 0 to 256"):
        runtime.set_weight("B", "s1", 257)
    with pytest.raises(Misuse, match="'off' is no state"):
        runtime.set_state("B", "s1", "off")
    with pytest.raises(Misuse, match="a key and a server can't be asked for at once"):
        runtime.clear_table("T", key="1", server_id=1)
    for call in (
        lambda: runtime.set_state("B", "s1;shutdown sessions server B", "drain"),
        lambda: runtime.stats("B\nshow info"),
        lambda: runtime.table("T data.server_id eq 1"),
        lambda: runtime.clear_table("T", key="1\n"),
        lambda: runtime.end_session("0x1;help"),
        lambda: runtime.acl_add("a b", "1"),
        lambda: runtime.certificate("x;y"),
        lambda: list(runtime.stream("a;b")),
    ):
        with pytest.raises(Misuse):
            call()


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", b"\xff"])
def test_what_is_no_certificate_is_misuse_before_anything_is_sent(tmp_path, pem):
    runtime = Runtime(f"{tmp_path}/nobody")
    for replace in (runtime.set_certificate, runtime.set_ca_file, runtime.set_crl_file):
        with pytest.raises(Misuse, match=r"f\.pem: what is to replace it"):
            replace("f.pem", pem)


def test_no_message_shows_the_key_that_was_sent(listener, throwaway_ca):
    answers = iter([b"Can't load the payload\nCan't update f.pem!\n\n", b"\n"])

    def script(client):
        client.recv(65536)
        client.sendall(next(answers))

    pem = Path(throwaway_ca.server.cert_file).read_bytes() + Path(throwaway_ca.server.key_file).read_bytes()
    with pytest.raises(EngineError) as found:
        Runtime(listener(script).target).set_certificate("f.pem", pem)
    assert str(found.value).endswith("refuses `set ssl cert f.pem`: Can't load the payload; Can't update f.pem!")
