"""Incidents: from the event that is worth a mail to the one that ends it. No clock here, no network, no file.

What begins within a window goes into one mail; what is over by the end of the window makes none. The end of an incident
is due once all of it has been well for as long, so that what comes and goes stays one. Ends that follow each other wait for
each other, at most as long again.
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
_REMEMBERED = 1000  # events without an end
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        incidents = [one.as_dict() for one in self._all()]
        return {"at": self._at, "window": self._window, "once": list(self._once), "incidents": incidents}

    @classmethod
    def of(cls, values: Mapping[str, Any], gather: float, routes: Routes) -> Incidents:
        """What `as_dict` gave. Raises as `Incident.of` does."""
        found = cls(gather, routes)
        found._at = float(values["at"])
        found._window = None if values["window"] is None else float(values["window"])
        found._once.extend(map(str, values["once"]))
        for incident in map(Incident.of, values["incidents"]):
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
            return self._test(event) if active else []
        if event.kind in _WITHOUT_END:
            self._begin(f"{event.kind} {event.ident}", event)
        elif event.kind in BEGINS:
            self._begin(_subject(event), event)
        elif event.kind in _ENDS:
            self._end(_ENDS[event.kind], event)
        return []

    def _test(self, event: Event) -> list[Due]:
        """At once, to everybody."""
        incident = Incident("test", self._routes.of(event), {"": lean(event)}, {""})
        return [Due("test", f"{event.ident}.test{n}", route, (incident,)) for n, route in enumerate(self._routes.all)]

    def _begin(self, subject: str, event: Event) -> None:
        self.revision += 1
        route, place = self._routes.of(event), place_of(event)
        incident = self._of.get((event.kind, place)) or self._open.get(subject, {}).get(route)
        if incident is None:
            incident = Incident(subject, route)
            self._open.setdefault(subject, {})[route] = incident
        if place not in incident.first:
            incident.first[place] = lean(event)
            self._places += 1
        if incident.has_end:
            self._of[event.kind, place] = incident
        incident.open.add(place)
        incident.back = None
        if not incident.told and self._window is None:
            self._window = self._at
            self._next = min(self._next, self._at + self._gather)
        while self._places > MOST:
            self._drop(next(self._all()))

    def _end(self, kind: EventKind, event: Event) -> None:
        """By its place: a real server's address may be another one by now."""
        place = place_of(event)
        incident = self._of.get((kind, place))
        if incident is None:
            return
        self.revision += 1
        incident.open.discard(place)
        if event.reason == "removed":  # from the site, by somebody who knows
            self._forget(incident, place)
        if incident.first and not incident.open and incident.back is None:
            self._is_back(incident)

    def _forget(self, incident: Incident, place: str) -> None:
        if len(incident.first) == 1:
            self._drop(incident)
        else:
            del self._of[incident.kind, place]
            self._places -= 1
        del incident.first[place]

    def _is_back(self, incident: Incident) -> None:
        incident.back = self._at
        self._next = min(self._next, self._at + self._gather)

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
        for incident in [one for one in self._all() if not one.told]:
            if incident.open:
                incident.told = "here" if active else "elsewhere"
                groups.setdefault(incident.route, []).append(incident)
            if not (incident.open and incident.has_end):
                self._drop(incident)
        return [self._due("begin", route, group) for route, group in groups.items()] if active else []

    def _ended(self, active: bool) -> list[Due]:
        due = []
        for when, group in self._ends():
            if self._at >= when:
                well = [one for one in group if one.back is not None and self._at >= one.back + self._gather]
                for incident in well:
                    self._drop(incident)
                due.append(self._due("end", well[0].route, well))
        return due if active else []

    def _ends(self) -> list[tuple[float, list[Incident]]]:
        """For each set of recipients: what is told and well again, and when that is to be said."""
        groups: dict[Route, list[Incident]] = {}
        for incident in self._all():
            if incident.told and incident.back is not None:
                groups.setdefault(incident.route, []).append(incident)
        found = []
        for group in groups.values():
            backs = [one.back for one in group if one.back is not None]
            found.append((min(max(backs) + self._gather, min(backs) + 2 * self._gather), group))
        return found

    def _due(self, what: Literal["begin", "end"], route: Route, group: list[Incident]) -> Due:
        ident = f"{next(iter(group[0].first.values())).ident}.{what}"
        if what == "begin":
            for incident in group:
                incident.thread = ident
        return Due(what, ident, route, tuple(replace(one, first=dict(one.first), open=set(one.open)) for one in group))

    def _set_back(self, now: float) -> None:
        """The clock was: nothing waits for the time that it showed before."""
        self._at = now
        if self._window is not None:
            self._window = min(self._window, now)
        for incident in self._all():
            if incident.back is not None:
                incident.back = min(incident.back, now)
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
