"""What an operator asks of real servers, what is looked at before it is done, and the one way in which it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lbkit.errors import EngineError, LbkitError, NotDone, NotRunning, Refused
from lbkit.operate import audit, both
from lbkit.operate.engines import Engine, engine_of
from lbkit.operate.outcome import Done, PeerOutcome, ServerView, VipView
from lbkit.operate.overview import overview
from lbkit.operate.replicate import exchange
from lbkit.operate.wording import IN_FORCE, in_words
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.site.naming import everywhere, server_of, vip_of
from lbkit.site.services import RealServer, Vip
from lbkit.state.agent import Agent
from lbkit.state.intents import Intent, Intents, Wanted
from lbkit.state.who import who_asks

_TICK = 0.001  # seconds: the smallest step of an intent's time
NOBODY_ENDS_IT = (
    "no agent runs, which would end this when its time is up. Start it (systemctl start lbkit-agent), or end it yourself: "
    "lbkit online {vip} {server}"
)


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

    engine: Engine
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


def _places(site: Site, asked: Asked, verb: str) -> list[Place]:
    """Each place that is meant, looked at. Raises Misuse, EngineError."""
    pairs = _pairs(site, asked)
    engines = {vip.mode: engine_of(site, vip, asked.state) for vip, _ in pairs}
    for engine in engines.values():
        engine.ready()
    views = {view.label: view for view in overview(site, [vip.label for vip, _ in pairs], asked.state)}
    found = []
    for vip, server in pairs:
        view = views[vip.label]
        if view.unseen:
            raise EngineError(view.unseen)
        seen = next(one for one in view.servers if one.label == server.label)
        done = Done(vip.label, server.label, verb, asked.dry_run, connections=seen.connections)
        found.append(Place(engines[vip.mode], view, seen, done))
    if asked.until is not None and not _agent_runs(site):
        for place in found:
            place.done.warnings.append(NOBODY_ENDS_IT.format(vip=place.vip.label, server=place.server.label))
    return found


def _agent_runs(site: Site) -> bool:
    try:
        return not Agent(site.agent.socket).state().observe
    except NotRunning:
        return False
    except EngineError:
        return True  # this user may not ask it


def _pairs(site: Site, asked: Asked) -> list[tuple[Vip, RealServer]]:
    if asked.vip is None:
        return list(everywhere(site, asked.server))
    vip = vip_of(site, asked.vip)
    return [(vip, server_of(vip, asked.server))]


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
        f"{one.label} is {IN_FORCE[one.engine] if one.engine != 'online' else one.health}"
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


def carry_out(site: Site, asked: Asked, verb: str, prepare: Callable[[Place], Intent]) -> list[Done]:
    """Have `prepare` say what is wanted of each place that is meant, or raise; then do it on both nodes.

    One verb at a time on a node, so that two operators do not take the last two servers of a VIP out at once. With a dry run
    nothing is done. Raises Misuse, EngineError, and what `prepare` raises.
    """
    with nullcontext() if asked.dry_run else Intents(asked.state).alone():
        found = _places(site, asked, verb)
        intents = [prepare(place) for place in found]
        if not asked.dry_run:
            intents = _here(site, asked, found, intents)
    if asked.dry_run and both.have_met(site):
        for place in found:
            place.done.steps.append("the same on the other node")
    if not asked.dry_run:
        _there(site, asked, found, intents)
    return [place.done for place in found]


def _here(site: Site, asked: Asked, found: list[Place], intents: list[Intent]) -> list[Intent]:
    """Record the intent for each place, then have its engine do it; the intents as they are recorded.

    Where that fails, what was asked before is asked again, of the engine too as far as that still answers.
    """
    store = Intents(asked.state)
    before = {(one.vip, one.server): store.of(one.vip, one.server) for one in intents}
    intents = [_after(before[one.vip, one.server], one) for one in intents]
    store.record(*intents)
    try:
        for place, one in zip(found, intents, strict=True):
            place.engine.put(place.vip, one, weight_of(place, one))
            _count(place)
    except BaseException:
        store.restore(before)
        for place in found:
            with suppress(LbkitError):
                place.engine.put_back(place.vip, place.server.label, _before(place), place.server.weight)
        raise
    audit.intents(site, intents, before.values(), asked.state)
    return intents


def _after(before: Intent | None, now: Intent) -> Intent:
    """The later word is the newer one, even if the clock of the node that said the one before is fast."""
    return now if before is None or before.when < now.when else replace(now, when=before.when + _TICK)


def _count(place: Place) -> None:
    place.done.connections, _ = place.engine.connections(place.vip.label, place.server.label)
    place.done.entries = place.engine.entries(place.vip, place.server.label)


def _there(site: Site, asked: Asked, found: list[Place], intents: list[Intent]) -> None:
    """On the other node, once the lock here is let go: that one may ask this one at the same moment."""
    left: Mapping[str, str] = {}

    def work(link: Link) -> str:
        nonlocal left
        left = exchange(site, link, asked.state, [(one.vip, one.server) for one in intents])
        return ""

    outcome = both.on_peer(site, work, asked.state)
    store = Intents(asked.state)
    for place, one in zip(found, intents, strict=True):
        why = left.get(f"{one.vip}/{one.server}")
        place.done.peer = PeerOutcome("pending", outcome.node, why) if why else outcome
        if outcome.outcome != "done":
            continue
        last = store.of(one.vip, one.server)
        if last != one and last is not None:
            raise NotDone(
                f"{one.vip}/{one.server}: node {outcome.node} has a newer word, which holds on both: {in_words(last)}. "
                "Ask again if yours is to hold."
            )
        if one.wanted != "online" and place.done.entries < place.engine.entries(place.vip, one.server):
            place.engine.put(place.vip, one, weight_of(place, one))  # a connection there had brought an entry back
            _count(place)


def _before(place: Place) -> Wanted:
    return "online" if place.server.engine == "absent" else place.server.engine


def weight_of(place: Place, found: Intent) -> int:
    """The weight that a real server is to have."""
    return place.server.server.weight if found.weight is None else found.weight
