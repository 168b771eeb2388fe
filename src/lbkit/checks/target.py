"""What one check looks at."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lbkit.errors import Misuse

_NAME = re.compile(r"[^\s\[\]/:@?#,]+")


@dataclass(frozen=True, slots=True)
class Target:
    """An address (or host name) and port, and the VIP and its port that the target serves, where there is one."""

    host: str
    port: int
    vip: str | None = None
    vport: int | None = None

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Target:
        """Read `HOST`, `HOST:PORT`, `ADDRESS6` or `[ADDRESS6]:PORT`. Raises Misuse."""
        host, port = _split(text.strip())
        if not host or len(host) > 253 or not host.isprintable() or not (_NAME.fullmatch(host) or _is_ipv6(host)):
            raise Misuse(f"target {text!r}: this is no host name or address. Write HOST, HOST:PORT or [IPV6]:PORT.")
        if port is None and default_port is None:
            raise Misuse(f"target {text!r}: no port is given. Write HOST:PORT, or give --port.")
        return cls(host, default_port if port is None and default_port else _port(port or "", text))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if closed and (not rest or rest.startswith(":")):
            return host, rest[1:] if rest else None
        return "", None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _is_ipv6(host: str) -> bool:
    return re.fullmatch(r"[0-9A-Fa-f:.]+(%[\w.-]+)?", host) is not None and host.count(":") > 1


def _port(port: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise Misuse(f"target {text!r}: {port!r} is no port. A port is a number from 1 to 65535.")
    return int(port)
