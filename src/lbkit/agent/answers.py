"""The agent's sockets: they answer the questions of `lbkit.state.agent`, the one that is for snmpd no more than it needs."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, get_args

from lbkit.agent import unix_socket
from lbkit.errors import CannotRun, LbkitError, Misuse
from lbkit.state.agent import VERSION, AgentState, Question, for_snmpd

log = logging.getLogger("lbkit.agent")

_LINE = 4096  # bytes
PATIENCE = 5.0  # seconds for a client's line, and for it to read its answer
_WITHIN = 9.0  # seconds for the answer itself; clients wait 10
_CLIENTS = 64  # at once


class Answers:
    """`answer`: gives the state after what a question asks for is done; raises LbkitError."""

    def __init__(self, path: str, group: str | None, answer: Callable[[Question], Awaitable[AgentState]]) -> None:
        self._path = Path(path)
        self._of_snmpd = for_snmpd(path)
        self._group = unix_socket.group_number(group)
        self._servers: list[asyncio.Server] = []
        self._answer = answer
        self._clients = 0
        self._lock = -1

    async def start(self) -> None:
        """Listen. Raises Misuse where another agent does already, CannotRun where the place can't be used."""
        try:
            self._alone()
            await self._listen(self._path, self._group, get_args(Question))
            if (
                self._of_snmpd.parent.is_dir()
            ):  # packaging/tmpfiles.d has made it: what is made in it is for snmpd's group
                await self._listen(self._of_snmpd, -1, ("state",))
        except OSError as e:
            raise CannotRun(
                f"the agent can't listen at {self._path}: {e.strerror}. Is its folder there, and may this user write it?"
            ) from None

    async def _listen(self, path: Path, group: int, questions: tuple[Question, ...]) -> None:
        listening = unix_socket.bound(path, group)
        on_client = partial(self._on_client, questions)
        self._servers.append(await asyncio.start_unix_server(on_client, sock=listening, limit=_LINE))

    async def close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()
        for path in (self._path, self._of_snmpd):
            with suppress(OSError):
                path.unlink()
        os.close(self._lock)

    def _alone(self) -> None:
        """A lock tells a dead agent's socket from a live one's; the kernel lets go of it with the process."""
        self._lock = os.open(f"{self._path}.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if (
            os.geteuid() == 0
        ):  # who tries it by hand is not to leave the service in front of a lock that it may not open
            folder = self._path.parent.stat()
            os.fchown(self._lock, folder.st_uid, folder.st_gid)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Misuse(
                f"an agent runs already: it listens at {self._path}. Stop it first, or give this one another socket."
            ) from None

    async def _on_client(
        self, questions: tuple[Question, ...], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._clients += 1
        try:
            async with asyncio.timeout(PATIENCE):
                line = await reader.readline()
            document = await self._document(line, questions)
            writer.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
        except (OSError, ValueError, TimeoutError):  # ValueError: a line without end
            pass
        finally:
            self._clients -= 1
            writer.close()

    async def _document(self, line: bytes, questions: tuple[Question, ...]) -> dict[str, Any]:
        try:
            if self._clients > _CLIENTS:
                raise Misuse(f"{_CLIENTS} others ask it at this moment. Ask again.")
            async with asyncio.timeout(_WITHIN):
                state = await self._answer(_question(line, questions))
        except LbkitError as e:
            return _refusal(str(e))
        except TimeoutError:
            return _refusal(f"not done within {_WITHIN:g} s; it goes on. See its log.")
        return {"version": VERSION, "ok": True, **state.as_dict()}


def _refusal(said: str) -> dict[str, Any]:
    return {"version": VERSION, "ok": False, "error": said}


def _question(line: bytes, questions: tuple[Question, ...]) -> Question:
    try:
        document = json.loads(line)
        for known in questions:
            if (document["version"], document["ask"]) == (VERSION, known):
                return known
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise Misuse(f"this is no question of version {VERSION}. Are both of one version? lbkit doctor")
