"""Incidents: from the event that is worth a mail to the one that ends it. No clock here, no network, no file.

What begins within a window goes into one mail; what is over by the end of the window makes none. The end of an incident
is due once all of it has been well for as long, so that what comes and goes stays one; where the same was told within the
hour before, four times as long for each time. Ends that follow each other wait for each other, at most as long again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, Literal

from lbkit.alerts.incident import BEGINS, Due, Incident, lean, place_of
from lbkit.alerts.recipients import Route, Routes
from lbkit.state.events import Event, EventKind

MOST = 10_000  # places of all incidents; beyond, the oldest incidents are forgotten
_REMEMBERED = 1000  # events without an end, and incidents that are over
_SAME = 3600.0  # seconds after its end in which it is the same that comes again
_CALMEST = 1800.0  # seconds
_DIPS = 3  # that are not told; the next is
_JOINS = 300.0  # seconds in which what a machine loses is all one
_UNHEARD = 60.0  # seconds; what begins again this much later has ended meanwhile
_ENDS: Mapping[EventKind, EventKind] = {
    "server-up": "server-down",
    "vip-recovered": "vip-down",
    "vip-degraded": "vip-down",  # somebody serves
    "peer-found": "peer-lost",
    "split-brain-ended": "split-brain",
    "drift-repaired": "drift-found",
}
_WITHOUT_END = frozenset({"failover", "configuration-rolled-back", "certificate-expiring", "events-lost"})


class Incidents:
    """All that are open. `gather`: seconds of a window. Moments are seconds since the epoch."""

    def __init__(self, gather: float, routes: Routes) -> None:
        self._gather = gather
        self._routes = routes
        self._open: dict[str, dict[Route, Incident]] = {}  # by subject
        self._of: dict[tuple[str, str], Incident] = {}  # those with an end, by kind and place
        self._places = 0
        self._once: deque[str] = deque(maxlen=_REMEMBERED)
        self._over: dict[str, tuple[float, int]] = {}  # by what is the same: when, and how many there were before
        self._window: float | None = None  # when it opened
        self._at = 0.0  # how far it has come
        self._next = inf  # nothing is due before
        self.revision = 0  # counts up with whatever may have changed it, but for the time

    def take(self, events: Sequence[Event], now: float, active: bool, more: bool = False) -> list[Due]:
        """Take these, and give the mails that are due. `active`: this node sends; else the other one has sent them.

        `more`: there are events that follow at once, so that what is due after these is not known yet.
        """
        if now < self._at:
            self._set_back(now)
        due = []
        for event in events:
            due += self._come_to(min(max(event.when, self._at), now), active)
            due += self._apply(event, active)
        return due if more else due + self._come_to(now, active)

    @property
    def next(self) -> float:
        """When something may be due; infinite: never without events."""
        return self._next

    def down(self) -> set[tuple[str, str]]:
        """VIP and label of the real servers that are down, as far as events have said so."""
        servers = [one for one in self._all() if one.kind == "server-down"]
        return {(one.first[place].vip, one.first[place].server) for one in servers for place in one.open}

    def besides(self, due: Due) -> list[Incident]:
        """What is not well and not in this mail, whoever is told of it."""
        said = {one.subject for one in due.incidents}
        return [one for one in self._all() if one.open and one.has_end and one.subject not in said]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "at": self._at,
            "window": self._window,
            "once": list(self._once),
            "over": {same: list(one) for same, one in self._over.items()},
            "incidents": [one.as_dict() for one in self._all()],
        }

    @classmethod
    def of(cls, values: Mapping[str, Any], gather: float, routes: Routes) -> Incidents:
        """What `as_dict` gave. Raises as `Incident.of` does."""
        found = cls(gather, routes)
        found._at = float(values["at"])
        found._window = None if values["window"] is None else float(values["window"])
        found._once.extend(map(str, values["once"]))
        found._over = {same: (float(when), int(again)) for same, (when, again) in values.get("over", {}).items()}
        for incident in map(Incident.of, values["incidents"]):
            incident.calm = max(incident.calm, gather)
            found._add(incident)
        found._next = 0.0
        return found

    # --- events ---

    def _apply(self, event: Event, active: bool) -> list[Due]:
        if event.kind == "test" or event.kind in _WITHOUT_END:
            if event.ident in self._once:  # after a crash it may come again
                return []
            self._once.append(event.ident)
            self.revision += 1
        if event.kind == "test":
            return self._test(event)
        if event.kind in _WITHOUT_END:
            self._begin(f"{event.kind} {event.ident}", event)
        elif event.kind in BEGINS:
            self._begin(_subject(event), event)
        elif event.kind in _ENDS:
            self._end(_ENDS[event.kind], event)
        return []

    def _test(self, event: Event) -> list[Due]:
        """At once, to everybody, from any node: the way to the mail server is its own."""
        incident = Incident("test", self._routes.of(event), {"": lean(event)}, {"": event.when})
        return [Due("test", f"{event.ident}.test{n}", route, (incident,)) for n, route in enumerate(self._routes.all)]

    def _begin(self, subject: str, event: Event) -> None:
        self.revision += 1
        route, place = self._routes.of(event), place_of(event)
        incident = self._joined(subject, route, event)
        if incident is None:
            incident = self._new(subject, route, event)
        if place not in incident.first:
            incident.first[place] = lean(event)
            self._places += 1
        if incident.has_end:
            self._of[event.kind, place] = incident
        incident.open[place] = event.when
        incident.times += incident.back is not None
        incident.back = None
        if not incident.told and (self._window is None or self._window > self._at):
            self._window = self._at
            self._next = min(self._next, self._at + self._gather)
        while self._places > MOST:
            self._drop(next(self._all()))

    def _joined(self, subject: str, route: Route, event: Event) -> Incident | None:
        """The one that this belongs to."""
        place = place_of(event)
        incident = self._of.get((event.kind, place))
        if incident is not None:
            if event.when - incident.open.get(place, event.when) <= _UNHEARD:
                return incident
            self._well(incident, place, forget=True)
        incident = self._open.get(subject, {}).get(route)
        if incident is None or not incident.told:
            return incident
        if self._at - max(one.when for one in incident.first.values()) <= _JOINS:
            return incident
        del self._open[subject][route]
        incident.subject = f"{subject} {next(iter(incident.first.values())).ident}"
        self._open.setdefault(incident.subject, {})[route] = incident
        return None

    def _new(self, subject: str, route: Route, event: Event) -> Incident:
        over, before = self._over.get(_same(event), (-inf, 0))
        again = before + 1 if self._at - over <= _SAME else 0
        waits = again if event.kind in BEGINS else again - _DIPS  # for its end; where it has none, to be told at all
        calm = max(self._gather, min(self._gather * 4.0 ** min(waits, 9), _CALMEST))
        incident = Incident(subject, route, again=again, calm=calm)
        self._open.setdefault(subject, {})[route] = incident
        return incident

    def _end(self, kind: EventKind, event: Event) -> None:
        """By its place: a real server's address may be another one by now."""
        place = place_of(event)
        incident = self._of.get((kind, place))
        if incident is not None:
            self.revision += 1
            self._well(incident, place, forget=event.reason == "removed")  # from the site, by somebody who knows

    def _well(self, incident: Incident, place: str, forget: bool) -> None:
        incident.open.pop(place, None)
        if forget:
            self._forget(incident, place)
        if incident.first and not incident.open and incident.back is None:
            incident.back = self._at
            self._next = min(self._next, self._at + incident.calm)

    def _forget(self, incident: Incident, place: str) -> None:
        if len(incident.first) == 1:
            self._drop(incident)
        else:
            del self._of[incident.kind, place]
            self._places -= 1
        del incident.first[place]

    # --- time ---

    def _come_to(self, moment: float, active: bool) -> list[Due]:
        self._at = moment
        if moment < self._next:
            return []
        self.revision += 1
        due = []
        if self._window is not None and moment >= self._window + self._gather:
            self._window = None
            due += self._begun(active)
        due += self._ended(active)
        waits = [when for when, _ in self._ends()]
        self._next = min(waits, default=inf)
        if self._window is not None:
            self._next = min(self._next, self._window + self._gather)
        return due

    def _begun(self, active: bool) -> list[Due]:
        groups: dict[Route, list[Incident]] = {}
        for incident in self._untold():
            if incident.open or incident.again >= _DIPS:
                incident.told = "here" if active else "elsewhere"
                groups.setdefault(incident.route, []).append(incident)
            if not (incident.told and incident.has_end):
                self._is_over(incident)
        return [self._due("begin", route, group) for route, group in groups.items()] if active else []

    def _untold(self) -> list[Incident]:
        """What is due now. What has no end and happens often waits for more of it, and opens the window until then."""
        untold = [one for one in self._all() if not one.told]
        often = [one for one in untold if not one.has_end and one.calm > self._gather]
        until = min((next(iter(one.first.values())).when + one.calm for one in often), default=self._at)
        if until <= self._at:
            return untold
        self._window = until - self._gather
        return [one for one in untold if one.has_end or one.calm <= self._gather]

    def _ended(self, active: bool) -> list[Due]:
        due = []
        for when, group in self._ends():
            if self._at >= when:
                well = [one for one in group if one.back is not None and self._at >= one.back + one.calm]
                for incident in well:
                    self._is_over(incident)
                due.append(self._due("end", well[0].route, well))
        return due if active else []

    def _is_over(self, incident: Incident) -> None:
        self._drop(incident)
        same = _same(next(iter(incident.first.values())))
        self._over.pop(same, None)
        self._over[same] = self._at, incident.again
        if len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]

    def _ends(self) -> list[tuple[float, list[Incident]]]:
        """For each set of recipients: what is told and well again, and when that is to be said."""
        groups: dict[Route, list[Incident]] = {}
        for incident in self._all():
            if incident.told and incident.back is not None:
                groups.setdefault(incident.route, []).append(incident)
        found = []
        for group in groups.values():
            well = [one.back + one.calm for one in group if one.back is not None]
            found.append((min(max(well), min(well) + self._gather), group))
        return found

    def _due(self, what: Literal["begin", "end"], route: Route, group: list[Incident]) -> Due:
        ident = f"{next(iter(group[0].first.values())).ident}.{what}"
        if what == "begin":
            for incident in group:
                incident.thread = ident
        return Due(what, ident, route, tuple(replace(one, first=dict(one.first), open=dict(one.open)) for one in group))

    def _set_back(self, now: float) -> None:
        """The clock was: nothing waits for the time that it showed before."""
        self._at = now
        self._over.clear()
        if self._window is not None:
            self._window = min(self._window, now)
        for incident in self._all():
            if incident.back is not None:
                incident.back = min(incident.back, now)
            incident.open = {place: min(when, now) for place, when in incident.open.items()}
            if not incident.has_end:
                incident.calm = self._gather
        self._next = 0.0

    # --- what is open ---

    def _all(self) -> Iterator[Incident]:
        """The oldest first."""
        return (one for of_subject in self._open.values() for one in of_subject.values())

    def _add(self, incident: Incident) -> None:
        self._open.setdefault(incident.subject, {})[incident.route] = incident
        if incident.has_end:
            self._of.update({(incident.kind, place): incident for place in incident.first})
        self._places += len(incident.first)

    def _drop(self, incident: Incident) -> None:
        of_subject = self._open[incident.subject]
        del of_subject[incident.route]
        if not of_subject:
            del self._open[incident.subject]
        for place in incident.first:
            self._of.pop((incident.kind, place), None)
        self._places -= len(incident.first)


def _subject(event: Event) -> str:
    """A real server goes by its address, in whichever VIPs it is."""
    return f"{event.kind} {event.address if event.kind == 'server-down' and event.address else place_of(event)}"


def _same(event: Event) -> str:
    """What an incident has in common with the one that it comes again after."""
    return _subject(event) if event.kind in BEGINS else f"{event.kind} {event.node}"
