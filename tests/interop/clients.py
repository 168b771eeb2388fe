"""Clients of a rendered VIP, and servers that say their names."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable

from interop import http_faults

from lbkit.testing import Listener

VIP = "127.0.0.2"  # no server's own address
CLIENT = "127.0.0.9"
CHECK = {"kind": "connect", "interval": "100ms", "rise": 1, "fall": 1}
GET = b"GET / HTTP/1.1\r\nHost: ccw\r\nConnection: close\r\n\r\n"


def client(port: int, address: str = VIP, source: str = CLIENT) -> socket.socket:
    """A client's connection; nothing on it takes longer than 5 s."""
    return socket.create_connection((address, port), timeout=5, source_address=(source, 0))


def echo(connection: socket.socket) -> None:
    while data := connection.recv(4096):
        connection.sendall(data)


def says(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words)
    return connection.recv(len(words), socket.MSG_WAITALL)


def until_closed(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def asked(port: int, request: bytes = GET) -> bytes:
    """All that comes of one request."""
    with client(port) as connection:
        connection.sendall(request)
        return until_closed(connection)


def named(name: str) -> Listener:
    """A server that says its name and holds the connection until the client leaves."""
    return Listener(lambda one: (one.sendall(name.encode()), one.recv(1)))


def reached(port: int, address: str = VIP, source: str = CLIENT) -> str:
    """The name of the server that takes a new connection, which ends then."""
    with client(port, address, source) as connection:
        return connection.recv(64).decode().strip()


def tally(port: int, times: int) -> Counter[str]:
    return Counter(reached(port) for _ in range(times))


def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Heads:
    """A web server that is well and keeps the heads that it was sent."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def play(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = client.recv(65536)
            if not more:
                return
            head += more
        self.heads.append(head)
        client.sendall(http_faults.WHOLE)

    def hosts(self) -> set[str]:
        return {
            line.partition(b":")[2].strip().decode()
            for head in self.heads
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"host:")
        }
