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

    `first`: the event that began it, for each place it was seen in; `open`: those of them that are not well. `told`: its
    beginning, by this node or the other one. `thread`: the first mail's ident. `back`: since when all of it is well, in
    seconds since the epoch.
    """

    subject: str
    route: Route
    first: dict[str, Event] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    told: Literal["", "here", "elsewhere"] = ""
    thread: str = ""
    back: float | None = None

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
            "open": sorted(self.open),
            "told": self.told,
            "thread": self.thread,
            "back": self.back,
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Incident:
        """What `as_dict` gave. Raises Misuse, KeyError, TypeError, AttributeError, ValueError for anything else."""
        first = {place_of(one): one for one in map(Event.of, values["first"])}
        if not first:
            raise ValueError("an incident without an event")
        route = Route(str(values["sender"]), tuple(map(str, values["to"])))
        back = None if values["back"] is None else float(values["back"])
        told = values["told"]
        return cls(str(values["subject"]), route, first, set(values["open"]), told, str(values["thread"]), back)


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
    return replace(event, text=event.text[:_TEXT], origin="", details=short)
