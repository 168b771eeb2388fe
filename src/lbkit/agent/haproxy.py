"""Intents in force in HAProxy, whoever reloads or restarts it.

A worker that somebody else has started knows nothing of what operators asked for. The keeper sees that another one serves,
and brings it to the site and the intents; and where the time of an intent is up, its real server back online. What an
operator does on HAProxy's own socket stays: `lbkit overview` shows that as drift.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from lbkit.agent.one_thread import OneThread
from lbkit.errors import CannotRun, LbkitError
from lbkit.haproxy import guarded
from lbkit.haproxy.engine import Haproxy
from lbkit.site.model import Site
from lbkit.state.intents import Intent, Intents

EVERY = 0.5  # seconds between two looks
_TIMEOUT = 2.0  # seconds for each request
_LOCKED_FOR = 0.2  # seconds that another lbkit is waited for, before the next look
_HELD_UP = 40.0  # seconds; no verb holds the lock that long, nor a guarded reload


class _Worker(NamedTuple):
    """A process id may be given again."""

    pid: str
    begun: str


class HaproxyKeeper:
    """Of one site on this node. `state_folder`: of intents. `log`: is told what was done, and once what fails. `mended`: is
    told of a new worker's real servers that were not as is wanted, in the thread that looks.
    """

    def __init__(
        self,
        site: Site,
        state_folder: Path | None,
        log: Callable[[str], None],
        mended: Callable[[Sequence[str]], None],
    ) -> None:
        self._haproxy = Haproxy(site, _TIMEOUT)
        self._intents = Intents(state_folder)
        self._log = log
        self._mended = mended
        self._worker: _Worker | None = None
        self._over: set[Intent] = set()  # whose end HAProxy has been told
        self._held_up_since: float | None = None
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """What keeps it from its work, in words; "": nothing."""
        return self._trouble

    async def run(self) -> None:
        """Look twice a second, until cancelled. Ends at once where the site has no layer-7 VIP."""
        if not self._haproxy.vips:
            return
        thread = OneThread("lbkit-haproxy")
        try:
            while True:
                await thread.run(self.look)
                await asyncio.sleep(EVERY)
        finally:
            thread.end()

    def look(self) -> None:
        """Look once, and do what there is to do."""
        try:
            trouble = self._looked()
        except LbkitError as e:
            trouble = str(e)
        if trouble != self._trouble:
            self._log(trouble or "HAProxy is as it should be again.")
            self._trouble = trouble

    def _looked(self) -> str:
        """What is in the way, "" where nothing is."""
        if self._served_by() == self._worker and self._ended(time.time()) <= self._over:
            self._held_up_since = None
            return ""
        with ExitStack() as alone:
            try:
                alone.enter_context(self._intents.alone(_LOCKED_FOR))
            except CannotRun as e:
                return self._held_up(str(e))
            self._held_up_since = None
            self._bring()
        return ""

    def _bring(self) -> None:
        now, worker = time.time(), self._served_by()
        intents = {(one.vip, one.server): one for one in self._intents.all(now)}
        over = self._ended(now)
        if worker != self._worker:
            changed = guarded.apply_intents(self._haproxy, intents)
            if changed:
                self._mended([f"{vip}/{server}" for vip, server in changed])
            if changed or self._worker:
                self._log(f"HAProxy has a new worker, {worker.pid}. Brought to what is wanted: {_named(changed)}.")
        else:
            changed = guarded.apply_intents(
                self._haproxy, intents, {(one.vip, one.server) for one in over - self._over}
            )
            if changed:
                self._log(f"The time of what was asked is up; online again: {_named(changed)}.")
        self._worker = worker
        self._over = over

    def _served_by(self) -> _Worker:
        info = self._haproxy.runtime.info()
        return _Worker(info["Pid"], info["Start_time_sec"])

    def _ended(self, now: float) -> set[Intent]:
        return set(self._intents.ended(now))

    def _held_up(self, why: str) -> str:
        """Another lbkit is at work, such as a guarded reload: it is waited for, and named once it takes too long."""
        now = time.monotonic()
        if self._held_up_since is None:
            self._held_up_since = now
        return why if now - self._held_up_since > _HELD_UP else self._trouble


def _named(changed: list[tuple[str, str]]) -> str:
    return ", ".join(f"{vip}/{server}" for vip, server in changed) or "all was so already"
