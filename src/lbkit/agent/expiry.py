"""Certificates that end soon, as events: told 30, 14, 7, 3 and 1 days before, and then. No I/O: the time is passed in.

Revocation lists never last long and are issued anew all the time: they are told a day before, and then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from lbkit.metrics.figures import Expiry
from lbkit.state.events import Event

DAYS = (30, 14, 7, 3, 1, 0)
DAYS_OF_A_LIST = (1, 0)
_DAY = 86_400.0  # seconds
_LOOK = 3600.0  # seconds that a step may be passed by when it is seen
_FORGOTTEN = 30 * _DAY  # after the end, what was told of a file that can't be read
_WHAT = {
    "certificate": "The certificate",
    "issuer": "The first issuer in the file of certificate",
    "ca": "The first CA of family",
    "crl": "The first revocation list of family",
}
_THEN = {
    "certificate": "who meets it then turns away",
    "issuer": "who meets that certificate turns away then",
    "ca": "who trusts that family trusts nobody of it then",
    "crl": "engines refuse every certificate of its CA then",
}
Told: TypeAlias = Mapping[
    str, tuple[float, int]
]  # by kind and name: which end, and how many days before it was told last


def due(found: Iterable[Expiry], told: Told, now: float) -> tuple[list[Event], Told]:
    """The events, and what is told by then: nothing of what is renewed; of a file that can't be read now, what was."""
    events: list[Event] = []
    here = list(found)
    read = {f"{one.kind}/{one.name}" for one in here}
    after = {key: one for key, one in told.items() if key not in read and now < one[0] + _FORGOTTEN}
    for one in here:
        key, left = f"{one.kind}/{one.name}", one.when - now
        steps = DAYS_OF_A_LIST if one.kind == "crl" else DAYS
        step = min((days for days in steps if left <= days * _DAY), default=None)
        if step is None:
            continue
        after[key] = one.when, step
        end, before = told.get(key, (one.when, None))
        is_other = end != one.when and one.kind != "crl"
        if is_other or before is None or step < before:
            events.append(_event(one, left))
    return events, after


def _event(one: Expiry, left: float) -> Event:
    moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(one.when))
    days = max(0, int((left + _LOOK) / _DAY))
    in_days = f"in {days} day{'s' * (days > 1)}" if days else "in less than a day"
    end = f"ends {in_days} ({moment})" if left > 0 else f"has ended ({moment})"
    text = f"{_WHAT[one.kind]} {one.name} {end}: {_THEN[one.kind]}. See: lbkit certs"
    return Event(
        "certificate-expiring", text, details={"name": one.name, "kind": one.kind, "days": days, "ends": one.when}
    )
