"""What has changed since it was told last, noticed within a second: told as events, and kept as told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from lbkit.agent import picture
from lbkit.agent.changes import changes
from lbkit.agent.news import News
from lbkit.agent.one_thread import OneThread
from lbkit.agent.picture import Picture
from lbkit.agent.seen import Seen
from lbkit.site.model import Site

log = logging.getLogger("lbkit.agent")

EVERY = 1.0  # seconds
_NOT_SOONER = 0.2  # however much changes


class Noticing:
    """`site`, `look`: those of now, at once. `state`: the state folder."""

    def __init__(self, site: Callable[[], Site], look: Callable[[], Seen], news: News, state: Path | None) -> None:
        self._site = site
        self._look = look
        self._news = news
        self._state = state
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Something may have changed."""
        self._hurried.set()

    async def run(self) -> None:
        """Until cancelled."""
        thread = OneThread("lbkit-noticing")  # thousands that change at once take it a while
        told = await thread.run(lambda: picture.read(self._state) or Picture())
        try:
            while True:
                try:
                    told = await thread.run(partial(self._notice, self._site(), told, self._look()))
                except Exception:  # the next look comes, whatever this one ran into
                    log.exception("what has changed can't be told")
                await asyncio.sleep(_NOT_SOONER)
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._hurried.wait()
                self._hurried.clear()
        finally:
            thread.end()

    def _notice(self, site: Site, before: Picture, seen: Seen) -> Picture:
        events, after = changes(site, before, seen, time.time())
        if after != before:
            self._news.tell(*events, then=lambda: picture.write(after, self._state))
        return after
