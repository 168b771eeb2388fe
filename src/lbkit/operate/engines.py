"""Which engine carries a VIP, and what the verbs ask of every engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lbkit.operate.layer4 import Layer4
from lbkit.operate.layer7 import Layer7
from lbkit.site.model import Site
from lbkit.site.services import Vip
from lbkit.state.intents import Intent, Wanted
from lbkit.state.observed import VipState


class Engine(Protocol):
    """An engine of this node. All methods raise EngineError."""

    name: str

    def look(self) -> Mapping[str, VipState]:
        """Each VIP that it has, by label."""

    @property
    def warnings(self) -> list[str]:
        """What the last look could not see, in sentences."""

    def ready(self) -> None:
        """Raise where it could not do all that a verb asks, or could not see what came of it."""

    def put(self, vip: Vip, intent: Intent, weight: int) -> None:
        """Bring a real server, and those that the VIP's persistence keeps on it, to an intent; and read it back."""

    def put_back(self, vip: Vip, server: str, wanted: Wanted, weight: int) -> None:
        """Bring a real server back to what it was, after a verb that failed."""

    def connections(self, vip: str, server: str) -> tuple[int, int]:
        """Open connections of a real server, and those among them that live in processes of before a reload."""

    def entries(self, vip: Vip, server: str) -> int:
        """How many clients the VIP's persistence keeps on a real server."""

    def stuck_to(self, vip: Vip) -> str | None:
        """The label of the real server that a Last Successful VIP is stuck to."""


def engine_of(site: Site, vip: Vip, state: Path | None = None) -> Engine:
    """The engine of this VIP on this node. `state`: the folder of intents."""
    return Layer4(site, state) if vip.mode == "l4-dr" else Layer7(site)
