"""A site that is applied, and `lbkit agent` beside its HAProxy, both as they are typed."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import command
from interop.agents import AgentProcess, eventually
from interop.operated import HOST, Named, Operated, own_port
from unit.site_text import server, vip

from lbkit.haproxy import process, program
from lbkit.operate.outcome import ServerView
from lbkit.operate.overview import overview

LBKIT = str(Path(sys.executable).with_name("lbkit"))
_LINGER = struct.pack("ii", 1, 0)
_GET = b"GET / HTTP/1.1\r\nHost: ccw\r\nConnection: close\r\n\r\n"


class Web(Named):
    """A web server that says its name and `body`; inside TLS, where `secured` is given."""

    def __init__(self, name: str, host: str = HOST, secured: ssl.SSLContext | None = None) -> None:
        self.body = b"ok"
        self._secured = secured
        super().__init__(name, host)

    def rise(self) -> None:
        web = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError), web._inside(self.request) as talk:
                    while b"\r\n\r\n" not in talk.recv(4096):
                        pass
                    head = f"HTTP/1.1 200 OK\r\nX-Name: {web.name}\r\nContent-Length: {len(web.body)}\r\n"
                    talk.sendall(f"{head}Connection: close\r\n\r\n".encode() + web.body)

        self._serve(Handler)

    def _inside(self, plain: socket.socket) -> socket.socket:
        return self._secured.wrap_socket(plain, server_side=True) if self._secured else plain


class CommandLine(AgentProcess):
    """`lbkit agent` of a site that is applied."""

    def __init__(self, site: Operated) -> None:
        super().__init__(site.folder)
        self.own = site
        self.state_folder = site.state

    @property
    def command(self) -> list[str]:
        return [LBKIT, "agent", "--site", str(self.own.file)]

    def start(self, *flags: str, **environment: str) -> None:
        super().start(*flags, LBKIT_STATE=str(self.state_folder), **environment)


class Both:
    """A site that is applied, with its agent, which runs once it is started."""

    def __init__(self, site: Operated, agent: CommandLine, *servers: Web) -> None:
        self.site = site
        self.agent = agent
        self.servers = servers

    @property
    def one(self) -> Web:
        return self.servers[0]

    def seen(self, place: str) -> ServerView:
        """As `lbkit overview` has it."""
        label, _, name = place.partition("/")
        (view,) = overview(self.site.site, [label], self.site.state)
        return next(one for one in view.servers if one.label == name)

    def until(self, health: str, *places: str) -> float:
        """When all of them are so."""
        eventually(lambda: all(self.seen(place).health == health for place in places))
        return time.monotonic()

    def lbkit(self, *words: str) -> subprocess.CompletedProcess[str]:
        place = {"LBKIT_STATE": str(self.site.state), "LBKIT_SITE": str(self.site.file), "COLUMNS": "200"}
        return command.lbkit(*words, environment=place)

    def done(self, *words: str) -> str:
        ran = self.lbkit(*words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    def named(self, label: str) -> str:
        """Which server answers a new client; "": none does."""
        with self.site.connect(label) as talk, suppress(ConnectionError):
            talk.sendall(_GET)
            answer = b"".join(iter(lambda: talk.recv(4096), b""))
            talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            return answer.partition(b"X-Name: ")[2].partition(b"\r\n")[0].decode()
        return ""

    def names(self, label: str) -> set[str]:
        return {self.named(label) for _ in range(6)}

    def processes(self, kind: str) -> list[int]:
        return [one.pid for one in self.site.haproxy.master.processes() if one.kind == kind]

    def reload_by_hand(self) -> None:
        before = self.site.haproxy.runtime.info()["Pid"]
        os.kill(self.processes("master")[0], signal.SIGUSR2)
        eventually(lambda: self.site.haproxy.runtime.info()["Pid"] != before)

    def crash_and_start(self) -> None:
        for one in self.site.haproxy.master.processes():
            os.kill(one.pid, signal.SIGKILL)
        process.start(self.site.haproxy, program.find())

    def vip(self, label: str, check: dict[str, Any], *, weight: int = 100, **more: Any) -> dict[str, Any]:
        """A VIP in front of both; it keeps its port."""
        known = next((one.ports[0] for one in self.site.site.vips if one.label == label), 0)
        servers = [server(each.name, f"{each.host}:{each.port}", weight=weight) for each in self.servers]
        return vip(label, f"{HOST}:{known or own_port()}", *servers, check=check, scheduler="round-robin", **more)
