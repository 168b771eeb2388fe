"""One way in which a simulated server is broken or odd, and what a check must say of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from lbkit_demo.absent import black_hole, refused
from lbkit_demo.place import ANYWHERE, Address, Place
from lbkit_demo.remote import Act, scripted

if TYPE_CHECKING:
    from lbkit.checks.result import Status

Serve = Callable[[Place], AbstractContextManager[Address]]

HEALTHY = "healthy"  # what the first row of each table is called


class Verdict(NamedTuple):
    """What the check must say."""

    status: Status
    step: str
    reason: str


@dataclass(frozen=True)
class Fault:
    """One way of being broken or odd: what is wrong, in an operator's words, and what a check must say of it."""

    name: str
    summary: str
    expected: Verdict
    server: Serve

    def serve(self, place: Place = ANYWHERE) -> AbstractContextManager[Address]:
        """Serve it at a place of the loopback; its port is free again at the end of the block."""
        return self.server(place)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "summary": self.summary, "expected": self.expected._asdict()}


def plays(name: str, summary: str, expected: Verdict, *script: Act) -> Fault:
    """A fault that is a script."""
    return Fault(name, summary, expected, partial(scripted, script))


REFUSED = Verdict("down", "connect", "refused")
LOST = Verdict("down", "connect", "timed-out")

AT_CONNECT = (  # these look the same whatever the service is
    Fault("refused", "the service is stopped: nothing listens on its port", REFUSED, refused),
    Fault("black-hole", "packets to it are lost: nothing comes back", LOST, black_hole),
)
