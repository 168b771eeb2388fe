"""Halt: no new connections for a real server, and those it has end."""

from __future__ import annotations

from lbkit.operate.asked import Asked, Place, carry_out, intent, refuse_the_last
from lbkit.operate.outcome import Done
from lbkit.operate.wording import many
from lbkit.site.model import Site
from lbkit.state.intents import Intent


def halt(site: Site, asked: Asked) -> list[Done]:
    """Halt a real server, end its connections, those in workers of before a reload too, and read it back.

    Its checks stop: its health is unknown until it is online again. Raises Misuse, EngineError; Refused, if it is the last
    one that serves.
    """

    def prepare(place: Place) -> Intent:
        refuse_the_last(place, asked)
        vip, label = place.vip.label, place.server.label
        place.done.steps.append(
            f"no connections for {label} of {vip}; {many(place.server.connections, 'open connection')} of it end"
        )
        if place.view.stuck_to == label:
            goes = place.others[0].label if place.others else "nobody: none is left"
            place.done.steps.append(f"the entry of {vip} is cleared: the next client goes to {goes}")
        return intent(place, asked, "halt")

    return carry_out(site, asked, "halt", prepare)
