"""HAProxy asks about real servers whose check it can't run itself: the server side of its agent-check (manual 5.2).

It connects, sends `VIP/SERVER` as `agent-send` has it, and reads one line. `up`, and `down #reason` (with the blank: it does
not know the word `down#reason`), set the health alone, never what an operator wants. An empty line, and a connection that is
closed without one, leave the server as it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TypeAlias

from lbkit.errors import CannotRun
from lbkit.haproxy.sections import AGENT
from lbkit.state.observed import Health

MOST_CLIENTS = 1024  # at once; HAProxy has one for each real server
TIMEOUT = 2.0  # seconds for a question
LONGEST_LINE = 200  # bytes; two labels, a slash and an end of line are 128
LONGEST_REASON = 100  # characters; HAProxy shows 109
_STEPS = 3  # of asyncio's loop, from a connection that is accepted to its client

Answer: TypeAlias = Callable[[str, str], tuple[Health, str]]  # of the labels of VIP and real server: health, and why


class AgentCheck:
    """Answers at 127.0.0.1:`port` from `start` to `close`. `answer` gives unknown for what it does not know."""

    def __init__(self, port: int, answer: Answer) -> None:
        self._port = port
        self._answer = answer
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises CannotRun where the port can't be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Client(self._clients, self._answer), AGENT, self._port, backlog=MOST_CLIENTS
            )
        except OSError as e:
            why = os.strerror(e.errno or 0)  # asyncio puts words of its own around it
            raise CannotRun(
                f"HAProxy can't be answered at {AGENT}:{self._port}: {why}. End what listens there (ss -ltnp), or give "
                "another port ([agent] check_port) and apply the site."
            ) from None

    async def close(self) -> None:
        """Listen no more. HAProxy leaves every server as it is then."""
        if self._server is not None:
            for listening in self._server.sockets:  # closed at once it would lose those that are just accepted
                asyncio.get_running_loop().remove_reader(listening.fileno())
            for _ in range(_STEPS):
                await asyncio.sleep(0)
            for client in list(self._clients):
                client.end()
            self._server.close()
            await asyncio.sleep(0)  # they are closed by then
            await self._server.wait_closed()


class _Client(asyncio.Protocol):
    """One question."""

    def __init__(self, clients: set[_Client], answer: Answer) -> None:
        self._clients = clients
        self._answer = answer
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT, self.end)
        self._clients.add(self)
        if len(self._clients) > MOST_CLIENTS:
            self.end()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        line, ended, _ = self._heard.partition(b"\n")
        if ended:
            self._transport.write(_line(line, self._answer))
            self._transport.close()
        elif len(line) > LONGEST_LINE:
            self.end()

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._clients.discard(self)

    def end(self) -> None:
        """Hang up without an answer."""
        self._transport.abort()


def _line(question: bytes, answer: Answer) -> bytes:
    vip, _, server = question.decode("ascii", "replace").strip().partition("/")
    health, why = answer(vip, server)
    if health == "unknown":
        return b"\n"
    if health == "up":
        return b"up\n"
    return b"down #" + _short(why) + b"\n"


def _short(why: str) -> bytes:
    text = "".join(one if " " <= one <= "~" else "?" for one in why)
    return (text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "...").encode("ascii")
