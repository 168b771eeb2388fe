"""What the agent tells others of a site: events, and through them mail and traps; the state of layer 7; metrics."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lbkit.agent.active import is_active
from lbkit.agent.certificates import Certificates
from lbkit.agent.drift import Drift
from lbkit.agent.figures import FiguresOfAgent
from lbkit.agent.lately import Lately
from lbkit.agent.metrics_port import MetricsPort
from lbkit.agent.news import News
from lbkit.agent.noticing import Noticing
from lbkit.agent.receivers import Receivers
from lbkit.agent.reconcile import Reconciler
from lbkit.agent.seen import Seen
from lbkit.agent.sight import Sight
from lbkit.agent.telling import state_of
from lbkit.agent.watching import Watching
from lbkit.ipvs.wanted import layer_4
from lbkit.site.model import Site
from lbkit.state.agent import AgentState
from lbkit.state.observed import VipState
from lbkit.state.pair import PairSeen

log = logging.getLogger("lbkit.agent")

_SETTLES = 20.0  # seconds; the first answer of the other node's agent takes up to 15
_WITHOUT = 5.0  # seconds without IPVS


class Reporting:
    """Of one site after the other. `state`: the state folder. `observe`: nobody is sent anything. `pair`: this node in its
    pair now. `tell`: what the agent says of itself.
    """

    def __init__(
        self,
        state: Path | None,
        observe: bool,
        watching: Watching,
        reconciler: Reconciler,
        pair: Callable[[], PairSeen | None],
        tell: Callable[[], AgentState],
    ) -> None:
        self._watching = watching
        self._reconciler = reconciler
        self._pair = pair
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._certificates = Certificates(lambda: reconciler.site)
        self._lately = Lately()
        self._layer_4: Mapping[str, VipState] = {}
        self._layer_4_of: tuple[object, ...] = ()
        self._turned = True
        self._ipvs, self._haproxy = Drift("IPVS"), Drift("HAProxy")
        self._receivers = None if observe else Receivers(reconciler.site, state)
        self._news = News(state, self._on_recorded)
        self._noticing = Noticing(lambda: reconciler.site, self._look, self._news, state)
        self._sight = Sight(self._noticing.hurry)
        self._figures = FiguresOfAgent(tell, watching, reconciler, lambda: self._certificates.found)
        self._metrics = MetricsPort(self._figures.now)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, site: Site) -> None:
        """Begin. What there is to tell waits for its receivers in the log until it shows which node of a pair sends."""
        if self._receivers is not None:
            self._receivers.start()
        self._sight.take(site)
        self._tasks = [asyncio.create_task(work) for work in (self._noticing.run(), self._certificates.run())]
        await self._metrics.take(site)

    async def take(self, site: Site) -> None:
        """The site is another one."""
        self._sight.take(site)
        if self._receivers is not None:
            self._receivers.take_site(site)
        self._certificates.hurry()
        self.hurry()
        await self._metrics.take(site)

    async def close(self) -> None:
        """What was seen is recorded, and what was not sent is when an agent runs again."""
        for task in self._tasks:
            task.cancel()
        self._sight.close()
        self._figures.end()
        await self._metrics.close()
        self._news.stop()
        if self._receivers is not None:
            self._receivers.stop()

    def hurry(self) -> None:
        """A real server has turned."""
        self._turned = True
        self._noticing.hurry()

    def mended(self, engine: str, done: Sequence[str]) -> None:
        """What somebody else had changed in IPVS or HAProxy was put right. From any thread."""
        drift = self._ipvs if engine == "IPVS" else self._haproxy
        self._news.tell(*drift.mended(done, time.monotonic()))

    def _on_recorded(self) -> None:
        """In the thread of the news."""
        if (receivers := self._receivers) is not None:
            receivers.hurry()

    # --- what it says ---

    @property
    def layer_7(self) -> Mapping[str, VipState]:
        """As HAProxy has them, {} while it does not answer."""
        return self._sight.vips

    @property
    def counters(self) -> Mapping[str, int]:
        """Events by kind since the agent began."""
        return self._news.counts

    @property
    def receivers(self) -> Mapping[str, str]:
        """By name: what keeps it from taking events, "": nothing."""
        return self._receivers.state if self._receivers is not None else {}

    @property
    def trouble(self) -> str:
        """What is in the way of all this, in words; "": nothing."""
        return " ".join(filter(None, (self._news.trouble, self._metrics.trouble, self._certificates.trouble)))

    # --- what it sees ---

    def _look(self) -> Seen:
        """How all is now; once a second at least."""
        now = self._loop.time()
        site, pair, settled = self._reconciler.site, self._pair(), now - self._begun > _SETTLES
        active = is_active(site, pair, settled)
        if self._receivers is not None and active is not None:
            self._receivers.tell(active)
        self._news.node = pair.node if pair else socket.gethostname()
        for drift in (self._ipvs, self._haproxy):
            if events := drift.quiet(time.monotonic()):
                self._news.tell(*events)
        words, moment = self._reconciler.last_words, time.time()
        serves = pair is None or pair.role == "master"
        return Seen(
            {**self._sight.vips, **self._look_at_layer_4()},
            {(one.vip, one.server): one for one in words or () if not one.is_over(moment)},
            None if words is None else [one for one in words if one.is_over(moment)],
            self._unserved(site) if serves else {},
            pair,
            settled,
            *self._lately.look(pair, now),
            self._certificates.taken(),
        )

    def _unserved(self, site: Site) -> Mapping[str, str]:
        """The VIPs that no engine has, with the reason in words."""
        without = self._reconciler.without_engine_for > _WITHOUT
        why = f"IPVS can't be reached: {self._reconciler.trouble}"
        return self._sight.missing | ({vip.label: why for vip in layer_4(site)} if without else {})

    def _look_at_layer_4(self) -> Mapping[str, VipState]:
        """Of thousands of real servers it takes a while: only where something is other than before. {}: it is not known yet
        whether IPVS is there, and what was told of its VIPs stands.
        """
        if not self._reconciler.attempted.is_set() or 0 < self._reconciler.without_engine_for <= _WITHOUT:
            return {}
        of = (self._reconciler.site, self._reconciler.seen, self._reconciler.intents)
        if self._turned or any(a is not b for a, b in zip(of, self._layer_4_of, strict=True)):
            self._turned, self._layer_4_of = False, of
            self._layer_4 = state_of(self._reconciler, self._watching)
        return self._layer_4
