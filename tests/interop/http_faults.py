"""Every way in which a web server can fail or be odd, and what https-get must say of it: one table, ordered by step."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Act: TypeAlias = Callable[[socket.socket], object]

BODY = b"allServicesOperative"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
WHOLE = HEAD + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
LONG_CHUNK = b"1;" + b"x" * 9000 + b"\r\ny\r\n"  # a byte of the body, and an extension that means nothing
DRIP = 0.1  # seconds between two bytes


class Verdict(NamedTuple):
    """What the check must say."""

    status: str
    step: str
    reason: str


class Fault(NamedTuple):
    """One way of being broken or odd, and the acts of a server that is it; when they have run out, it stays silent."""

    name: str
    expected: Verdict
    script: tuple[Act, ...]

    def play(self, client: socket.socket) -> None:
        for act in self.script:
            act(client)
        while client.recv(4096):
            pass


def hear(client: socket.socket) -> None:
    """Read a request."""
    heard = b""
    while not heard.endswith(b"\r\n\r\n"):
        heard += client.recv(4096) or b"\r\n\r\n"


def say(data: bytes) -> Act:
    return lambda client: client.sendall(data)


def close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def drip(data: bytes, seconds: float = DRIP) -> Act:
    """Send single bytes."""

    def act(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            client.sendall(bytes((byte,)))
            time.sleep(seconds)

    return act


def flood(client: socket.socket) -> None:
    """16 MiB, so that a client without a limit fills no machine."""
    for _ in range(256):
        client.sendall(bytes(65536))


def redirect(location: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"


UP = Verdict("up", "body", "ok")


def down(step: str, reason: str) -> Verdict:
    return Verdict("down", step, reason)


# One fault is one row.
# fmt: off
FAULTS = (
    Fault("healthy", UP, (hear, say(WHOLE))),
    Fault("healthy-and-closes", UP, (hear, say(WHOLE), close)),
    Fault("healthy-and-resets", UP, (hear, say(WHOLE), hear, reset)),
    Fault("healthy-byte-by-byte", UP, (hear, drip(WHOLE, 0))),
    Fault("healthy-in-chunks", UP, (hear, say(CHUNKED + b"8\r\nallServi\r\nc\r\ncesOperative\r\n0\r\n\r\n"))),
    Fault("healthy-until-close", UP, (hear, say(ENDLESS + BODY), close)),
    Fault("healthy-http-1.0", UP, (hear, say(b"HTTP/1.0 200 OK\r\n\r\n" + BODY + b"\r\n"), close)),
    Fault("healthy-after-early-hints", UP, (hear, say(b"HTTP/1.1 103 Early Hints\r\n\r\n"), say(WHOLE))),

    Fault("silent", down("request", "timed-out"), ()),
    Fault("silent-after-request", down("request", "timed-out"), (hear,)),
    Fault("closed-at-accept", down("request", "closed"), (close,)),
    Fault("closed-after-request", down("request", "closed"), (hear, close)),
    Fault("reset-after-request", down("request", "reset"), (hear, reset)),
    Fault("silent-in-head", down("request", "timed-out"), (hear, say(HEAD[:30]))),
    Fault("closed-in-head", down("request", "closed"), (hear, say(HEAD[:30]), close)),
    Fault("dripping", down("request", "timed-out"), (hear, drip(HEAD))),
    Fault("only-early-hints", down("request", "protocol-error"), (hear, say(b"HTTP/1.1 103 Hints\r\n\r\n" * 20))),
    Fault("endless-head", down("request", "protocol-error"), (hear, say(b"HTTP/1.1 200 OK\r\nX: "), flood)),
    Fault("broken-head", down("request", "protocol-error"), (hear, say(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"))),
    Fault("ssh", down("request", "not-http"), (say(b"SSH-2.0-OpenSSH_9.2p1\r\n"),)),
    Fault("http-2", down("request", "not-http"), (say(b"\0\0\x12\4\0\0\0\0\0" + bytes(18)),)),
    Fault("http-0.9", down("request", "not-http"), (hear, say(b"<html><body>allServicesOperative"), close)),
    Fault("noise", down("request", "not-http"), (hear, say(b"\xff" * 512))),

    Fault("503-with-the-right-body", down("status", "http-status"), (hear, say(WHOLE.replace(b"200", b"503")))),
    Fault("503-and-no-body", down("status", "http-status"), (hear, say(HEAD.replace(b"200", b"503")))),
    Fault("503-and-closes", down("status", "http-status"), (hear, say(HEAD.replace(b"200", b"503")), close)),
    Fault("503-and-floods", down("status", "http-status"), (hear, say(ENDLESS.replace(b"200", b"503")), flood)),
    Fault("404", down("status", "http-status"), (hear, say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))),
    Fault("redirect", down("status", "redirected"), (hear, say(redirect(b"/login")))),

    Fault("another-body", down("body", "body"), (hear, say(WHOLE.replace(b"allServices", b"twoServices")))),
    Fault("no-body", down("body", "body"), (hear, say(ENDLESS), close)),
    Fault("silent-in-body", down("body", "timed-out"), (hear, say(WHOLE[:-1]))),
    Fault("closed-in-body", down("body", "closed"), (hear, say(WHOLE[:-1]), close)),
    Fault("reset-in-body", down("body", "reset"), (hear, say(WHOLE[:-1]), lambda client: time.sleep(DRIP), reset)),
    Fault("endless-body", down("body", "body-too-large"), (hear, say(ENDLESS), flood)),
    Fault("endless-chunks", down("body", "protocol-error"), (hear, say(CHUNKED), *[say(LONG_CHUNK)] * 200)),
    Fault("broken-chunk", down("body", "protocol-error"), (hear, say(CHUNKED + b"what\r\n"))),
    Fault("compressed", down("body", "content-encoding"),
          (hear, say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0"))),
)
# fmt: on
