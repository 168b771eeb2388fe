"""Each verb leaves an event once it is in force (`lbkit log`): who, why, from where. A dry run leaves none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lbkit.errors import RolledBack
from lbkit.operate.wording import IN_FORCE
from lbkit.site.model import Site
from lbkit.state.events import Event, EventKind, moment
from lbkit.state.intents import Intent
from lbkit.state.log import record
from lbkit.state.who import from_where, who_asks

_TEXT = 2000  # characters; an event has no more of each


class By(NamedTuple):
    """Who has asked, and from where."""

    who: str
    origin: str


def by_us() -> By:
    """Whoever has called this process."""
    return By(who_asks(), from_where())


def by_peer(values: Mapping[str, object]) -> By:
    """Whoever has asked on the other node, which sent these values of a question."""
    return By(str(values.get("who", "")), from_node(values.get("from")))


def from_node(name: object) -> str:
    """Where that comes from which the other node has sent. One of before does not say its name."""
    return f"node {name}" if name else "the other node"


def note(
    kind: EventKind,
    text: str,
    state: Path | None,
    *,
    by: By | None = None,
    vip: str = "",
    server: str = "",
    address: str = "",
    why: str = "",
    **details: str | int | float | bool,
) -> None:
    """Record what an operator has done. `by`: None: whoever has called this process. `state`: the state folder."""
    who, origin = (part[:_TEXT] for part in by or by_us())
    record(
        Event(
            kind,
            text[:_TEXT],
            vip=vip,
            server=server,
            address=address,
            who=who,
            why=why[:_TEXT],
            origin=origin,
            details={name: one[:_TEXT] if isinstance(one, str) else one for name, one in details.items()},
        ),
        state=state,
    )


def intents(
    site: Site, now: Iterable[Intent], before: Iterable[Intent | None], state: Path | None, origin: str | None = None
) -> None:
    """Record what has become of intents: `now` their last word, `before` what was that. `origin`: None: this process."""
    addresses = {(vip.label, server.label): server.address for vip in site.vips for server in vip.servers}
    was = {(one.vip, one.server): one for one in before if one is not None}
    origin = from_where() if origin is None else origin
    for one in now:
        key = one.vip, one.server
        last = was.get(key)
        note(
            "intent-taken-back" if _takes_back(last, one) else "intent-set",
            _sentence(last, one),
            state,
            by=By(one.who, origin),
            vip=one.vip,
            server=one.server,
            address=addresses.get(key, ""),
            why=one.why,
            **_details(one),
        )


def failover(old: str, new: str, sessions: str, state: Path | None, why: str, by: By | None = None) -> None:
    """Record that one is asked for, as it begins: that the VIPs move is another event, which the agents see."""
    text = f"the VIPs are to move from {old} to {new}; open sessions: {sessions}"
    note("failover-asked", text, state, by=by, why=why, old=old, new=new, sessions=sessions)


def maintenance(node: str, on: bool, state: Path | None, why: str, by: By | None = None) -> None:
    """Record that an operator has begun to work on a node, or ended it."""
    kind: EventKind = "maintenance-begun" if on else "maintenance-ended"
    note(kind, f"{node} is {'' if on else 'no longer '}in maintenance", state, by=by, why=why, node=node)


@contextmanager
def rolled_back(state: Path | None, by: By | None = None) -> Iterator[None]:
    """Where the block raises RolledBack, that is recorded."""
    try:
        yield
    except RolledBack as e:
        note("configuration-rolled-back", str(e), state, by=by)
        raise


def _takes_back(before: Intent | None, now: Intent) -> bool:
    if now.wanted != "online":
        return False
    return now.weight is None or (before is not None and before.wanted != "online")


def _sentence(before: Intent | None, now: Intent) -> str:
    weight = ""
    if now.weight is not None:
        weight = f" with weight {now.weight}"
    elif before and before.weight is not None:
        weight = " with the site's weight"
    again = " again" if before and before.wanted != "online" and now.wanted == "online" else ""
    until = f" until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now.until))}" if now.until else ""
    return f"{now.server} of {now.vip} is {IN_FORCE[now.wanted]}{again}{weight}{until}"


def _details(intent: Intent) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {"wanted": intent.wanted}
    if intent.weight is not None:
        found["weight"] = intent.weight
    if intent.sticky:
        found["sticky"] = True
    if intent.until is not None:
        found["until"] = moment(intent.until)
    return found
