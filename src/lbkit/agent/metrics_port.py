"""The metrics of this node over HTTP, for a Prometheus on this machine: on loopback or on a unix socket, and nowhere else.

A page is written in slices, so that no check waits for a whole one. Whoever asks over TCP must name this machine: a browser
that another page sends here, under a name that leads here (DNS rebinding), names another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from lbkit.agent import unix_socket
from lbkit.errors import LbkitError
from lbkit.metrics.figures import Figures
from lbkit.metrics.page import CONTENT_TYPE, page
from lbkit.site.model import Site

log = logging.getLogger("lbkit.agent")

HOST = "127.0.0.1"
PATIENCE = 5.0  # seconds for a client's request, and for it to read its answer
AGAIN = 10.0  # seconds until a place that can't be had is tried again
MOST_CLIENTS = 8  # at once
LONGEST = 8192  # bytes of a request
_ENDS_WITHIN = 0.5  # seconds that a page that is being written gets to be given up
_SLICE = 0.001  # seconds of the loop that a page takes at a time
_CHUNK = 1 << 16  # bytes
_TEXT = "text/plain; charset=utf-8"
_BY_NAME = ": this node answers to localhost and loopback addresses alone. Ask it there, or have the proxy name it so."
_WELCOME = b"lbkit's agent. Its metrics for Prometheus are at /metrics.\n"


class _Place(NamedTuple):
    """Where a site has its metrics served. `group`: of the socket."""

    port: int | None
    socket: str | None
    group: str | None

    def __str__(self) -> str:
        return f"{HOST}:{self.port}" if self.port else str(self.socket)


class MetricsPort:
    """`figures`: those of now. `trouble`: why nothing is served, in words, "": as the site has it."""

    def __init__(self, figures: Callable[[], Awaitable[Figures]]) -> None:
        self._figures = figures
        self._place: _Place | None = None
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._trying: asyncio.Task[None] | None = None
        self.trouble = ""

    async def take(self, site: Site) -> None:
        """Serve where this site has it; nowhere, if it says nothing of metrics. A place that can't be had is logged, and
        tried again and again.
        """
        place = _Place(site.metrics.port, site.metrics.socket, site.agent.group) if site.metrics else None
        if place == self._place and not self.trouble:
            return
        await self.close()
        self._place, self.trouble = place, ""
        if place is not None and not await self._could_listen(place):
            log.error("%s", self.trouble)
            self._trying = asyncio.create_task(self._try_again(place))

    async def close(self) -> None:
        """Listen no more."""
        if self._trying is not None:
            self._trying.cancel()
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for client in self._clients:
            client.transport.abort()
        if answering := [task for task in self._clients.values() if task is not None]:
            await asyncio.wait(answering, timeout=_ENDS_WITHIN)
        if self._place is not None and self._place.socket:
            with suppress(OSError):
                unix_socket.remove(Path(self._place.socket))

    async def _try_again(self, place: _Place) -> None:
        while self.trouble:
            await asyncio.sleep(AGAIN)
            if await self._could_listen(place):
                log.info("metrics are served at %s", place)

    async def _could_listen(self, place: _Place) -> bool:
        try:
            await self._listen(place)
        except (OSError, LbkitError) as e:
            number = e.errno if isinstance(e, OSError) else None
            why = os.strerror(number) if number else str(e)  # asyncio puts words of its own around it
            self.trouble = (
                f"metrics can't be served at {place}: {why}. Free it, or give another ([metrics] port or socket)."
            )
        else:
            self.trouble = ""
        return not self.trouble

    async def _listen(self, place: _Place) -> None:
        if place.socket:
            listening = unix_socket.bound(Path(place.socket), unix_socket.group_number(place.group))
            self._server = await asyncio.start_unix_server(self._on_client, sock=listening, limit=LONGEST)
        else:
            self._server = await asyncio.start_server(self._on_client, HOST, place.port, limit=LONGEST)

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = asyncio.current_task()
        try:
            if len(self._clients) > MOST_CLIENTS:
                writer.transport.abort()
                return
            await _send(writer, await self._answer(reader))
        except (OSError, EOFError, TimeoutError):
            writer.transport.abort()
        finally:
            del self._clients[writer]
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        refused, path = _asked(head, by_name=self._place is not None and self._place.socket is None)
        if refused is not None:
            return _said(refused)
        if path == "/":
            return _response(HTTPStatus.OK, _TEXT, _WELCOME)
        if path != "/metrics":
            return _said(HTTPStatus.NOT_FOUND)
        try:
            return _response(HTTPStatus.OK, CONTENT_TYPE, await self._page())
        except Exception:  # the agent goes on, whatever is wrong with its figures
            log.exception("the page of metrics can't be written")
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _page(self) -> bytes:
        parts: list[bytes] = []
        until = time.perf_counter() + _SLICE
        for part in page(await self._figures()):
            parts.append(part.encode())
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + _SLICE
        return b"".join(parts)


async def _send(writer: asyncio.StreamWriter, response: tuple[bytes, bytes]) -> None:
    """In chunks: of what the client has not read yet the transport makes copies."""
    writer.transport.set_write_buffer_limits(0)  # so that `drain` waits until all is read
    async with asyncio.timeout(PATIENCE):
        for part in response:
            for at in range(0, len(part), _CHUNK):
                writer.write(memoryview(part)[at : at + _CHUNK])
                await writer.drain()


def _asked(head: bytes, by_name: bool) -> tuple[HTTPStatus | None, str]:
    """Why a request is refused, None: it is not; and its path. `by_name`: it must be to this machine by name or address."""
    request, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = request.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        return HTTPStatus.BAD_REQUEST, ""
    if words[0] != "GET":
        return HTTPStatus.METHOD_NOT_ALLOWED, ""
    hosts = [value.strip() for name, _, value in (field.partition(":") for field in fields) if name.lower() == "host"]
    if by_name and not all(map(_is_of_this_machine, hosts)):
        return HTTPStatus.FORBIDDEN, ""
    return None, words[1].partition("?")[0]


def _is_of_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _said(status: HTTPStatus) -> tuple[bytes, bytes]:
    hint = _BY_NAME if status == HTTPStatus.FORBIDDEN else ""
    return _response(status, _TEXT, f"{status.phrase}{hint}\n".encode())


def _response(status: HTTPStatus, content_type: str, body: bytes) -> tuple[bytes, bytes]:
    allowed = "Allow: GET\r\n" if status == HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{allowed}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode(), body
