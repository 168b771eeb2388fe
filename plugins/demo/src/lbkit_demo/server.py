"""A simulated server: it keeps its addresses and ports, while what it serves there can be changed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from lbkit_demo.fault import HEALTHY
from lbkit_demo.kinds import fault_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit_demo.fault import Fault
    from lbkit_demo.place import Address, Place


class SimulatedServer:
    """One server that runs from here until `stop`, healthy at first.

    `kind`: one of `lbkit_demo.kinds.KINDS`. It serves the same at all of its places.
    """

    def __init__(self, kind: str, places: Sequence[Place]) -> None:
        self.kind = kind
        self._places = list(places)
        self._serving = ExitStack()
        self.fault: Fault
        self.mend()

    @property
    def addresses(self) -> list[Address]:
        """Where it serves."""
        return [place.address for place in self._places]

    @property
    def is_broken(self) -> bool:
        """Whether it serves otherwise than it should."""
        return self.fault.name != HEALTHY

    def become(self, fault: str) -> None:
        """Serve another fault on the same ports; a name that is unknown raises Misuse and changes nothing."""
        wanted = fault_of(self.kind, fault)
        self.stop()
        self.fault = wanted
        with ExitStack() as serving:
            addresses = [serving.enter_context(wanted.serve(place)) for place in self._places]
            self._serving = serving.pop_all()
        self._places = [
            place._replace(host=host, port=port) for place, (host, port) in zip(self._places, addresses, strict=True)
        ]

    def mend(self) -> None:
        """Serve as it should."""
        self.become(HEALTHY)

    def stop(self) -> None:
        """End it and free its ports."""
        self._serving.close()
