"""Waiting until a real server that was drained or halted is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbkit.errors import LbkitError, WaitRanOut
from lbkit.operate.engines import engine_of
from lbkit.operate.outcome import Done
from lbkit.operate.wording import many
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.site.naming import vip_of
from lbkit.state.node import peer_of

POLL = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Left:
    """What a server still has: open connections, those in workers of before a reload, entries that name it, and open
    connections on the other node.
    """

    vip: str
    server: str
    connections: int
    old_connections: int
    entries: int
    elsewhere: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether the server is left alone."""
        return not (self.connections or self.old_connections or self.entries or self.elsewhere)

    def __str__(self) -> str:
        """What is left, in words."""
        old = f" and {self.old_connections} of before a reload" if self.old_connections else ""
        entries = f", {many(self.entries, 'client')} that the table keeps there" if self.entries else ""
        there = f", {self.elsewhere} on the other node" if self.elsewhere else ""
        return f"{self.vip}/{self.server}: {many(self.connections, 'open connection')}{old}{there}{entries}"


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
    with _Elsewhere(site, done) as elsewhere:
        while True:
            there = elsewhere.count()
            left = [one for each in done if (one := _left(site, each, there, state)) is not None]
            if seen is not None:
                seen(left)
            busy = [one for one in left if not one.is_nothing]
            if not busy:
                return
            if (remaining := deadline - time.monotonic()) <= 0:
                still = "; ".join(map(str, busy))
                raise WaitRanOut(f"after {timeout:g} s there is still {still}. Wait on, or end them: lbkit halt")
            time.sleep(min(POLL, remaining))


class _Elsewhere:
    """Open connections on the other node. One that can't be asked any more is not asked again: what dies has none."""

    def __init__(self, site: Site, done: Sequence[Done]) -> None:
        self._places = [(one.vip, one.server) for one in done if one.server is not None]
        told = any(one.peer.outcome == "done" for one in done)
        peer = peer_of(site) if told else None
        self._link = Link(site, peer) if peer else None

    def __enter__(self) -> _Elsewhere:
        return self

    def __exit__(self, *about: object) -> None:
        self._hang_up()

    def count(self) -> Mapping[tuple[str, str | None], int]:
        """By VIP and real server."""
        if self._link is None:
            return {}
        try:
            answer = self._link.ask("connections", places=self._places)["connections"]
        except LbkitError:
            self._hang_up()
            return {}
        return dict(zip(self._places, map(int, answer), strict=True))

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None


def _left(site: Site, done: Done, elsewhere: Mapping[tuple[str, str | None], int], state: Path | None) -> Left | None:
    if done.server is None:
        return None
    vip = vip_of(site, done.vip)
    engine = engine_of(site, vip, state)
    here, old = engine.connections(vip.label, done.server)
    there = elsewhere.get((done.vip, done.server), 0)
    done.connections = here + there
    done.entries = engine.entries(vip, done.server)
    return Left(vip.label, done.server, here - old, old, done.entries, there)
