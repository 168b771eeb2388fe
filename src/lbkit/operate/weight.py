"""Weight: a real server's share among the others, other than the site has it."""

from __future__ import annotations

from dataclasses import replace

from lbkit.errors import Misuse
from lbkit.operate.asked import Asked, Place, carry_out, intent, refuse_the_last
from lbkit.operate.outcome import Done
from lbkit.site.model import Site
from lbkit.state.intents import Intent


def weight(site: Site, asked: Asked, to: int) -> list[Done]:
    """Give a real server this weight, 0 to 256, and read it back; the site's own weight takes it back.

    What was asked of it before, a drain or halt, stays. Raises Misuse, EngineError; Refused for 0 on the last that serves.
    """
    if not 0 <= to <= 256:
        raise Misuse(f"a weight of {to}: give one from 0 to 256.")

    def prepare(place: Place) -> Intent:
        if to == 0:
            refuse_the_last(place, asked)
        if place.vip.scheduler == "first":
            place.done.warnings.append(
                f"{place.vip.label} takes the first server that is up: of weights, only 0 means anything there."
            )
        place.done.steps.append(f"{place.server.label} of {place.vip.label} gets weight {to}")
        return _intent(place, asked, to)

    return carry_out(site, asked, "weight", prepare)


def _intent(place: Place, asked: Asked, to: int) -> Intent:
    before = place.server.intent
    own = None if to == place.server.server.weight else to
    made = intent(place, asked, before.wanted if before else "online", weight=own)
    return replace(made, sticky=before.sticky) if before else made
