"""What the agent does for HAProxy: it answers for checks that HAProxy can't run, and keeps intents in force there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from lbkit.agent.agent_check import AgentCheck, Answer
from lbkit.agent.haproxy import HaproxyKeeper
from lbkit.errors import CannotRun
from lbkit.site.model import Site

log = logging.getLogger("lbkit.agent")

_AGAIN = 10.0  # seconds until a keeper that has failed begins anew


class Layer7:
    """Of one site after the other. `answer`: how a real server is. `state`: the folder of intents. `mended`: is told what
    was put right in HAProxy, in another thread.
    """

    def __init__(self, answer: Answer, state: Path | None, mended: Callable[[Sequence[str]], None]) -> None:
        self._answer = answer
        self._state = state
        self._mended = mended
        self._port: int | None = None
        self._check: AgentCheck | None = None
        self._check_trouble = ""
        self._keeper: HaproxyKeeper | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def take(self, site: Site, answers: bool) -> None:
        """Serve this site. `answers`: HAProxy asks about some of its real servers."""
        port = site.agent.check_port if answers else None
        if port != self._port or self._check_trouble:
            await self._listen(port)
        if self._keeping is not None:
            self._keeping.cancel()
        self._keeper = HaproxyKeeper(site, self._state, lambda said: log.info("%s", said), self._mended)
        self._keeping = asyncio.create_task(_keep(self._keeper))

    async def close(self) -> None:
        """HAProxy goes on as it is."""
        if self._keeping is not None:
            self._keeping.cancel()
        if self._check is not None:
            await self._check.close()

    @property
    def trouble(self) -> str:
        """What keeps it from its work, in words; "": nothing."""
        of_keeper = self._keeper.trouble if self._keeper else ""
        return " ".join(filter(None, (self._check_trouble, of_keeper)))

    async def _listen(self, port: int | None) -> None:
        if self._check is not None:
            await self._check.close()
        self._check, self._port, self._check_trouble = None, port, ""
        if port is None:
            return
        check = AgentCheck(port, self._answer)
        try:
            await check.start()
        except CannotRun as e:
            self._check_trouble = str(e)
            log.error("%s", e)
        else:
            self._check = check


async def _keep(keeper: HaproxyKeeper) -> None:
    while True:
        try:
            return await keeper.run()
        except Exception:  # the checks go on, whatever HAProxy answers
            log.exception("intents can't be kept in HAProxy")
        await asyncio.sleep(_AGAIN)
