"""A small site, applied: a real HAProxy in front of real servers that say their names."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from interop.remotes import HOST, free_port
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.registry import Registry
from lbkit.haproxy import process
from lbkit.haproxy.engine import Haproxy
from lbkit.operate.apply import Applied, apply
from lbkit.operate.asked import Asked

_BIND_ADDRESS_NO_PORT = 24  # Linux, ip(7): the port is chosen with the connection
_given: set[int] = set()


def own_port() -> int:
    """A free port that no other of this run has: thousands of connections that have just ended hold most of them."""
    port = free_port()
    while port in _given:
        port = free_port()
    _given.add(port)
    return port


class Named:
    """A server that tells each connection its name at once, then echoes until it is closed; it can die and come back."""

    def __init__(self, name: str, host: str = HOST) -> None:
        self.name = name
        self.host = host
        self.port = own_port()
        self._server: socketserver.ThreadingTCPServer | None = None
        self._open: list[socket.socket] = []
        self.rise()

    def rise(self) -> None:
        named = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                named._open.append(self.request)
                try:
                    self.request.sendall(named.name.encode() + b"\n")
                    while data := self.request.recv(4096):
                        self.request.sendall(data)
                except OSError:
                    pass

        self._serve(Handler)

    def _serve(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 1024
            block_on_close = False

        self._server = Server((self.host, self.port), handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def die(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()


class Operated:
    """`site`: loaded; `vips`: ports by label; `servers`: by label. All of it lives in `folder`."""

    def __init__(
        self, folder: Path, *vips: dict[str, Any], servers: dict[str, Named], peer_port: int = 0, **more: Any
    ) -> None:
        self.folder = folder
        self.servers = servers
        self.state = folder / "state"
        self.file = folder / "site.toml"
        self._settings = {
            "folder": "etc", "runtime": "run", "master_socket": "run/master.sock", "max_connections": 2000,
            "stats_port": own_port(), "peer_port": peer_port or own_port(),
        }  # fmt: skip
        self._more = more
        self.kind_of = Registry().kind
        self.write(*vips)

    def write(self, *vips: dict[str, Any]) -> None:
        self.file.write_text(site(*vips, haproxy=self._settings, **self._more))
        self.site = lbkit.load_site(self.file)

    def apply(self, **more: Any) -> Applied:
        return apply(self.site, self.kind_of, state=self.state, **more)

    @property
    def haproxy(self) -> Haproxy:
        return Haproxy(self.site)

    def asked(self, vip: str | None, rip: str, **more: Any) -> Asked:
        return Asked(vip, rip, state=self.state, **more)

    def connect(self, label: str, source: str = HOST) -> socket.socket:
        found = next(one for one in self.site.vips if one.label == label)
        made = socket.socket()
        made.settimeout(10)
        if source != HOST:
            made.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            made.bind((source, 0))
        try:
            made.connect((found.address, found.ports[0]))
        except BaseException:
            made.close()
            raise
        return made

    def named(self, label: str, source: str = HOST) -> str:
        """Which server takes a new connection; "": none. It ends in a reset, so that thousands leave no port behind."""
        with self.connect(label, source) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                return connection.recv(64).decode().strip()
            except ConnectionError:
                return ""

    def tally(self, label: str, times: int) -> Counter[str]:
        return Counter(self.named(label) for _ in range(times))


CHECK = {"kind": "connect", "interval": "100ms", "rise": 1, "fall": 2}


@contextmanager
def operated(folder: Path, *vips: dict[str, Any], servers: dict[str, Named], **more: Any) -> Iterator[Operated]:
    """Applied, running, all servers seen up once."""
    made = Operated(folder, *vips, servers=servers, **more)
    try:
        made.apply()
        yield made
    finally:
        process.stop(made.haproxy)
        for one in servers.values():
            one.die()


def three_vips(one: Named, two: Named) -> list[dict[str, Any]]:
    """Last Successful, source IP, none; in front of the same two servers."""
    both = [server(each.name, f"{each.host}:{each.port}") for each in (one, two)]
    return [
        vip(
            "LAST",
            f"{HOST}:{own_port()}",
            *both,
            check=CHECK,
            scheduler="first",
            persistence={"mode": "last-successful"},
        ),
        vip("SOURCE", f"{HOST}:{own_port()}", *both, check=CHECK, persistence={"mode": "source-ip"}),
        vip("NONE", f"{HOST}:{own_port()}", *both, check=CHECK),
    ]
