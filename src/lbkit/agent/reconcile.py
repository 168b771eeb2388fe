"""Keeping the engine at what is wanted: on each change of health, intents or site, and every 10 s whatever happens."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lbkit.agent.engine import EngineThread, Healths, IntentsInForce
from lbkit.errors import LbkitError, NotRunning
from lbkit.ipvs import owned
from lbkit.ipvs.wanted import layer_4
from lbkit.site.model import Site
from lbkit.state.intents import Intent, Intents
from lbkit.state.observed import VipState

log = logging.getLogger("lbkit.agent")

POLL = 0.25  # seconds between two looks at whether intents have changed
DRIFT = 10.0  # seconds between two looks at whether somebody else has changed the table
BACK_OFF = (1.0, 10.0)  # seconds until a failed attempt is repeated, at first and at most
FRESH = 0.5  # seconds that a look at the engine counts
_LOGGED = 50  # steps of one attempt, each on its line
_BRIEFLY = 0.25  # seconds that a question waits for a look


class Wanted(NamedTuple):
    """What the checks have to say. `health`: as they found it; `carried`: as the engine is to have it, which is another
    where servers are held. `until`: seconds after which the shares change; None: they stay.
    """

    health: Healths
    carried: Healths
    shares: Mapping[tuple[str, str], float]
    until: float | None


class _Attempt(NamedTuple):
    generation: int
    intents: IntentsInForce
    steps: list[str]
    seen: Mapping[str, VipState] | None
    moved: bool  # intents have changed meanwhile
    unread: LbkitError | None  # why these intents are those of before


class Reconciler:
    """`observe`: look, and write nothing. `state`: the folder of intents.

    `seen`: what the engine had when it was looked at last, None: it can't be looked at, and `unseen` says why. `intents`,
    `generation`: what is in force. `trouble`: what went wrong at the last attempt, "": nothing. `took`: seconds that it
    took, None: there was none. `attempted`: set after the first one. `mended`: is told what somebody else had changed, and
    was put right.
    """

    def __init__(
        self,
        thread: EngineThread,
        site: Site,
        wanted: Callable[[], Wanted],
        state: Path | None,
        observe: bool,
        mended: Callable[[Sequence[str]], None],
    ) -> None:
        self.site = site
        self.seen: Mapping[str, VipState] | None = None
        self.unseen = "IPVS was not looked at yet."
        self.intents: IntentsInForce = {}
        self.generation = 0
        self.trouble = ""
        self.took: float | None = None
        self._gone_since: float | None = None
        self.attempted = asyncio.Event()
        self._thread = thread
        self._wanted = wanted
        self._store = Intents(state)
        self._state = state
        self._observe = observe
        self._mended = mended
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._file = self._look_at_file()
        self._known: tuple[int, tuple[Intent, ...]] | None = None  # the intents that could be read last
        self._shares: Mapping[tuple[str, str], float] = {}  # that the engine has
        self._routine = self._looked = 0.0
        self._again = float("inf")  # when it is to be done for a reason that is known now: on the loop's clock
        self._back_off = BACK_OFF[0]

    @property
    def last_words(self) -> tuple[Intent, ...] | None:
        """All intents of both layers, in force or over, as they could be read last; None: they never could."""
        return None if self._known is None else self._known[1]

    @property
    def without_engine_for(self) -> float:
        """Seconds since there has been no engine to ask; 0: there is one."""
        return 0.0 if self._gone_since is None else self._loop.time() - self._gone_since

    def ask(self) -> None:
        """Something has changed."""
        self._asked.set()

    async def done(self) -> None:
        """Wait for an attempt that begins after this call. Raises what it raises."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        self._asked.set()
        await future

    async def run(self) -> None:
        """Until it is cancelled."""
        self._asked.set()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(POLL, self._again - self._loop.time()))):
                    await self._asked.wait()
            now = self._loop.time()
            file = self._look_at_file()
            has_reason = self._asked.is_set() or file != self._file or now >= self._again
            if has_reason or now >= self._routine:
                self._asked.clear()
                self._file = file
                await self._attempt(is_routine=not has_reason)
                self.attempted.set()

    async def look(self) -> None:
        """Bring `seen` up to date if it is older than half a second, and that takes no long time."""
        now = self._loop.time()
        if (self._looking is None or self._looking.done()) and now - self._looked >= FRESH:
            self._looked = now
            self._looking = asyncio.create_task(self._refresh(now))
        if self._looking is not None and not self._looking.done():
            await asyncio.wait([self._looking], timeout=_BRIEFLY)

    async def _refresh(self, begun: float) -> None:
        try:
            seen = await self._thread.run(self._look)
        except Exception:
            log.exception("can't look at the engine")
            return
        if self._looked == begun:  # else an attempt has ended meanwhile, and knows better
            self.seen = seen

    async def _attempt(self, is_routine: bool) -> None:
        waiting, self._waiting = self._waiting, []
        wanted, site = self._wanted(), self.site
        begun = self._loop.time()
        error: Exception | None = None
        try:
            found = await self._thread.run(lambda: self._work(site, wanted))
        except Exception as e:  # the agent goes on, whatever one attempt runs into
            error = e
            self._fail(e)
        else:
            error = found.unread
            self._take(found, wanted, is_routine)
        self.took = self._loop.time() - begun
        self._routine = self._loop.time() + DRIFT
        for future in waiting:
            if not future.done() and error is not None:
                future.set_exception(error)
            elif not future.done():
                future.set_result(None)

    def _work(self, site: Site, wanted: Wanted) -> _Attempt:
        """In the engine's thread. A store that is broken keeps no dead server in: what it held before goes on."""
        unread = None
        try:
            self._known = self._store.generation, self._store.last_words()
        except LbkitError as e:
            if self._known is None:
                raise
            unread = e
        generation, known = self._known
        now = time.time()
        intents = {(one.vip, one.server): one for one in known if not one.is_over(now)}
        steps: list[str] = []
        if not layer_4(site) and not owned.read(self._state) and not owned.daemons(self._state):
            seen: Mapping[str, VipState] | None = {}
        elif self._observe:
            seen = self._look_at(site, intents, wanted)
        else:
            engine = self._thread.of(site)
            steps = engine.reconcile(intents, wanted.carried, wanted.shares)
            seen = engine.seen(intents, wanted.health, wanted.shares)
        moved = unread is None and self._store.generation != generation
        return _Attempt(generation, intents, steps, seen, moved, unread)

    def _look(self) -> Mapping[str, VipState] | None:
        """In the engine's thread."""
        return self._look_at(self.site, self.intents, self._wanted()._replace(shares=self._shares))

    def _look_at(self, site: Site, intents: IntentsInForce, wanted: Wanted) -> Mapping[str, VipState] | None:
        try:
            return self._thread.of(site).seen(intents, wanted.health, wanted.shares)
        except LbkitError as e:
            self.unseen = str(e)
            return None

    def _take(self, found: _Attempt, wanted: Wanted, is_routine: bool) -> None:
        by_others = is_routine and found.intents == self.intents and wanted.shares == self._shares
        self.generation, self.intents, self.seen = found.generation, found.intents, found.seen
        self._shares = wanted.shares
        self._looked = now = self._loop.time()
        ends = [one.until - time.time() for one in found.intents.values() if one.until is not None]
        self._again = now + min([float("inf"), *ends] if wanted.until is None else [wanted.until, *ends])
        if found.moved:
            self._asked.set()
        for step in found.steps[:_LOGGED]:
            log.log(logging.WARNING if by_others else logging.INFO, "%s%s", _CHANGED if by_others else "", step)
        if len(found.steps) > _LOGGED:
            log.info("and %d steps more", len(found.steps) - _LOGGED)
        if by_others and found.steps:
            self._mended(found.steps)
        if found.unread:
            known = self._again
            self._fail(found.unread)
            self._again = min(self._again, known)
        else:
            self._succeed()

    def _succeed(self) -> None:
        if self.trouble:
            log.info("reconciled again, after: %s", self.trouble)
        self.trouble = ""
        self._gone_since = None
        self._back_off = BACK_OFF[0]

    def _fail(self, error: Exception) -> None:
        said = str(error) if isinstance(error, LbkitError) else f"{type(error).__name__}: {error}"
        if said != self.trouble:
            log.error("can't reconcile: %s", said, exc_info=None if isinstance(error, LbkitError) else error)
        self.trouble = said
        if not isinstance(error, NotRunning):
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = self._loop.time()
        if self.seen is None:
            self.unseen = said
        self._again = self._loop.time() + self._back_off
        self._back_off = min(2 * self._back_off, BACK_OFF[1])

    def _look_at_file(self) -> object:
        try:
            found = os.stat(self._store.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


_CHANGED = "somebody else has changed the table; mended: "
