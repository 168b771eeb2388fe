"""What the agent answers to whoever asks as HAProxy does, and to whoever does not."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interop.remotes import HOST, free_port

from lbkit.agent import agent_check
from lbkit.agent.agent_check import LONGEST_REASON, MOST_CLIENTS, AgentCheck
from lbkit.errors import CannotRun

KNOWN = {("V", "one"): ("up", "fine"), ("V", "two"): ("down", "echo (rejected): no")}


def known(vip, server):
    return KNOWN.get((vip, server), ("unknown", ""))


async def connected(port):
    made = socket.socket()
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, (HOST, port))
    except OSError:
        made.close()
        raise
    return made


async def answer_of(connection):
    """All that comes until the connection ends, or is cut off."""
    loop, heard = asyncio.get_running_loop(), b""
    with suppress(ConnectionError):
        while part := await loop.sock_recv(connection, 4096):
            heard += part
    return heard


async def said(port, question):
    """What is answered to it."""
    with await connected(port) as connection:
        with suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(connection, question)
        return await answer_of(connection)


def asked(*questions, answer=known):
    """The answers, each on a connection of its own."""

    async def run():
        port = free_port()
        check = AgentCheck(port, answer)
        await check.start()
        try:
            return [await said(port, one) for one in questions]
        finally:
            await check.close()

    return asyncio.run(run())


def test_each_health_has_its_line_and_what_is_not_known_has_an_empty_one():
    assert asked(b"V/one\n", b"V/two\r\n", b"V/three\n", b"\n", b"/\xff/\n") == [
        b"up\n",
        b"down #echo (rejected): no\n",
        b"\n",
        b"\n",
        b"\n",
    ]


@given(st.text())
def test_a_reason_is_one_short_line_whatever_it_quotes(why):
    line = agent_check._line(b"V/s", lambda vip, server: ("down", why))
    assert line.startswith(b"down #")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= len(b"down #\n") + LONGEST_REASON
    assert line[:-1].decode("ascii").isprintable()


def test_a_reason_that_is_too_long_ends_in_dots():
    (line,) = asked(b"V/s\n", answer=lambda vip, server: ("down", "x" * 101))
    assert line == b"down #" + b"x" * 97 + b"...\n"


def test_a_line_without_end_is_cut_off():
    assert asked(b"x" * 300) == [b""]


def test_who_says_nothing_is_hung_up_on_in_time(monkeypatch):
    monkeypatch.setattr(agent_check, "TIMEOUT", 0.05)
    begun = time.monotonic()
    assert asked(b"V/on") == [b""]
    assert time.monotonic() - begun < 1


def test_too_many_at_once_are_sent_away_and_the_others_answered(monkeypatch):
    monkeypatch.setattr(agent_check, "MOST_CLIENTS", 2)

    async def run():
        port = free_port()
        check = AgentCheck(port, known)
        await check.start()
        waiting = [await connected(port) for _ in range(2)]
        away = await said(port, b"V/one\n")
        waiting[0].send(b"V/one\n")
        answered = await answer_of(waiting[0])
        again = await said(port, b"V/one\n")
        for one in waiting:
            one.close()
        await check.close()
        return away, answered, again

    assert asyncio.run(run()) == (b"", b"up\n", b"up\n")


def test_after_the_end_nobody_is_answered_and_nobody_is_kept_waiting():
    async def run():
        port = free_port()
        check = AgentCheck(port, known)
        await check.start()
        with await connected(port) as connection:
            connection.send(b"V/")
            await asyncio.sleep(0.01)
            await check.close()
            assert await answer_of(connection) == b""
        with pytest.raises(ConnectionRefusedError):
            await connected(port)

    asyncio.run(run())


def test_a_port_that_is_taken_is_named_with_what_to_do():
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotRun, match=rf"127\.0\.0\.1:{port}: .*in use.*\[agent\] check_port"):
            asyncio.run(AgentCheck(port, known).start())


def test_many_questions_at_once_are_all_answered():
    async def run():
        port = free_port()
        check = AgentCheck(port, known)
        await check.start()
        try:
            found = [
                await asyncio.gather(*(said(port, b"V/two\n") for _ in range(MOST_CLIENTS // 4))) for _ in range(4)
            ]
        finally:
            await check.close()
        return {line for lines in found for line in lines}

    assert asyncio.run(run()) == {b"down #echo (rejected): no\n"}
