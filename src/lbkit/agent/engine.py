"""The engine as the agent uses it: in a thread of its own, because all of it blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, TypeVar

from lbkit.agent.one_thread import OneThread
from lbkit.site.model import Site
from lbkit.state.intents import Intent
from lbkit.state.observed import Health, VipState

Healths: TypeAlias = Mapping[tuple[str, str], Health]  # by the labels of VIP and real server
IntentsInForce: TypeAlias = Mapping[tuple[str, str], Intent]
T = TypeVar("T")


class Engine(Protocol):
    """What is asked of `lbkit.ipvs.engine.Ipvs`. All methods raise LbkitError."""

    def reconcile(self, intents: IntentsInForce, health: Healths, shares: Mapping[tuple[str, str], float]) -> list[str]:
        """Bring it to what is wanted; sentences that say what was done."""

    def seen(
        self, intents: IntentsInForce, health: Healths, shares: Mapping[tuple[str, str], float]
    ) -> Mapping[str, VipState]:
        """What it has, by the labels of VIPs."""

    def flush(self) -> list[str]:
        """Take out what is this site's."""

    def close(self) -> None:
        """Let go of it."""


class EngineThread:
    """Makes the engine of a site when it is first needed. `run` alone is for the loop, the rest for what it runs."""

    def __init__(self, make: Callable[[Site], Engine]) -> None:
        self._make = make
        self._thread = OneThread("lbkit-engine")
        self._site: Site | None = None
        self._engine: Engine | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Have it done, after all that was asked before."""
        return await self._thread.run(work)

    def of(self, site: Site) -> Engine:
        """The engine of this site."""
        if self._engine is None or self._site is not site:
            self.let_go()
            self._engine, self._site = self._make(site), site
        return self._engine

    def let_go(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None
