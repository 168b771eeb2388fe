"""Certificates that end soon, as events: told 30, 14, 7, 3 and 1 days before, and then. No I/O: the time is passed in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from lbkit.metrics.figures import Expiry
from lbkit.state.events import Event

DAYS = (30, 14, 7, 3, 1, 0)
_DAY = 86_400.0  # seconds
_WHAT = {"certificate": "The certificate", "ca": "The first CA of family", "crl": "The first revocation list of family"}
_THEN = {
    "certificate": "who meets it then turns away",
    "ca": "who trusts that family trusts nobody of it then",
    "crl": "engines refuse every certificate of its CA then",
}
Told: TypeAlias = Mapping[
    str, tuple[float, int]
]  # by kind and name: which end, and how many days before it was told last


def due(found: Iterable[Expiry], told: Told, now: float) -> tuple[list[Event], Told]:
    """The events, and what is told by then: of what is renewed, or gone, nothing is."""
    events: list[Event] = []
    after: dict[str, tuple[float, int]] = {}
    for one in found:
        key, left = f"{one.kind}/{one.name}", one.when - now
        step = min((days for days in DAYS if left <= days * _DAY), default=None)
        if step is None:
            continue
        after[key] = one.when, step
        end, before = told.get(key, (one.when, None))
        if end != one.when or before is None or step < before:
            events.append(_event(one, left))
    return events, after


def _event(one: Expiry, left: float) -> Event:
    moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(one.when))
    days = max(0, int(left / _DAY))
    in_days = "today" if days == 0 else f"in {days} day{'s' * (days > 1)}"
    end = f"ends {in_days} ({moment})" if left > 0 else f"has ended ({moment})"
    text = f"{_WHAT[one.kind]} {one.name} {end}: {_THEN[one.kind]}. See: lbkit certs"
    return Event(
        "certificate-expiring", text, details={"name": one.name, "kind": one.kind, "days": days, "ends": one.when}
    )
