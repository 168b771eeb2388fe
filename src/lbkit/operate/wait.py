"""Waiting until a real server that was drained or halted is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbkit.errors import WaitRanOut
from lbkit.operate.engines import engine_of
from lbkit.operate.outcome import Done
from lbkit.operate.wording import many
from lbkit.site.model import Site
from lbkit.site.naming import vip_of

POLL = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Left:
    """What a server still has: open connections, those in workers of before a reload, and entries that name it."""

    vip: str
    server: str
    connections: int
    old_connections: int
    entries: int

    @property
    def is_nothing(self) -> bool:
        """Whether the server is left alone."""
        return not (self.connections or self.old_connections or self.entries)

    def __str__(self) -> str:
        """What is left, in words."""
        old = f" and {self.old_connections} of before a reload" if self.old_connections else ""
        entries = f", {many(self.entries, 'client')} that the table keeps there" if self.entries else ""
        return f"{self.vip}/{self.server}: {many(self.connections, 'open connection')}{old}{entries}"


def wait(
    site: Site,
    done: Sequence[Done],
    timeout: float,
    seen: Callable[[list[Left]], None] | None = None,
    state: Path | None = None,
) -> None:
    """Until none of these servers has a connection or an entry; `seen` is told every half second what is left.

    `state`: the folder of intents.
    The numbers of `done` are brought up to date. Raises WaitRanOut, saying what is left, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        left = [one for each in done if (one := _left(site, each, state)) is not None]
        if seen is not None:
            seen(left)
        busy = [one for one in left if not one.is_nothing]
        if not busy:
            return
        if (remaining := deadline - time.monotonic()) <= 0:
            still = "; ".join(map(str, busy))
            raise WaitRanOut(f"after {timeout:g} s there is still {still}. Wait on, or end them: lbkit halt")
        time.sleep(min(POLL, remaining))


def _left(site: Site, done: Done, state: Path | None) -> Left | None:
    if done.server is None:
        return None
    vip = vip_of(site, done.vip)
    engine = engine_of(site, vip, state)
    done.connections, old = engine.connections(vip.label, done.server)
    done.entries = engine.entries(vip, done.server)
    return Left(vip.label, done.server, done.connections - old, old, done.entries)
