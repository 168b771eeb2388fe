"""A check as HAProxy runs it: a kind's neutral script, in HAProxy's language (manual 4.2: http-check, tcp-check)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lbkit.checks.script import Exchange, Expect, HttpGet, Script, Send
from lbkit.haproxy.quoting import line, pattern
from lbkit.haproxy.regex import escaped

_SPACE = "[[:space:]]*"
_HEADERS = (("User-Agent", "lbkit"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))


def hosts_file(vip: str) -> str:
    """The Host header of the check for each server, seen from haproxy.cfg."""
    return f"lists/{vip}.map"


def directives(script: Script, ports: Sequence[int | None], host: Callable[[int | None], str]) -> list[str]:
    """The lines of a section. `ports`: those to connect to one after the other; None: the port of each server line.

    `host`: the Host header at a port, as a log format. TLS terms are not among them: they stand on the server lines.
    """
    if isinstance(script, HttpGet):
        lines = [one for port in ports for one in (_connect("http", port), *_http_get(script, host(port)))]
        return ["option httpchk", *lines]
    if not script.steps and list(ports) == [None]:
        return []  # a connection alone is what `check` does by itself
    return ["option tcp-check", *[one for port in ports for one in (_connect("tcp", port), *_exchange(script))]]


def _connect(kind: str, port: int | None) -> str:
    """`default`: with the TLS and PROXY terms of the server line."""
    return f"{kind}-check connect default" + ("" if port is None else f" port {port}")


def _exchange(script: Exchange) -> Iterator[str]:
    for step in script.steps:
        match step:
            case Send(data):
                yield f"tcp-check send-binary {data.hex()}"
            case Expect(wanted, minimum):
                yield line("tcp-check", "expect", "min-recv", str(minimum), "rbinary", wanted)


def _http_get(script: HttpGet, host: str) -> Iterator[str]:
    """Both must hold, status and body: a 503 with the right body is down."""
    headers = [word for name, value in (("Host", host), *_HEADERS) for word in ("hdr", name, value)]
    yield line("http-check", "send", "meth", "GET", "uri", script.path, "ver", "HTTP/1.1", *headers)
    yield line("http-check", "expect", "status", ",".join(map(str, script.statuses)))
    if script.match != "anything" and script.body:
        yield line("http-check", "expect", "rstring", _body(script))


def _body(script: HttpGet) -> str:
    if script.match == "regex":
        return escaped(script.body)
    if script.match == "contains":
        return pattern(script.body)
    return f"^{_SPACE}{pattern(script.body.strip())}{_SPACE}$"
