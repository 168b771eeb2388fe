"""Clients and real servers of a pair, each a process in the namespace of its machine, and what became of the clients."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from system.namespaces import Namespace

_HERE = Path(__file__).parent
_ENDS_WITHIN = 30.0  # seconds


@dataclass(frozen=True)
class Call:
    """A connection that was tried. Seconds of time.monotonic(); `who`: the server that answered, "": none, for `why`."""

    begun: float
    ended: float
    who: str
    why: str
    source: str | None


@dataclass
class Probe:
    """New connections, one after the other at a steady pace: complete once its block has ended."""

    calls: list[Call] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(not one.who for one in self.calls)

    @property
    def outage(self) -> float:
        """Seconds from the first that failed to the first that was well after the last that failed; 0: none failed."""
        bad = [one.begun for one in self.calls if not one.who]
        if not bad:
            return 0.0
        return next((one.begun for one in self.calls if one.begun > bad[-1]), float("inf")) - bad[0]

    @property
    def silence(self) -> float:
        """The longest time between two that were well, in seconds: an outage, where others fail now and then."""
        good = [one.begun for one in self.calls if one.who]
        return max((later - one for one, later in pairwise(good)), default=float("inf"))

    @property
    def servers(self) -> Counter[str]:
        """How many each answered."""
        return Counter(one.who for one in self.calls if one.who)

    def misrouted(self, wanted: str) -> int:
        """How many another server than this one answered."""
        return self.servers.total() - self.servers[wanted]

    @property
    def by_source(self) -> dict[str | None, set[str]]:
        """Which servers answered each address of the client."""
        found: dict[str | None, set[str]] = {}
        for one in self.calls:
            if one.who:
                found.setdefault(one.source, set()).add(one.who)
        return found

    @property
    def reasons(self) -> Counter[str]:
        """Of those that failed."""
        return Counter(one.why for one in self.calls if not one.who)


@dataclass
class Sessions:
    """Connections that stay and say a line again and again: complete once their block has ended.

    `broken`: ended by the other end; `hung`: a line got no answer. `longest`: seconds that one waited for an answer.
    """

    opened: int = 0
    broken: int = 0
    hung: int = 0
    lines: int = 0
    longest: float = 0.0
    servers: Counter[str] = field(default_factory=Counter)


@contextmanager
def probing(
    client: Namespace,
    address: str,
    port: int,
    *,
    every: float = 0.004,
    timeout: float = 0.25,
    sources: Sequence[str] = (),
) -> Iterator[Probe]:
    """A new connection every so many seconds, from each of `sources` in turn; one not answered in `timeout` has failed."""
    probe = Probe()
    given = [*sources] or [""]
    with _callers(client, "probe", address, port, every, timeout, *given) as found:
        yield probe
    probe.calls = [Call(begun, ended, who, why, source or None) for begun, ended, who, why, source in found]


@contextmanager
def sessions(
    client: Namespace, address: str, port: int, number: int, *, every: float = 0.05, patience: float = 5.0
) -> Iterator[Sessions]:
    """So many connections, open when the block begins."""
    made = Sessions()
    with _callers(client, "sessions", address, port, every, patience, number) as found:
        yield made
    made.opened = len(found)
    made.servers = Counter(one[0] for one in found)
    made.broken = sum(one[1] == "broken" for one in found)
    made.hung = sum(one[1] == "hung" for one in found)
    made.lines = sum(one[2] for one in found)
    made.longest = max((one[3] for one in found), default=0.0)


@contextmanager
def speaking(machine: Namespace, name: str, *ports: int) -> Iterator[subprocess.Popen[str]]:
    """A real server that tells its name; without one, the address of its client as it sees it."""
    process = _begin(machine, "speaker.py", name, *ports)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _callers(client: Namespace, *words: object) -> Iterator[list[Any]]:
    process = _begin(client, "callers.py", *words)
    found: list[Any] = []
    try:
        yield found
        said, _ = process.communicate("", timeout=_ENDS_WITHIN)
        found += json.loads(said)
    finally:
        process.kill()
        process.communicate()


def _begin(machine: Namespace, script: str, *words: object) -> subprocess.Popen[str]:
    """Once it is ready."""
    with machine.inside():
        process = subprocess.Popen(
            [sys.executable, "-S", str(_HERE / script), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == "ready\n", f"{script} does not begin"
    return process
