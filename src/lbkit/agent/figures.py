"""What the agent knows, gathered for its page of metrics. What it has to look up, a thread of its own looks up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

from lbkit.agent.one_thread import OneThread
from lbkit.agent.reconcile import Reconciler
from lbkit.agent.watch import Watch
from lbkit.agent.watching import Watching
from lbkit.checks.exposition import ResultRow
from lbkit.checks.plan import CANNOT_RUN
from lbkit.checks.result import Result
from lbkit.errors import EngineError
from lbkit.haproxy.engine import Haproxy
from lbkit.metrics.figures import Expiry, Figures
from lbkit.metrics.rows import named_check
from lbkit.site.model import Site
from lbkit.state.agent import AgentState

log = logging.getLogger("lbkit.agent")

_BRIEFLY = 0.25  # seconds that a page waits for a look; then it has what was seen before
_TIMEOUT = 2.0  # seconds for HAProxy's answer


class FiguresOfAgent:
    """`tell`: what the agent says of itself, `ends`: when certificates end; both at once."""

    def __init__(
        self,
        tell: Callable[[], AgentState],
        watching: Watching,
        reconciler: Reconciler,
        ends: Callable[[], Sequence[Expiry]],
    ) -> None:
        self._tell = tell
        self._watching = watching
        self._reconciler = reconciler
        self._ends = ends
        self._version = version("lbkit-core")
        self._thread = OneThread("lbkit-metrics")
        self._looking: asyncio.Task[None] | None = None
        self._entries: Mapping[str, int] = {}

    async def now(self) -> Figures:
        """Those of now, or where an engine is slow of a moment ago."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(self._reconciler.site))
        await asyncio.gather(self._reconciler.look(), asyncio.wait([self._looking], timeout=_BRIEFLY))
        watching = self._watching
        return Figures(
            self._reconciler.site,
            self._tell(),
            self._version,
            [
                ResultRow(named_check(vip, server, result.check, result.target), result)
                for (vip, server), place in watching.roster.places.items()
                for watch in place.watches
                if (result := watch.result if not watch.error else _not_run(watch)) is not None
            ],
            watching.failures.all(),
            self._reconciler.intents,
            self._entries,
            self._ends(),
            self._reconciler.took,
        )

    def end(self) -> None:
        """Look nothing up any more."""
        self._thread.end()

    async def _look(self, site: Site) -> None:
        try:
            self._entries = await self._thread.run(lambda: _entries(site))
        except Exception:  # the page is written without
            log.exception("tables can't be looked at for the metrics")


def _not_run(watch: Watch) -> Result:
    """In the place of what it found before."""
    return Result(watch.key.check.kind, str(watch.key.target), "not-testable", "", CANNOT_RUN, watch.error, 0.0)


def _entries(site: Site) -> dict[str, int]:
    """Of each table of HAProxy, by VIP; none while it does not answer."""
    haproxy = Haproxy(site, _TIMEOUT)
    if not haproxy.vips:
        return {}
    try:
        return {table.name: table.used for table in haproxy.runtime.tables()}
    except EngineError:
        return {}
