"""Halt: no new connections for a real server, and those it has end."""

from __future__ import annotations

from lbkit.haproxy import persistence
from lbkit.operate.asked import Asked, Place, alone, carry_out, intent, places, refuse_the_last, weight_of
from lbkit.operate.outcome import Done
from lbkit.operate.wording import many
from lbkit.site.model import Site
from lbkit.state.intents import Intent


def halt(site: Site, asked: Asked) -> list[Done]:
    """Halt a real server, end its connections, those in workers of before a reload too, and read it back.

    Its checks stop: its health is unknown until it is online again. Raises Misuse, EngineError; Refused, if it is the last
    one that serves.
    """
    with alone(asked):
        found = places(site, asked, "halt")
        for place in found:
            refuse_the_last(place, asked)
            vip, label = place.vip.label, place.server.label
            place.done.steps.append(
                f"no connections for {label} of {vip}; {many(place.server.connections, 'open connection')} of it end"
            )
            if place.view.stuck_to == label:
                goes = place.others[0].label if place.others else "nobody: none is left"
                place.done.steps.append(f"the entry of {vip} is cleared: the next client goes to {goes}")
        return carry_out(asked, found, [intent(place, asked, "halt") for place in found], _carry)


def _carry(place: Place, wanted: Intent) -> None:
    haproxy, vip, label = place.haproxy, place.vip, place.server.label
    haproxy.bring(vip.label, label, "halt", weight_of(place, wanted))
    if vip.persistence.mode == "last-successful":
        persistence.move_away(haproxy, vip, label)
    persistence.keep_cookies_off(haproxy, vip, label, off=False)
    haproxy.end_sessions(vip.label, label)
    place.done.connections = sum(haproxy.connections(vip.label, label))
    place.done.entries = persistence.entries_of(haproxy, vip, label)
