"""Online: a real server takes clients again, as far as its health lets it."""

from __future__ import annotations

from lbkit.haproxy import persistence
from lbkit.operate.asked import Asked, Place, alone, carry_out, intent, places, weight_of
from lbkit.operate.outcome import Done
from lbkit.site.model import Site
from lbkit.state.intents import Intent


def online(site: Site, asked: Asked) -> list[Done]:
    """Take a drain or halt back, and read that back. Raises Misuse, EngineError."""
    with alone(asked):
        found = places(site, asked, "online")
        for place in found:
            vip, label, done = place.vip, place.server.label, place.done
            if not place.server.is_out:
                done.steps.append(f"{label} of {vip.label} is online already")
            else:
                done.steps.append(f"{label} of {vip.label} takes clients again")
            if place.server.health == "down":
                done.warnings.append(
                    f"{label} is down ({place.server.why}): it takes clients once its checks find it up."
                )
            if place.view.stuck_to not in (None, label):
                done.warnings.append(
                    f"{vip.label} stays stuck to {place.view.stuck_to}. To move it: lbkit pin {vip.label} {label}"
                )
        return carry_out(asked, found, [intent(place, asked, "online") for place in found], _carry)


def _carry(place: Place, wanted: Intent) -> None:
    place.haproxy.bring(place.vip.label, place.server.label, "online", weight_of(place, wanted))
    persistence.keep_cookies_off(place.haproxy, place.vip, place.server.label, off=False)
    place.done.connections = sum(place.haproxy.connections(place.vip.label, place.server.label))
