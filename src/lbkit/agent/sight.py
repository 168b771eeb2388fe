"""HAProxy as it is now, looked at each second in a thread of its own: what the agent tells of layer 7."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from lbkit.agent.one_thread import OneThread
from lbkit.errors import LbkitError, NotRunning
from lbkit.haproxy.engine import Haproxy
from lbkit.site.model import Site
from lbkit.state.observed import VipState

log = logging.getLogger("lbkit.agent")

EVERY = 1.0  # seconds between two looks
_REST = 20  # times as long as a look takes, at least: of a core it takes a twentieth at most
_LONGEST = 10.0  # seconds
_TIMEOUT = 2.0  # seconds for each request
_SILENT = "HAProxy does not answer: systemctl status haproxy."
_NOT_THERE = "HAProxy runs, and does not have it. Apply the site: lbkit apply"
_LASTS = {_SILENT: 5.0, _NOT_THERE: 15.0}  # seconds; more than a restart, and than an apply needs to reach the agent


class Sight:
    """Of one site after the other. `looked`: called after each look.

    `vips`: those of layer 7, by label; {} while HAProxy does not answer, and where the site has none.
    """

    def __init__(self, looked: Callable[[], None]) -> None:
        self.vips: Mapping[str, VipState] = {}
        self._looked = looked
        self._loop = asyncio.get_running_loop()
        self._missing: dict[str, tuple[float, str]] = {}  # by label: since when HAProxy does not have it, and why
        self._task: asyncio.Task[None] | None = None

    @property
    def missing(self) -> dict[str, str]:
        """The VIPs that HAProxy does not have, once that is more than work on it, with the reason in words."""
        now = self._loop.time()
        return {label: why for label, (since, why) in self._missing.items() if now - since > _LASTS[why]}

    def take(self, site: Site) -> None:
        """Look at this site's."""
        self.close()
        haproxy = Haproxy(site, _TIMEOUT)
        if haproxy.vips:
            self._task = asyncio.create_task(self._run(haproxy))
        else:
            self.vips, self._missing = {}, {}

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
                took = self._loop.time() - begun
                rest = min(_REST * took, _LONGEST) if self.vips else 0.0  # one that came to nothing has cost nothing
                await asyncio.sleep(max(EVERY, rest))
        finally:
            thread.end()

    async def _look(self, thread: OneThread, haproxy: Haproxy) -> None:
        vips: Mapping[str, VipState] = {}
        try:
            vips, why = await thread.run(haproxy.look), _NOT_THERE
        except NotRunning:
            why = _SILENT
        except Exception as e:  # the next look comes, whatever this one ran into
            why = ""  # it may well have all of them
            if not isinstance(e, LbkitError):
                log.exception("HAProxy can't be looked at")
        before, now = self._missing, self._loop.time()
        gone = [vip.label for vip in haproxy.vips if vip.label not in vips] if why else []
        self._missing = {label: (before.get(label, (now, ""))[0], why) for label in gone}
        self.vips = vips
