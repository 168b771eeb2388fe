"""HAProxy as it is now, looked at each second in a thread of its own: what the agent tells of layer 7."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from lbkit.agent.one_thread import OneThread
from lbkit.errors import LbkitError
from lbkit.haproxy.engine import Haproxy
from lbkit.site.model import Site
from lbkit.state.observed import VipState

log = logging.getLogger("lbkit.agent")

EVERY = 1.0  # seconds between two looks
_REST = 20  # times as long as a look takes, at least: of a core it takes a twentieth at most
_TIMEOUT = 2.0  # seconds for each request


class Sight:
    """Of one site after the other. `looked`: called after each look.

    `vips`: those of layer 7, by label; {} while HAProxy does not answer, and where the site has none.
    """

    def __init__(self, looked: Callable[[], None]) -> None:
        self.vips: Mapping[str, VipState] = {}
        self._looked = looked
        self._loop = asyncio.get_running_loop()
        self._silent_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def silent_for(self) -> float:
        """Seconds since HAProxy answered last, while it does not; 0: it does, or has nothing to do."""
        return 0.0 if self._silent_since is None else self._loop.time() - self._silent_since

    def take(self, site: Site) -> None:
        """Look at this site's."""
        self.close()
        haproxy = Haproxy(site, _TIMEOUT)
        if haproxy.vips:
            self._task = asyncio.create_task(self._run(haproxy))
        else:
            self.vips, self._silent_since = {}, None

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, haproxy: Haproxy) -> None:
        thread = OneThread("lbkit-sight")
        try:
            while True:
                begun = self._loop.time()
                await self._look(thread, haproxy)
                self._looked()
                await asyncio.sleep(max(EVERY, _REST * (self._loop.time() - begun)))
        finally:
            thread.end()

    async def _look(self, thread: OneThread, haproxy: Haproxy) -> None:
        try:
            self.vips = await thread.run(haproxy.look)
        except Exception as e:  # the next look comes, whatever this one ran into
            if not isinstance(e, LbkitError):
                log.exception("HAProxy can't be looked at")
            self.vips = {}
            if self._silent_since is None:
                self._silent_since = self._loop.time()
        else:
            self._silent_since = None
