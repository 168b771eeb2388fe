"""Online: a real server takes clients again, as far as its health lets it."""

from __future__ import annotations

from lbkit.operate.asked import Asked, Place, carry_out, intent
from lbkit.operate.outcome import Done
from lbkit.site.model import Site
from lbkit.state.intents import Intent


def online(site: Site, asked: Asked) -> list[Done]:
    """Take a drain or halt back, and read that back. Raises Misuse, EngineError."""

    def prepare(place: Place) -> Intent:
        vip, label, done = place.vip, place.server.label, place.done
        if not place.server.is_out:
            done.steps.append(f"{label} of {vip.label} is online already")
        else:
            done.steps.append(f"{label} of {vip.label} takes clients again")
        if place.server.health == "down":
            done.warnings.append(f"{label} is down ({place.server.why}): it takes clients once its checks find it up.")
        if vip.mode == "l4-dr" and place.server.health == "unknown":
            done.warnings.append(
                f"nobody checks {label} now, and it gets clients all the same. Start the agent, or look yourself: "
                f"lbkit check site {vip.label} --real-only"
            )
        if place.view.stuck_to not in (None, label):
            done.warnings.append(
                f"{vip.label} stays stuck to {place.view.stuck_to}. To move it: lbkit pin {vip.label} {label}"
            )
        return intent(place, asked, "online")

    return carry_out(site, asked, "online", prepare)
