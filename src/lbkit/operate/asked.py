"""What an operator asks of real servers, what is looked at before it is done, and the one way in which it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbkit.errors import Misuse, Refused
from lbkit.haproxy.engine import Haproxy
from lbkit.operate.engines import LAYER_4, engine_of
from lbkit.operate.outcome import Done, ServerView, VipView
from lbkit.operate.overview import overview
from lbkit.site.model import Site
from lbkit.site.naming import everywhere, server_of, vip_of
from lbkit.site.services import RealServer, Vip
from lbkit.state.intents import Intent, Intents, Wanted
from lbkit.state.who import who_asks


@dataclass(frozen=True, slots=True)
class Asked:
    """`vip` None: the real server wherever the site has it. `until`: seconds since the epoch. `force`: even if it hurts.

    `state`: the folder of intents.
    """

    vip: str | None
    server: str
    why: str = ""
    until: float | None = None
    force: bool = False
    dry_run: bool = False
    state: Path | None = None


@dataclass(slots=True)
class Place:
    """A real server of a VIP, how both are before anything is done, and what is done."""

    haproxy: Haproxy
    view: VipView
    server: ServerView
    done: Done

    @property
    def vip(self) -> Vip:
        """The VIP."""
        return self.view.vip

    @property
    def others(self) -> list[ServerView]:
        """The VIP's other real servers that can serve."""
        return [one for one in self.view.servers if one is not self.server and one.serves]


def places(site: Site, asked: Asked, verb: str) -> list[Place]:
    """Each place that is meant, looked at. Raises Misuse, EngineError."""
    pairs = _pairs(site, asked)
    views = {view.label: view for view in overview(site, [vip.label for vip, _ in pairs], asked.state)}
    found = []
    for vip, server in pairs:
        view = views[vip.label]
        if view.unseen:
            raise Misuse(view.unseen)
        seen = next(one for one in view.servers if one.label == server.label)
        done = Done(vip.label, server.label, verb, asked.dry_run, connections=seen.connections)
        found.append(Place(engine_of(site, vip), view, seen, done))
    return found


def _pairs(site: Site, asked: Asked) -> list[tuple[Vip, RealServer]]:
    if asked.vip is not None:
        vip = vip_of(site, asked.vip)
        return [(vip, server_of(vip, asked.server))]
    found = [(vip, server) for vip, server in everywhere(site, asked.server) if vip.mode == "l7-snat"]
    if not found:
        raise Misuse(LAYER_4.format(vip=f"{asked.server} is a real server of layer-4 VIPs alone: each"))
    return found


def refuse_the_last(place: Place, asked: Asked) -> None:
    """Raise Refused where nobody would serve the VIP then, unless it is forced: then it is a warning."""
    if place.others or not place.server.serves:
        return
    goes = "its clients go to the fallback server" if place.vip.fallback else "its clients are turned away"
    what = f"{place.server.label} is the last real server that serves {place.vip.label}: with it out, {goes}"
    if not asked.force:
        raise Refused(f"{what}. {_others(place)}Bring another back first, or give --force.")
    place.done.warnings.append(f"{what}.")


def _others(place: Place) -> str:
    said = [
        f"{one.label} is {one.engine if one.is_out else one.health}"
        for one in place.view.servers
        if one is not place.server
    ]
    return f"{', '.join(said)}. " if said else ""


def intent(place: Place, asked: Asked, wanted: Wanted, **more: Any) -> Intent:
    """The intent to record; a weight that was asked for before stays."""
    before = place.server.intent
    values = {"weight": before.weight if before else None, **more}
    return Intent(
        place.vip.label,
        place.server.label,
        wanted,
        who=who_asks(),
        when=time.time(),
        why=asked.why,
        until=asked.until,
        **values,
    )


def in_words(found: Intent) -> str:
    """A line about what was asked: who, when, until when, why."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.when))
    until = f", until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(found.until))}" if found.until else ""
    why = f": {found.why}" if found.why else ""
    return f"{found.wanted} by {found.who} at {moment}{until}{why}"


@contextmanager
def recorded(asked: Asked, intents: Mapping[tuple[str, str], Intent]) -> Iterator[None]:
    """The intents are in the store while the block carries them out; they are taken back if it fails."""
    store = Intents(asked.state)
    before = {key: store.of(*key) for key in intents}
    store.record(*intents.values())
    try:
        yield
    except BaseException:
        store.restore(before)
        raise


Carry = Callable[[Place, Intent], None]


def carry_out(asked: Asked, found: list[Place], wanted: Wanted, carry: Carry, **more: Any) -> list[Done]:
    """Record what is wanted of each place, then `carry` it out there; with a dry run nothing."""
    if not asked.dry_run:
        intents = [intent(place, asked, wanted, **more) for place in found]
        with recorded(asked, {(one.vip, one.server): one for one in intents}):
            for place, one in zip(found, intents, strict=True):
                carry(place, one)
    return [place.done for place in found]


def weight_of(place: Place, found: Intent) -> int:
    """The weight that a real server is to have."""
    return place.server.server.weight if found.weight is None else found.weight
