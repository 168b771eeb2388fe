"""The conversation with the other node's agent, each second, in a thread of its own: ssh may be silent for seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from lbkit.agent.one_thread import OneThread
from lbkit.errors import LbkitError
from lbkit.pair.link import Link
from lbkit.site.model import Node, Site
from lbkit.state.agent import AgentState
from lbkit.state.pair import PairSeen

log = logging.getLogger("lbkit.agent")

EVERY = 1.0  # seconds between two questions
_WITHIN = 4.0  # seconds for an answer
_CONNECTS_WITHIN = 15.0  # seconds for the first one, which starts ssh and the other node's lbkit, however busy that is
_FORGIVEN = 3.0  # seconds without an answer that are no trouble: a connection that was lost is made anew


class Conversation:
    """`answered`: called after each answer and failure. `also`: done with the link after each answer, in its thread.

    `said`: what the other agent said of its pair last. `asked_at`, `answered_at`: when, on the loop's clock; None: never.
    """

    def __init__(
        self, site: Site, peer: Node, answered: Callable[[], None], also: Callable[[Link, AgentState], None]
    ) -> None:
        self.peer = peer
        self.said: PairSeen | None = None
        self.asked_at: float | None = None
        self.answered_at: float | None = None
        self._error = ""
        self._begun = asyncio.get_running_loop().time()
        self._loop = asyncio.get_running_loop()
        self._answered = answered
        self._also = also
        self._link = Link(site, peer)
        self._connected = False  # of the thread
        self._hurried = asyncio.Event()

    @property
    def age(self) -> float | None:
        """Seconds since the last answer."""
        return None if self.answered_at is None else self._loop.time() - self.answered_at

    @property
    def trouble(self) -> str:
        """Why it can't be asked, "": it can."""
        last = self._begun if self.answered_at is None else self.answered_at
        if self._loop.time() - last <= _FORGIVEN:
            return ""
        return self._error or f"node {self.peer.name} is asked over ssh, and has not answered yet."

    def goes_on(self, before: Conversation) -> None:
        """In the place of another one: what the same node has said last counts as long as it would have there."""
        if before.peer == self.peer:
            self.said, self.asked_at, self.answered_at = before.said, before.asked_at, before.answered_at

    def hurry(self) -> None:
        """Ask now."""
        self._hurried.set()

    async def run(self) -> None:
        """Until cancelled."""
        thread = OneThread("lbkit-peer")
        try:
            while True:
                self._hurried.clear()
                begun = self._loop.time()
                try:
                    state = await thread.run(self._ask)
                except (LbkitError, KeyError, TypeError, AttributeError) as e:
                    self._error = _words(self.peer.name, e)
                else:
                    self._error = "" if state.pair else f"node {self.peer.name}: its agent's site has no [pair]."
                    self.asked_at, self.answered_at, self.said = begun, self._loop.time(), state.pair
                    self._answered()
                    await self._do(thread, state)
                self._answered()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.05, begun + EVERY - self._loop.time())):
                        await self._hurried.wait()
        finally:
            try:
                await thread.run(self._link.close)
            finally:
                thread.end()

    def _ask(self) -> AgentState:
        within = _WITHIN if self._connected else _CONNECTS_WITHIN
        self._connected = False
        answer = self._link.ask("agent", timeout=within)
        self._connected = True
        return AgentState.of(answer["agent"])

    async def _do(self, thread: OneThread, state: AgentState) -> None:
        try:
            await thread.run(lambda: self._also(self._link, state))
        except Exception as e:  # the conversation goes on, whatever else fails
            log.error("what node %s has to be told: %s", self.peer.name, e, exc_info=not isinstance(e, LbkitError))


def _words(name: str, error: Exception) -> str:
    if isinstance(error, LbkitError):
        return str(error)
    return (
        f"node {name}: its agent answers in a way that this lbkit does not know. Install the same lbkit on both nodes."
    )
