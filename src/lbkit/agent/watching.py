"""What the checks have to say to the engine: health, what the guard holds, who starts slowly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from lbkit.agent.anchor import Anchor
from lbkit.agent.guard import PATIENCE, Guard
from lbkit.agent.reconcile import Wanted
from lbkit.agent.roster import Asked, Place, PlaceKey, Roster
from lbkit.agent.schedule import most_jitter
from lbkit.agent.slow_start import SlowStart
from lbkit.agent.watch import Watch
from lbkit.checks.many import Checker
from lbkit.errors import CannotRun
from lbkit.metrics.failures import Failures
from lbkit.state.observed import Health

log = logging.getLogger("lbkit.agent")

_ANCHOR_WITHIN = 5.0  # seconds in which an anchor that is there has answered
_REMIND = 60.0  # seconds between two lines about servers that are held


class Watching:
    """All real servers of a site. `changed`: called when there is something new for the engine."""

    def __init__(self, checker: Checker, changed: Callable[[], None]) -> None:
        self.roster = Roster(checker, self._heard)
        self.anchor: Anchor | None = None
        self.anchor_trouble = ""
        self.failures = Failures()
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._slow: SlowStart[PlaceKey] = SlowStart()
        self._guards: dict[str, Guard] = {}
        self._of_vip: dict[str, list[Place]] = {}
        self._told: set[str] = set()  # labels of VIPs whose hold is in the log
        self._timer: asyncio.TimerHandle | None = None

    def take(self, asked: Mapping[PlaceKey, Asked], anchor: str | None) -> list[Watch]:
        """Watch what a site asks for, instead of what was watched; returns the watches that are new."""
        new = self.roster.take(asked)
        self.failures.keep(self.roster.places)
        self._of_vip = {}
        for place in self.roster.places.values():
            self._of_vip.setdefault(place.asked.vip.label, []).append(place)
        before, self._guards = self._guards, {}
        for label, places in self._of_vip.items():
            window = max((_window(watch) for place in places for watch in place.watches), default=0.0)
            self._guards[label] = before.get(label, Guard(window))
            self._guards[label].window = window
        self._take_anchor(anchor)
        return new

    def stop(self) -> None:
        """Check nothing more."""
        self.roster.stop()
        if self.anchor is not None:
            self.anchor.stop()
        if self._timer is not None:
            self._timer.cancel()

    def wanted(self) -> Wanted:
        """For the engine."""
        now = self._loop.time()
        health = {key: place.health for key, place in self.roster.places.items()}
        held = {(label, server) for label, guard in self._guards.items() for server in guard.held}
        carried = health | dict.fromkeys(held, "unknown")
        shares = self._slow.shares(now)
        step = self._slow.next_step(now)
        return Wanted(health, carried, shares, None if step is None else step - now)

    def any_up(self) -> bool | None:
        """Whether a real server is up. None: none is known to be, and some are not known yet."""
        found = {place.health for place in self.roster.places.values()}
        return True if "up" in found else None if "unknown" in found else False

    def answer(self, vip: str, server: str) -> tuple[Health, str]:
        """One real server's health as an engine is to have it, and why."""
        place = self.roster.places.get((vip, server))
        if place is None or server in self._guards[vip].held:
            return "unknown", ""
        return place.health, place.why

    def held(self, vip: str) -> str:
        """Why real servers of a VIP are held, "": none is."""
        guard = self._guards.get(vip)
        if guard is None or not guard.held:
            return ""
        return self._why_held(guard)

    # --- what is heard ---

    def _heard(self, watch: Watch) -> None:
        now = self._loop.time()
        turned = False
        for place in self.roster.of(watch):
            before, label = place.health, place.asked.vip.label
            if watch.failed_for:
                self.failures.add(place.key, watch.failed_for)
            if place.turn(now):
                turned = True
                self._tell(place, before, now)
            if place.health != before or watch.begins_to_fail or self._guards[label].since is not None:
                turned |= self._look(label, now)
        if turned:
            self._changed()

    def _tell(self, place: Place, before: str, now: float) -> None:
        vip, server = place.key
        if before == "unknown":  # all else is an event
            level = logging.WARNING if place.health == "down" else logging.INFO
            log.log(level, "%s/%s is %s: %s", vip, server, place.health, place.why)
        slow_start = place.asked.vip.slow_start
        was_out = before == "down" and server not in self._guards[vip].held
        if place.health == "up" and was_out and slow_start:
            self._slow.begin(place.key, now, slow_start)
        elif place.health != "up":
            self._slow.end(place.key)

    def _look(self, label: str, now: float) -> bool:
        """Have the guard of a VIP look; returns whether it holds others than before."""
        guard, places = self._guards[label], self._of_vip[label]
        held = guard.held
        guard.look(now, {place.key[1]: place.seen for place in places}, self.anchor.answered if self.anchor else None)
        if guard.since is not None and not guard.is_over and self.anchor is not None:
            self.anchor.ping()  # so that servers that are really down wait no longer than its answer takes
        if guard.asks_since is not None and guard.held:
            for watch in {watch for place in places if place.key[1] in guard.unasked for watch in place.watches}:
                if watch.checked < guard.asks_since:
                    watch.hurry(guard.asks_since)
        if guard.held != held:
            self._on_held(label, held)
        return guard.held != held

    def _on_held(self, label: str, before: frozenset[str]) -> None:
        guard = self._guards[label]
        if label in self._told:
            for server in sorted(before - guard.held):
                log.info("%s/%s is not held any longer", label, server)
        if not guard.held:
            self._told.discard(label)
        elif self._timer is None or label not in self._told:
            self._remind_in(PATIENCE)

    def _remind_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._remind)

    def _remind(self) -> None:
        holding = {label: guard for label, guard in self._guards.items() if guard.held}
        for label, guard in holding.items():
            self._told.add(label)
            servers = " and ".join(f"{label}/{server}" for server in sorted(guard.held))
            log.error("%s: down, and still in: %s", servers, self._why_held(guard))
        if holding:
            self._remind_in(_REMIND)

    def _why_held(self, guard: Guard) -> str:
        if guard.is_over:
            return "the anchor or a server answers again, and each server is checked once more before it is taken out"
        anchor = self.anchor.address if self.anchor else "none"
        return (
            f"all real servers of the VIP fail, and the anchor {anchor} has not answered since: it looks like this "
            "balancer's own network"
        )

    # --- the anchor ---

    def _take_anchor(self, address: str | None) -> None:
        if self.anchor is not None and self.anchor.address != address:
            self.anchor.stop()
            self.anchor = None
        if self.anchor is None and address is not None:
            anchor = Anchor(address, self._anchor_heard)
            self.anchor_trouble = ""
            try:
                anchor.start()
            except CannotRun as e:
                self.anchor_trouble = f"the anchor {address} can't be asked, so nothing is held: {e}"
                log.warning("%s", self.anchor_trouble)
                return
            self.anchor = anchor
            self._loop.call_later(_ANCHOR_WITHIN, self._doubt, anchor)

    def _doubt(self, anchor: Anchor) -> None:
        if anchor is self.anchor and anchor.answered is None:
            log.warning("the anchor %s has not answered yet; until it has, no real server is held", anchor.address)

    def _anchor_heard(self) -> None:
        now = self._loop.time()
        troubled = [label for label, guard in self._guards.items() if guard.since is not None and not guard.is_over]
        turned = [self._look(label, now) for label in troubled]
        if any(turned):
            self._changed()


def _window(watch: Watch) -> float:
    """Seconds within which all servers that die at one moment fail for the first time."""
    return watch.key.interval + watch.key.check.timeout + most_jitter(watch.key.interval)
