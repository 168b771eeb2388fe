"""What an operator does while clients ask all layer-7 VIPs without end, and what the clients notice of it."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Self

from lbkit.errors import WaitRanOut
from lbkit_demo.client import VipClient
from lbkit_demo.traffic import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from socket import socket

    from lbkit.site.model import Site
    from lbkit.state.observed import Health
    from lbkit_demo.client import Request
    from lbkit_demo.traffic import Traffic

ROUNDS = 5  # requests of each client that a step is judged by
SEEN_WITHIN = 15.0  # seconds until HAProxy's checks have found what a server is
HELD = 3  # connections


@dataclass(frozen=True)
class Operation:
    """One step: what was done, and what became of the requests that ended since the step before.

    `goes_to`: by VIP, the real server that its new requests must go to. `seen`: who answered them. `failed`: requests that
    should not have. `cut`: those that were under way on a server as it ended, which no balancer can save in TCP mode.
    `held`: of HELD open connections those that live on; None: the step is not about any.
    """

    title: str
    said: list[str]
    goes_to: Mapping[str, str]
    seen: Mapping[str, list[str]]
    requests: int
    failed: list[Request]
    cut: int = 0
    held: int | None = None
    ends_held: bool = False

    @property
    def told(self) -> bool:
        """Whether no client noticed what it should not."""
        went = all(self.seen[vip] == [server] for vip, server in self.goes_to.items())
        held = self.held is None or self.held == (0 if self.ends_held else HELD)
        return went and held and self.requests > 0 and not self.failed

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.title,
            "said": self.said,
            "expected": dict(self.goes_to),
            "seen": dict(self.seen),
            "requests": self.requests,
            "failed": [{"vip": one.vip, "failure": one.failure} for one in self.failed],
            "cut": self.cut,
            "held": None
            if self.held is None
            else {"before": HELD, "after": self.held, "expected_to_end": self.ends_held},
            "told": self.told,
        }


@dataclass
class Stage:
    """The site, its clients' traffic, and the requests of it that were judged."""

    site: Site
    traffic: Traffic
    _judged: int = 0

    def tell(
        self,
        title: str,
        act: Callable[[], list[str]],
        goes_to: Mapping[str, str],
        *,
        until: Sequence[tuple[str, str, Health]] = (),
        cuts: bool = False,
        held: Held | None = None,
    ) -> Operation:
        """Act, wait until HAProxy has found what `until` says (VIP, real server, health), and look at the requests.

        `cuts`: what is under way on the servers that `goes_to` leads away from ends with them, and so do those `held`.
        Raises EngineError and what `act` raises; WaitRanOut where HAProxy does not find it.
        """
        said = act()
        acted = time.monotonic()
        for vip, server, health in until:
            self._wait(vip, server, health)
        self.traffic.settle(time.monotonic(), ROUNDS)
        requests = self.traffic.requests[self._judged :]
        self._judged += len(requests)
        failed = [one for one in requests if one.failure]
        cut = [one for one in failed if cuts and one.vip in goes_to and one.began < acted]
        seen = {
            vip: sorted({one.server for one in requests if one.vip == vip and one.began >= acted and one.server})
            for vip in goes_to
        }
        living = None if held is None else held.living()
        rest = [one for one in failed if one not in cut]
        return Operation(title, said, goes_to, seen, len(requests), rest, len(cut), living, cuts)

    def _wait(self, label: str, server: str, health: Health) -> None:
        from lbkit.operate.overview import overview

        deadline = time.monotonic() + SEEN_WITHIN
        while True:
            (vip,) = overview(self.site, [label])
            found = next(one for one in vip.servers if one.label == server)
            if found.health == health:
                return
            if time.monotonic() > deadline:
                raise WaitRanOut(
                    f"after {SEEN_WITHIN:g} s HAProxy finds {label}/{server} {found.health}, not {health}. Start the demo "
                    "again; is this machine busy?"
                )
            time.sleep(0.05)


@dataclass
class Held:
    """Connections of clients that stay open, as those of HL7 senders do. It closes them at the end of its block."""

    site: Site
    label: str
    _open: list[tuple[VipClient, socket, str]] = field(default_factory=list)
    _closing: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        vip = next(vip for vip in self.site.vips if vip.label == self.label)
        with ExitStack() as closing:
            for _ in range(HELD):
                client = VipClient(self.site, vip, SOURCES[0])
                connection = closing.enter_context(client.connect())
                self._open.append((client, connection, client.ask(connection)))
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def living(self) -> int:
        """How many of them are answered by the same server as at first."""
        living = 0
        for client, connection, server in self._open:
            with suppress(OSError, HTTPException):
                living += client.ask(connection) == server
        return living
