"""When a site's certificates end: looked at soon after a site was read, and every ten minutes, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from lbkit.agent.one_thread import OneThread
from lbkit.agent.worded import listed
from lbkit.metrics.expiries import expiries
from lbkit.metrics.figures import Expiry
from lbkit.site.model import Site

log = logging.getLogger("lbkit.agent")

SOON = 2.0  # seconds after a site was read
EVERY = 600.0  # seconds
_UNREAD = "its file can't be read. Is it there, and may the agent's user read it? lbkit lint"


class Certificates:
    """`site`: that of now. `found`: what the last look found. `trouble`: whose end can't be looked at; "": all can."""

    def __init__(self, site: Callable[[], Site]) -> None:
        self.trouble = ""
        self._site = site
        self.found: Sequence[Expiry] = ()
        self._is_taken = True
        self._read_anew = asyncio.Event()

    def hurry(self) -> None:
        """A site was read, and its files may be other ones."""
        self._read_anew.set()

    def taken(self) -> Sequence[Expiry] | None:
        """What the last look found, once; None: there was none since."""
        found, self._is_taken = None if self._is_taken else self.found, True
        return found

    async def run(self) -> None:
        """Until cancelled."""
        thread = OneThread("lbkit-certificates")
        try:
            while True:
                await asyncio.sleep(SOON)
                self._read_anew.clear()
                await self._look(thread, self._site())
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._read_anew.wait()
        finally:
            thread.end()

    async def _look(self, thread: OneThread, site: Site) -> None:
        try:
            self.found = await thread.run(partial(expiries, site))
        except Exception:  # the next look comes, whatever this one ran into
            log.exception("certificates can't be looked at")
            return
        self._is_taken = False
        read = {one.name for one in self.found}
        unread = [name for name in (*site.certificates, *site.ca_families) if name not in read]
        trouble = f"When {listed(unread)} ends is not watched: {_UNREAD}"
        if unread and trouble != self.trouble:
            log.warning("%s", trouble)
        self.trouble = trouble if unread else ""
