"""Who is watched: the places of real servers in VIPs, and the watches that they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lbkit.agent.guard import Seen
from lbkit.agent.schedule import first_start, phase
from lbkit.agent.watch import Key, Watch
from lbkit.checks.conversation import printable
from lbkit.checks.many import Checker
from lbkit.checks.plan import KindOf, plan
from lbkit.checks.result import Result
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip
from lbkit.state.observed import Health

PlaceKey = tuple[str, str]  # the labels of a VIP and of its real server


@dataclass(frozen=True, slots=True)
class Asked:
    """What a site asks to be watched at one place. `cannot`: why some of it can't be, "": all can."""

    vip: Vip
    server: RealServer
    keys: tuple[Key, ...]
    cannot: str


def asked_of(site: Site, kind_of: KindOf, vips: Iterable[Vip]) -> dict[PlaceKey, Asked]:
    """For each real server of these VIPs, as many watches as it has ports to check. Reads certificates: blocking."""
    by_label = {vip.label: vip for vip in vips}
    keys: dict[PlaceKey, list[Key]] = {(v.label, s.label): [] for v in by_label.values() for s in v.servers}
    cannot: dict[PlaceKey, str] = {}
    for one in plan(site, kind_of, list(by_label), virtual=False) if by_label else ():
        place = (one.vip, str(one.server))
        if one.check is None:
            cannot[place] = one.message
        else:
            keys[place].append(Key.of(one.check, one.target, by_label[one.vip].check))
    servers = {(vip.label, server.label): (vip, server) for vip in by_label.values() for server in vip.servers}
    return {
        place: Asked(*servers[place], tuple(dict.fromkeys(keys[place])), cannot.get(place, "")) for place in servers
    }


@dataclass(slots=True)
class Place:
    """A real server of a VIP. It is up where all its watches are, and down where one is.

    `health`: as of the last `turn`. `since`: when it turned, on the loop's clock; None: never.
    """

    asked: Asked
    watches: tuple[Watch, ...]
    health: Health = "unknown"
    since: float | None = None

    @property
    def key(self) -> PlaceKey:
        """Its VIP's label and its own."""
        return self.asked.vip.label, self.asked.server.label

    def turn(self, now: float) -> bool:
        """Take in what its watches say; returns whether its health is another than before."""
        states = {watch.state for watch in self.watches} | ({"unknown"} if self.asked.cannot else set())
        found: Health = "down" if "down" in states else "unknown" if "unknown" in states else "up"
        if found == self.health:
            return False
        self.health, self.since = found, now
        return True

    @property
    def seen(self) -> Seen:
        """The same for the guard."""
        failing = [watch.failing_since for watch in self.watches if watch.failing_since is not None]
        return Seen(
            self.health, min((watch.checked for watch in self.watches), default=0.0), min(failing, default=None)
        )

    @property
    def why(self) -> str:
        """What the last checks say, the worst of them where there are several; on one line, whatever the server sent."""
        return printable(self._why())

    def _why(self) -> str:
        worst: Result | None = None
        error = self.asked.cannot
        for watch in self.watches:  # of thousands it is asked in one go
            error, found = error or watch.error, watch.result
            if found is not None and (worst is None or worst.status != "down" == found.status):
                worst = found
        if error:
            return error
        if worst is None:
            return "not checked yet"
        return worst.message if worst.status == "up" else f"{worst.step} ({worst.reason}): {worst.message}"


@dataclass(slots=True)
class Roster:
    """All places and watches; `heard` is called with a watch after each of its results."""

    checker: Checker
    heard: Callable[[Watch], None]
    places: dict[PlaceKey, Place] = field(default_factory=dict)
    _watches: dict[Key, Watch] = field(default_factory=dict)
    _places_of: dict[Key, list[Place]] = field(default_factory=dict)
    _started: int = 0

    def take(self, asked: Mapping[PlaceKey, Asked]) -> list[Watch]:
        """Watch these and no others; returns the watches that are new. Those that go on keep their health and schedule."""
        keys = dict.fromkeys(key for one in asked.values() for key in one.keys)
        for key in self._watches.keys() - keys.keys():
            self._watches.pop(key).stop()
        new = {key: Watch(key, self.checker, self.heard) for key in keys if key not in self._watches}
        self._watches |= new
        self._join(asked)
        now = asyncio.get_running_loop().time()
        for number, (key, watch) in enumerate(new.items()):
            watch.start(first_start(number, now), phase(self._started + number, now, key.interval))
        self._started += len(new)
        return list(new.values())

    def _join(self, asked: Mapping[PlaceKey, Asked]) -> None:
        before, now = self.places, asyncio.get_running_loop().time()
        self.places, self._places_of = {}, {}
        for place, one in asked.items():
            watches = tuple(self._watches[key] for key in one.keys)
            known = before.get(place)
            if known is None or known.watches != watches:
                known = Place(one, watches)
                known.turn(now)  # a watch of another place may have had results long since
            known.asked = one
            self.places[place] = known
            for key in one.keys:
                self._places_of.setdefault(key, []).append(known)

    def of(self, watch: Watch) -> list[Place]:
        """The places that share a watch."""
        return self._places_of.get(watch.key, [])

    @property
    def watches(self) -> int:
        """How many there are."""
        return len(self._watches)

    def stop(self) -> None:
        """Check nothing more."""
        for watch in self._watches.values():
            watch.stop()
