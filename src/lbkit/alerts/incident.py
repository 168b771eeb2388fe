"""One incident, and the mail that is due about some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from lbkit.alerts.recipients import Route
from lbkit.state.events import Event

BEGINS = frozenset({"server-down", "vip-down", "peer-lost", "split-brain", "drift-found"})  # another event ends them
_TEXT = 400  # characters of an event that are kept
_DETAIL = 80


@dataclass(slots=True)
class Incident:
    """One, for one set of recipients. `subject`: its kind and what it is about, such as `server-down 192.0.2.7`.

    `first`: the event that began it, for each place it was seen in; `open`: those of them that are not well, and when that
    was said last. `told`: its beginning, by this node or the other one. `thread`: the first mail's ident. `back`: since when
    all of it is well. Moments are seconds since the epoch.

    `again`: how many of the same there were before it, none an hour after the one before. `times`: how often it began until
    its end. `calm`: seconds that it must be well before that is told.
    """

    subject: str
    route: Route
    first: dict[str, Event] = field(default_factory=dict)
    open: dict[str, float] = field(default_factory=dict)
    told: Literal["", "here", "elsewhere"] = ""
    thread: str = ""
    back: float | None = None
    again: int = 0
    times: int = 1
    calm: float = 0.0

    @property
    def kind(self) -> str:
        """Of the event that began it."""
        return next(iter(self.first.values())).kind

    @property
    def has_end(self) -> bool:
        """Whether another event ends it."""
        return self.kind in BEGINS

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "subject": self.subject,
            "sender": self.route.sender,
            "to": list(self.route.to),
            "first": [one.as_dict() for one in self.first.values()],
            "open": self.open,
            "told": self.told,
            "thread": self.thread,
            "back": self.back,
            "again": self.again,
            "times": self.times,
            "calm": self.calm,
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Incident:
        """What `as_dict` gave. Raises Misuse, KeyError, TypeError, AttributeError, ValueError for anything else."""
        first = {place_of(one): one for one in map(Event.of, values["first"])}
        if not first:
            raise ValueError("an incident without an event")
        route = Route(str(values["sender"]), tuple(map(str, values["to"])))
        seen = values["open"]  # an lbkit of before kept places alone
        open_ = {place: float(seen[place] if isinstance(seen, dict) else first[place].when) for place in seen}
        one = cls(str(values["subject"]), route, first, open_)
        one.told, one.thread = values["told"], str(values["thread"])
        one.back = None if values["back"] is None else float(values["back"])
        one.again, one.times = int(values.get("again", 0)), int(values.get("times", 1))
        one.calm = float(values.get("calm", 0.0))
        return one


class Due(NamedTuple):
    """A mail that is due. `ident`: its own for ever. `incidents`: as they are at that moment."""

    what: Literal["begin", "end", "test"]
    ident: str
    route: Route
    incidents: tuple[Incident, ...]


def place_of(event: Event) -> str:
    """Where it was seen: a real server in a VIP, a VIP, an engine; "": the node."""
    return event.about or str(event.details.get("engine", ""))


def lean(event: Event) -> Event:
    """What a letter needs of it."""
    short = {k: v for k, v in event.details.items() if not isinstance(v, str) or len(v) <= _DETAIL}
    who, why = event.who[:_TEXT], event.why[:_TEXT]
    return replace(event, text=event.text[:_TEXT], who=who, why=why, origin="", details=short)
