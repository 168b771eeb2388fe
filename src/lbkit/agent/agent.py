"""The process: reads the site, checks, keeps the engine, answers questions, until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lbkit.agent.answers import Answers
from lbkit.agent.engine import Engine, EngineThread
from lbkit.agent.lag import Lag, leave_alone
from lbkit.agent.layer7 import Layer7
from lbkit.agent.notify import Notify
from lbkit.agent.pair import Watchman
from lbkit.agent.reconcile import Reconciler
from lbkit.agent.reporting import Reporting
from lbkit.agent.roster import Asked, PlaceKey, asked_of
from lbkit.agent.telling import state_of, status_of
from lbkit.agent.watching import Watching
from lbkit.checks.many import Checker
from lbkit.checks.plan import KindOf
from lbkit.errors import LbkitError, Misuse
from lbkit.haproxy.native import by_agent
from lbkit.ipvs.wanted import layer_4
from lbkit.site.model import Site
from lbkit.state.agent import AgentState, Question
from lbkit.state.pair import PairSeen

log = logging.getLogger("lbkit.agent")

_AT_ONCE = 65_536  # checks; one hangs for each real server at most, and the limit of open files is lower
_STATUS_EVERY = 5.0  # seconds between two lines to systemd
_FIRST_RESULTS = 3.0  # seconds that a reload waits for those of real servers that are new
_ENDS_WITHIN = 0.7  # seconds that an engine gets to be flushed or closed in


@dataclass(frozen=True, slots=True)
class Options:
    """`site_file`: where the site is read, for questions. `state`: the folder of intents. `observe`: write nothing.
    `flush_on_exit`: take this site's services out of IPVS at a clean end.
    """

    site_file: str
    state: Path | None = None
    observe: bool = False
    flush_on_exit: bool = False


class Agent:
    """`load`: reads the site. `make`: the engine of a site; both block, and raise LbkitError."""

    def __init__(
        self, load: Callable[[], Site], kind_of: KindOf, make: Callable[[Site], Engine], options: Options
    ) -> None:
        self._load = load
        self._kind_of = kind_of
        self._thread = EngineThread(make)
        self._options = options
        self._notify = Notify()
        self._watchman: Watchman | None = None
        self._pair_trouble = ""

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises LbkitError where it can't begin: a broken site, another agent."""
        self._ending = asyncio.Event()
        self._one_reload = asyncio.Lock()
        self._lag = Lag()
        self._loop = asyncio.get_running_loop()
        site, asked = await asyncio.to_thread(self._read)
        answers = Answers(site.agent.socket, site.agent.group, self._answer)
        await answers.start()
        try:
            async with Checker(_AT_ONCE) as checker:
                self._make_parts(checker, site)
                self._watching.take(asked, site.agent.anchor)
                leave_alone()
                await self._serve_layer_7(site, asked)
                self._watch_pair(site)
                await self._reporting.start(site)
                try:
                    await self._work()
                finally:
                    await self._layer_7.close()
                    await self._reporting.close()
        finally:
            await answers.close()
            await self._let_go()

    def _make_parts(self, checker: Checker, site: Site) -> None:
        state, observe = self._options.state, self._options.observe
        self._watching = Watching(checker, self._on_health)
        self._reconciler = Reconciler(
            self._thread, site, self._watching.wanted, state, observe, partial(self._on_mended, "IPVS")
        )
        self._layer_7 = Layer7(self._watching.answer, state, partial(self._on_mended, "HAProxy"))
        self._reporting = Reporting(state, observe, self._watching, self._reconciler, self._pair_seen, self._state)

    def _on_health(self) -> None:
        self._reconciler.ask()
        self._reporting.hurry()

    def _on_mended(self, engine: str, done: Sequence[str]) -> None:
        self._reporting.mended(engine, done)

    async def _work(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._ending.set)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        self._lag.start()
        keeps = "keeps IPVS" if layer_4(self._reconciler.site) else "answers HAProxy"
        what = "observes" if self._options.observe else keeps
        log.info("%s: %d checks; the agent %s", self._reconciler.site.name, self._watching.roster.watches, what)
        tasks = [
            asyncio.create_task(work) for work in (self._reconciler.run(), self._tell_systemd(), self._ending.wait())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._notify.tell("STOPPING=1")
            log.info("the agent ends; all stays as it is" if not self._flushes else "the agent ends, and flushes IPVS")
            for task in tasks:
                task.cancel()
            self._lag.stop()
            self._watching.stop()
            if self._watchman is not None:
                self._watchman.stop()

    @property
    def _flushes(self) -> bool:
        return self._options.flush_on_exit and not self._options.observe and self._ending.is_set()

    async def _let_go(self) -> None:
        """A crash flushes nothing."""

        def work() -> None:
            if self._flushes:
                for step in self._thread.of(self._reconciler.site).flush():
                    log.info("%s", step)
            self._thread.let_go()

        try:
            await asyncio.wait_for(self._thread.run(work), _ENDS_WITHIN)
        except (LbkitError, TimeoutError) as e:
            log.error("the engine was not left as it should be: %s", str(e) or "it takes too long")

    # --- the site ---

    def _read(self) -> tuple[Site, dict[PlaceKey, Asked]]:
        """Blocking."""
        site = self._load()
        return site, asked_of(site, self._kind_of, [*layer_4(site), *by_agent(site, self._kind_of)])

    def _on_hangup(self) -> None:
        async def reload() -> None:
            try:
                await self._reload()
            except LbkitError:
                pass  # it is logged
            except Exception:
                log.exception("the site could not be read anew")

        self._hangup = asyncio.create_task(reload())

    async def _reload(self) -> None:
        async with self._one_reload:
            self._notify.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                site, asked = await asyncio.to_thread(self._read)
            except LbkitError as e:
                log.error("the site file can't be used, and the site of before goes on: %s", e)
                raise
            finally:
                self._notify.tell("READY=1")
            await self._take(site, asked)

    async def _take(self, site: Site, asked: Mapping[PlaceKey, Asked]) -> None:
        before = self._reconciler.site
        if (before.agent.socket, before.agent.group) != (site.agent.socket, site.agent.group):
            log.warning("another [agent] socket or group: that takes effect when the agent is started again")
        new = self._watching.take(asked, site.agent.anchor)
        leave_alone()
        self._reconciler.site = site
        self._reconciler.ask()
        await self._serve_layer_7(site, asked)
        self._watch_pair(site)
        await self._reporting.take(site)
        log.info("%s is read anew: %d checks, %d of them new", site.name, self._watching.roster.watches, len(new))
        deadline = self._loop.time() + _FIRST_RESULTS
        while any(not watch.has_run for watch in new) and self._loop.time() < deadline:
            await asyncio.sleep(0.02)
        await self._reconciler.done()

    async def _serve_layer_7(self, site: Site, asked: Mapping[PlaceKey, Asked]) -> None:
        if not self._options.observe:
            await self._layer_7.take(site, any(one.vip.mode == "l7-snat" for one in asked.values()))

    def _watch_pair(self, site: Site) -> None:
        if self._watchman is not None and self._watchman.site == site:
            return
        before, self._watchman, self._pair_trouble = self._watchman, None, ""
        if before is not None:
            before.stop()
        if site.pair is None:
            return
        try:
            self._watchman = Watchman(site, self._options.state, self._options.observe, self._watching.any_up, before)
        except Misuse as e:  # whose real servers are checked all the same
            self._pair_trouble = f"the pair is not watched: {e}"
            log.warning("%s", self._pair_trouble)
        else:
            self._watchman.start()

    # --- telling ---

    async def _answer(self, question: Question) -> AgentState:
        if question == "reload":
            self._asked_reload = asyncio.create_task(self._reload())
            await asyncio.shield(self._asked_reload)  # whoever asked may not wait so long
        elif question == "reconcile":
            await self._reconciler.done()
        else:
            await self._reconciler.look()
        return self._state()

    def _state(self) -> AgentState:
        """What it says of itself now."""
        return AgentState(
            pid=os.getpid(),
            observe=self._options.observe,
            site=self._reconciler.site.name,
            site_file=self._options.site_file,
            generation=self._reconciler.generation,
            vips=state_of(self._reconciler, self._watching),
            trouble=self._trouble(),
            checks=self._watching.roster.watches,
            lag=self._lag.high,
            pair=self._pair_seen(),
            layer_7=self._reporting.layer_7,
            counters=self._reporting.counters,
            receivers=self._reporting.receivers,
        )

    def _pair_seen(self) -> PairSeen | None:
        return self._watchman.seen() if self._watchman else None

    def _trouble(self) -> str:
        of_pair = self._watchman.trouble if self._watchman else self._pair_trouble
        parts = (
            of_pair,
            self._reconciler.trouble,
            self._watching.anchor_trouble,
            self._layer_7.trouble,
            self._reporting.trouble,
        )
        return " ".join(filter(None, parts))

    async def _tell_systemd(self) -> None:
        """Signs of life come from the loop itself: when it hangs they stop."""
        await self._reconciler.attempted.wait()
        self._notify.tell("READY=1")
        every = min(self._notify.watchdog or _STATUS_EVERY, _STATUS_EVERY)
        while True:
            words = [f"STATUS={status_of(self._watching, self._trouble(), self._watchman)}"]
            self._notify.tell(*words, *(["WATCHDOG=1"] if self._notify.watchdog else []))
            await asyncio.sleep(every)
