"""Whether the two HAProxies replicate their tables: `show peers` (management guide, 9.3), and an entry that must get across.

A session that is established shows that the other process talks; only an entry that is set here and read there shows that
tables get across. It is put into a table of its own, which the `peers` section has in a pair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from time import monotonic, sleep

from lbkit.haproxy.replies import unreadable
from lbkit.haproxy.runtime import Runtime
from lbkit.haproxy.wording import key as quoted

_TABLE = "_pair/probe"  # of the template
_SILENT_AT_MOST = 5  # seconds: HAProxy hangs up then, and `reconnect=` counts down from there with every message
_POLL = 0.01

_PEER = re.compile(r" +0x[0-9a-f]+: id=(\S+)\((local|remote),\w+\) addr=(\S+) last_status=(\S+) last_hdshk=(\S+)")
_SILENCE = re.compile(r" +reconnect=(\d+)s ")


@dataclass(frozen=True, slots=True)
class PeerSession:
    """One of the nodes in a HAProxy's `peers`. `status`: in its words: ESTA, CONN, RCON, …; after a loss the last one.

    `established`: tables get across now. `heard`: seconds since the other one's last message, in whole ones; None: unknown.
    """

    name: str
    local: bool
    address: str
    status: str
    established: bool
    heard: float | None


def sessions(runtime: Runtime) -> list[PeerSession]:
    """With each node, this one too. Raises EngineError."""
    return parsed(runtime.ask("show peers"))


def parsed(text: str) -> list[PeerSession]:
    """`show peers`. Seen on 2.6.12 and 2.8.25; a session that is lost keeps its last status, and loses its `state=`."""
    found: list[PeerSession] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if (one := _PEER.match(line)) is None:
            continue
        name, kind, address, status, _ = one.groups()
        silence = _SILENCE.match(lines[number + 1]) if number + 1 < len(lines) else None
        flags = lines[number + 2] if number + 2 < len(lines) else ""
        established = status == "ESTA" and flags.endswith("state=EST")
        heard = max(0.0, float(_SILENT_AT_MOST - int(silence[1]))) if silence and established else None
        found.append(PeerSession(name, kind == "local", address, status, established, heard))
    if text.strip() and not found:
        raise unreadable("show peers", lines[0])
    return found


def set_probe(runtime: Runtime, key: str) -> None:
    """Set an entry, which is gone after a minute. Raises EngineError: where its configuration has no such table too."""
    runtime.write(f"set table {_TABLE} key {quoted(key)}")


def has_probe(runtime: Runtime, key: str, within: float) -> bool:
    """Whether an entry that the other node has set is here, or comes `within` so many seconds. Raises EngineError."""
    deadline = monotonic() + within
    while True:
        if f" key={key} " in runtime.ask(f"show table {_TABLE} key {quoted(key)}"):
            return True
        if monotonic() >= deadline:
            return False
        sleep(_POLL)
