"""A check as an engine can run it by itself: neutral, so that only the engine's room writes or quotes its language.

TLS stands beside it, in the check's parameters. A script says the same as the check's protocol, or it is not given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to the server."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Expect:
    """What the server is to answer; anything else is down.

    `pattern`: a regular expression over all that was received since the last Send as upper-case hexadecimal, two digits a
    byte, found anywhere unless it begins with ^. `minimum`: bytes without which nothing is decided.
    """

    pattern: str
    minimum: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """A connection, a TLS handshake where there is TLS, and then these; none: that alone is up."""

    steps: tuple[Send | Expect, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpGet:
    """One HTTP/1.1 GET without a body. Both the status and the body have to be as expected.

    `host_for(host, port)`: the Host header for a target. `match`: as the check https-get has it; equals does not count white
    space at both ends, regex is found anywhere.
    """

    path: str
    host_for: Callable[[str, int], str]
    statuses: tuple[int, ...]
    match: Literal["equals", "contains", "regex", "anything"]
    body: str


Script: TypeAlias = Exchange | HttpGet
