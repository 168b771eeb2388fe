"""What has changed of real servers and VIPs since it was told last, as events. No clock and no I/O.

For each real server downs and ups alternate, whatever is seen in between: unknown is no news. One that an operator has
drained or halted is in his hands: that it goes down then is not told before it is wanted online again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from lbkit.agent.engine import IntentsInForce
from lbkit.agent.picture import Lacking, Picture
from lbkit.agent.roster import PlaceKey
from lbkit.agent.seen import Seen
from lbkit.agent.worded import event, listed
from lbkit.checks.conversation import printable
from lbkit.haproxy.checked import cause
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip
from lbkit.state.events import Event, EventKind
from lbkit.state.intents import Intent
from lbkit.state.observed import ServerState, VipState

_LONGEST = 1000  # characters of what a check says
_IN_HAND = ("drain", "halt")
_LONG = 90.0  # seconds; it was down before this agent looked


@dataclass(frozen=True, slots=True)
class _Situation:
    """A VIP, with the labels of its real servers that are down, and of those that take new clients. `unserved`: why no
    engine has it, "": one does.
    """

    vip: Vip
    state: VipState
    down: tuple[str, ...]
    serving: tuple[str, ...]
    unserved: str

    @property
    def lacks(self) -> Lacking | None:
        if self.unserved or not self.serving:
            return "down"
        return "degraded" if self.down else None

    @property
    def details(self) -> dict[str, str | int | float | bool]:
        return {"servers": len(self.vip.servers), "serving": len(self.serving), "fallback": self.state.fallback}

    @property
    def serve(self) -> str:
        """`1 of 2 real servers serves`."""
        number, of = len(self.serving), len(self.vip.servers)
        return f"{number or 'none'} of {of} real server{'s' * (of > 1)} serve{'s' * (number <= 1)}"


def changes_of_services(
    site: Site, before: Picture, seen: Seen
) -> tuple[list[Event], frozenset[PlaceKey], Mapping[str, Lacking]]:
    """The events, first of what has left the site, a VIP's real servers before itself; then what a picture has of them."""
    events: list[Event] = []
    down: set[PlaceKey] = set()
    lacking: dict[str, Lacking] = {}
    for vip in site.vips:
        unserved = seen.unserved.get(vip.label, "")
        state = seen.vips.get(vip.label)
        is_known = state is not None and any(server.label in state.servers for server in vip.servers)
        if not is_known and not unserved:
            down |= before.down & {(vip.label, server.label) for server in vip.servers}
            if vip.label in before.lacking:
                lacking[vip.label] = before.lacking[vip.label]
            continue
        now = _situation(vip, state or VipState(), before.down, unserved)
        events += _of_servers(now, before.down)
        events += _of_vip(now, before.lacking.get(vip.label), seen.intents)
        down |= {(vip.label, label) for label in now.down}
        if now.lacks:
            lacking[vip.label] = now.lacks
    return [*_gone(site, before), *events], frozenset(down), lacking


# --- real servers ---


def _situation(vip: Vip, state: VipState, before: Collection[PlaceKey], unserved: str) -> _Situation:
    down, serving = [], []
    for server in vip.servers:
        one = state.servers.get(server.label)
        if _is_down(one, (vip.label, server.label) in before):
            down.append(server.label)
        elif one is not None and one.wanted not in _IN_HAND and one.weight > 0:
            serving.append(server.label)
    return _Situation(vip, state, tuple(down), tuple(serving), unserved)


def _is_down(now: ServerState | None, before: bool) -> bool:
    if now is None or now.health == "unknown":
        return before
    return now.health == "down" and (before or now.wanted not in _IN_HAND)


def _of_servers(now: _Situation, before: Collection[PlaceKey]) -> Iterator[Event]:
    for server in now.vip.servers:
        was, is_now = (now.vip.label, server.label) in before, server.label in now.down
        if was != is_now:
            yield _down(now, server) if is_now else _up(now, server)


def _down(now: _Situation, server: RealServer) -> Event:
    state = now.state.servers[server.label]
    why = _said(state.why)
    step, reason = cause(why)
    long = f", and has been for {state.since / 60:.0f} min" if state.since > _LONG else ""
    held = f" It is left in: {now.state.held}." if now.state.held else ""
    text = f"{now.vip.label}/{server.label} ({server.address}) is down{long}: {why or 'its check does not say why'}."
    return _about(now, server, "server-down", f"{text} {now.serve.capitalize()}.{held}", step, reason)


def _up(now: _Situation, server: RealServer) -> Event:
    text = f"{now.vip.label}/{server.label} ({server.address}) is up again. {now.serve.capitalize()}."
    return _about(now, server, "server-up", text)


def _about(now: _Situation, server: RealServer, kind: EventKind, text: str, step: str = "", reason: str = "") -> Event:
    return event(
        kind,
        text,
        vip=now.vip.label,
        server=server.label,
        address=server.address,
        step=step,
        reason=reason,
        details=now.details,
    )


# --- VIPs ---


def _of_vip(now: _Situation, before: Lacking | None, intents: IntentsInForce) -> Iterator[Event]:
    if now.lacks == before:
        return
    label = now.vip.label
    if now.lacks == "down":
        asked = [found for server in now.vip.servers if (found := _in_hand(now, server, intents))]
        who, why = (asked[0].who, asked[0].why) if asked else ("", "")
        text = f"{label} is down: nobody serves it. {_why_down(now, intents)}"
        yield event("vip-down", text, vip=label, who=who, why=why, details=now.details)
    elif now.lacks == "degraded":
        again = "serves again, and is not whole" if before == "down" else "is degraded"
        text = f"{label} {again}: {now.serve}; down: {listed(now.down)}."
        yield event("vip-degraded", text, vip=label, details=now.details)
    else:
        is_whole = len(now.serving) == len(now.vip.servers)
        how = f"{label} is whole again" if is_whole else f"No real server of {label} is down any more"
        yield event("vip-recovered", f"{how}: {now.serve}.", vip=label, details=now.details)


def _why_down(now: _Situation, intents: IntentsInForce) -> str:
    clients = "Its clients go to the fallback server" if now.state.fallback else "Its clients are turned away"
    if now.unserved:
        return now.unserved
    if now.state.held:
        return f"Its real servers are left in: {now.state.held}."
    return f"{listed([_why_not(now, server, intents) for server in now.vip.servers], '; ')}. {clients}."


def _why_not(now: _Situation, server: RealServer, intents: IntentsInForce) -> str:
    """Why a real server does not serve."""
    if server.label in now.down:
        return f"{server.label} is down"
    one = now.state.servers.get(server.label)
    if one is None:
        return f"the engine does not have {server.label}"
    if one.wanted in _IN_HAND:
        asked = intents.get((now.vip.label, server.label))
        word = "drained" if one.wanted == "drain" else "halted"
        return f"{server.label} is {word} by {_asked(asked) if asked else 'nobody that lbkit knows'}"
    return f"{server.label} has weight 0"


def _in_hand(now: _Situation, server: RealServer, intents: IntentsInForce) -> Intent | None:
    """What an operator asked for one that would serve without that."""
    is_out = server.label not in now.down and server.label not in now.serving
    return intents.get((now.vip.label, server.label)) if is_out else None


def _asked(one: Intent) -> str:
    return f"{one.who or 'somebody'}{f': {one.why}' if one.why else ''}"


def _said(why: str) -> str:
    return printable(why)[:_LONGEST].rstrip(". ")


# --- what the site has no more ---


def _gone(site: Site, before: Picture) -> Iterator[Event]:
    """What began ends, so that nobody waits for it."""
    there = {(vip.label, server.label) for vip in site.vips for server in vip.servers}
    for vip, server in sorted(before.down - there):
        text = f"{vip}/{server} was down, and is not in the site any more."
        yield event("server-up", text, vip=vip, server=server, reason="removed")
    for vip in sorted(before.lacking.keys() - {one.label for one in site.vips}):
        yield event(
            "vip-recovered",
            f"{vip} was {before.lacking[vip]}, and is not in the site any more.",
            vip=vip,
            reason="removed",
        )
