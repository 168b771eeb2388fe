"""The agent and those who start and ask it: its end, its socket, systemd."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.agents import FAST, PATIENCE, AgentProcess, agent_process, eventually, l4, up_at
from interop.engines import short as short
from interop.forked import forked
from unit.remotes import black_hole, silent
from unit.site_text import server

from lbkit.agent.answers import Answers
from lbkit.errors import NotDone
from lbkit.state.agent import Agent, for_snmpd

SLACK = 0.25  # seconds that a busy machine may add


# --- its end ---


def test_it_ends_within_a_second_though_servers_hang_and_leaves_no_socket(tmp_path):
    with black_hole() as hangs:
        slow = FAST | {"timeout": "30s"}
        with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", f"127.0.0.1:{hangs}"), check=slow)) as agent:
            for number in (signal.SIGTERM, signal.SIGINT):
                begin = time.monotonic()
                assert agent.stop(number) == 0
                assert time.monotonic() - begin < 1.0
                assert not agent.socket.exists()
                assert [call["what"] for call in agent.calls].count("flush") == 0
                agent.start()
                eventually(agent.answer)


def test_it_ends_within_a_second_though_its_engine_hangs(listener, tmp_path):
    (tmp_path / "record.stuck").touch()
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        up_at(agent, "A/s1")
        begin = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - begin < 1.0 + SLACK
        assert "the engine was not left as it should be: it takes too long" in agent.log


def test_asked_to_it_flushes_at_a_clean_end(listener, tmp_path):
    with agent_process(
        tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target)), flags=("--flush-on-exit",)
    ) as agent:
        up_at(agent, "A/s1")
        assert agent.stop() == 0
        assert [call["what"] for call in agent.calls][-2:] == ["flush", "close"]


# --- its socket ---


def test_its_socket_is_for_owner_and_group_alone(listener, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        found = agent.socket.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getegid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to any group")
def test_its_socket_is_given_to_the_group_that_the_site_names(listener, tmp_path):
    with agent_process(
        tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target)), group="daemon"
    ) as agent:
        assert agent.socket.stat().st_gid == 1


def test_a_second_agent_is_refused_and_the_socket_of_a_dead_one_is_not_in_the_way(listener, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        first = agent.process
        agent.start()
        assert agent.process.wait(PATIENCE) == 1
        assert "an agent runs already: it listens at" in agent.log
        assert agent.client.state().pid == first.pid
        first.kill()
        first.wait(PATIENCE)
        assert agent.socket.exists()
        agent.start()
        assert eventually(agent.answer).pid == agent.process.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_what_is_left_of_an_agent_that_root_tried_is_not_in_the_way_of_the_service(short):
    """Its folder is the service's, as systemd's RuntimeDirectory has it."""
    nobody = pwd.getpwnam("nobody")
    os.chown(short, nobody.pw_uid, nobody.pw_gid)

    async def begin() -> None:
        answers = Answers(str(short / "agent.sock"), None, lambda question: asyncio.sleep(0))
        await answers.start()
        await answers.close()

    def as_nobody() -> None:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        asyncio.run(begin())

    asyncio.run(begin())
    with forked(as_nobody) as child:
        assert child.ended() == 0, child.said()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to any group")
def test_snmpds_door_is_there_where_its_folder_is_for_the_folders_group_and_gives_the_state_alone(listener, tmp_path):
    (tmp_path / "snmp").mkdir()
    os.chown(tmp_path / "snmp", -1, 1)
    (tmp_path / "snmp").chmod(0o2750)
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        door = for_snmpd(str(agent.socket))
        found = door.stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (1, 0o660)
        asked = Agent(str(door))
        assert asked.state().pid == agent.process.pid
        for ask in (asked.reload, asked.reconcile):
            with pytest.raises(NotDone, match="this is no question"):
                ask()
        agent.stop()
        assert not door.exists()


NO_QUESTIONS = (
    b"\n", b"{}\n", b"[" * 4000 + b"\n", b'{"version": 1, "ask": "stop"}\n', b'{"version": 2, "ask": "state"}\n',
    b'{"version": 1, "ask": []}\n', b"\xff\xfe\n", b"x" * 9000,
)  # fmt: skip


def test_whatever_it_is_asked_it_answers_on(listener, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        for line in NO_QUESTIONS:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(agent.socket))
                client.settimeout(PATIENCE)
                try:
                    client.sendall(line)
                    answer = client.recv(9000)
                except (ConnectionResetError, BrokenPipeError):
                    answer = b""
            assert not answer or json.loads(answer)["ok"] is False
            assert answer or len(line) == 9000
            assert agent.client.state().pid == agent.process.pid


def test_clients_that_say_nothing_keep_nobody_from_an_answer(listener, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        mute = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for one in mute:
            one.connect(str(agent.socket))
        begin = time.monotonic()
        assert agent.client.state().pid == agent.process.pid
        assert time.monotonic() - begin < 1.0
        mute[0].settimeout(PATIENCE)
        assert mute[0].recv(1) == b""
        for one in mute:
            one.close()


# --- systemd ---


@contextmanager
def systemd(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a socket as systemd's, and what was told to it."""
    told: list[str] = []
    address = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)

        def listen() -> None:
            while message := listening.recv(65536):
                told.append(message.decode())

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield address, told
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"", address)
            thread.join(PATIENCE)


def test_systemd_is_told_that_it_is_ready_how_it_is_that_it_reloads_and_that_it_ends(listener, tmp_path):
    with systemd(tmp_path) as (address, told):
        agent = AgentProcess(tmp_path)
        agent.write(l4("A", "10.0.0.1:104", server("s1", listener(silent).target)))
        agent.start(NOTIFY_SOCKET=address, WATCHDOG_USEC="400000")
        try:
            eventually(lambda: told[:1])
            assert told[0] == "READY=1"
            eventually(lambda: "STATUS=real servers: 1 up\nWATCHDOG=1" in told)
            agent.client.reload()
            assert any(one.startswith("RELOADING=1\nMONOTONIC_USEC=") for one in told)
            before, begin = sum("WATCHDOG=1" in one for one in told), time.monotonic()
            time.sleep(1.0)
            signs = sum("WATCHDOG=1" in one for one in told) - before
            assert 2 <= signs <= (time.monotonic() - begin) / 0.2 + 2
        finally:
            agent.stop()
        assert told[-1] == "STOPPING=1"


def test_a_loop_that_hangs_gives_no_sign_of_life(listener, tmp_path):
    with systemd(tmp_path) as (address, told):
        agent = AgentProcess(tmp_path)
        good = l4("A", "10.0.0.1:104", server("s1", listener(silent).target))
        agent.write(good)
        agent.start(NOTIFY_SOCKET=address, WATCHDOG_USEC="200000")
        try:
            eventually(lambda: sum("WATCHDOG=1" in one for one in told) > 3)
            agent.write(
                good, l4("B", "10.0.0.2:104", server("s1", listener(silent).target), check={"kind": "hang-the-loop"})
            )
            agent.process.send_signal(signal.SIGHUP)
            eventually(lambda: "is read anew" in agent.log)
            time.sleep(0.3)
            silent_from = len(told)
            time.sleep(0.8)
            assert len(told) == silent_from
        finally:
            agent.stop(signal.SIGKILL)


def test_its_questions_are_answered_at_once_while_checks_hang(tmp_path):
    with black_hole() as hangs:
        slow = FAST | {"timeout": "30s"}
        with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", f"127.0.0.1:{hangs}"), check=slow)) as agent:
            begin = time.monotonic()
            assert agent.client.state().vips["A"].servers["s1"].why == "not checked yet"
            assert time.monotonic() - begin < 0.5
