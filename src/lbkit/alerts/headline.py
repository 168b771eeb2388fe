"""What incidents are called: in the subject of a mail, which is all that a telephone shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lbkit.alerts.incident import Incident
from lbkit.alerts.moments import lasted
from lbkit.state.events import Event

_NAMED = 3  # names of a subject
_ALL = 200  # names of a mail
_SPLIT = ("SPLIT BRAIN", "SPLIT BRAIN over")
_DOWN = ("DOWN", "UP again")
_HEADLINES: Mapping[str, tuple[str, str]] = {  # of a beginning and of an end, the worst first
    "split-brain": _SPLIT,
    "vip-down": _DOWN,
    "failover": ("FAILOVER", ""),
    "peer-lost": ("PEER LOST", "PEER FOUND"),
    "server-down": _DOWN,
    "configuration-rolled-back": ("ROLLED BACK", ""),
    "drift-found": ("DRIFT", "DRIFT repaired"),
    "certificate-expiring": ("CERTIFICATE", ""),
    "events-lost": ("EVENTS LOST", ""),
    "test": ("TEST", ""),
}


def worst_first(incidents: Iterable[Incident]) -> list[Incident]:
    """In the order in which they are told."""
    return sorted(incidents, key=lambda one: list(_HEADLINES).index(one.kind))


def headline(incidents: Sequence[Incident], is_end: bool, peer: str) -> str:
    """What these are, the worst first, in a line. `peer`: the other node."""
    names: dict[str, list[str]] = {}
    for one in worst_first(incidents):
        names.setdefault(_HEADLINES[one.kind][is_end], []).append(name(one, peer))
    parts = [f"{word}: {_some(counted(of_word))}" for word, of_word in names.items()]
    if is_end:
        begun = min(event.when for one in incidents for event in one.first.values())
        well = max(one.back or begun for one in incidents)
        word, colon, rest = parts[0].partition(":")
        parts[0] = f"{word} after {lasted(well - begun)}{colon}{rest}"
    return "; ".join(parts)


def counted(names: Iterable[str]) -> list[str]:
    """Each once."""
    return [name if number == 1 else f"{name} ({number} times)" for name, number in Counter(names).items()]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def name(incident: Incident, peer: str) -> str:
    """What it is about."""
    event = next(iter(incident.first.values()))
    match incident.kind:
        case "server-down":
            where = event.vip if len(incident.first) == 1 else f"{len(incident.first)} VIPs"
            return f"{event.server} ({where})"
        case "vip-down":
            return f"VIP {event.vip}"
        case "failover":
            return f"{event.node} {'has' if event.details.get('to') == 'master' else 'no longer has'} the VIPs"
        case "peer-lost":
            return peer or f"seen by {event.node}"
        case "split-brain" | "events-lost":
            return f"seen by {event.node}"
        case "drift-found":
            return str(event.details.get("engine", event.node))
        case "certificate-expiring":
            return f"{event.details.get('name', event.node)}, {_days_left(event)}"
        case "configuration-rolled-back":
            return f"configuration of {event.node}"
    return f"mail of {event.node} arrives"


def _days_left(event: Event) -> str:
    days, ends = event.details.get("days", 0), event.details.get("ends", event.when)
    if days:
        return f"{days} day{'s' * (days != 1)} left"
    return "has ended" if isinstance(ends, int | float) and ends < event.when else "less than a day left"


def listed(names: Sequence[str]) -> str:
    """All of them, within reason."""
    return ", ".join(names[:_ALL]) + (" and others" if len(names) > _ALL else "")
