"""Drain: no new connections for a real server; those it has live on."""

from __future__ import annotations

from lbkit.operate.asked import Asked, Place, carry_out, intent, refuse_the_last
from lbkit.operate.outcome import Done
from lbkit.operate.wording import many
from lbkit.site.model import Site
from lbkit.state.intents import Intent


def drain(site: Site, asked: Asked, *, move_sticky: bool = False) -> list[Done]:
    """Drain a real server, and read it back.

    A Last Successful VIP's entry moves as well: else all of its new connections would still go there. On VIPs that keep each
    client on a server, by address or by cookie, those it has stay until they end, unless `move_sticky`.

    Raises Misuse, EngineError; Refused, if it is the last one that serves.
    """

    def prepare(place: Place) -> Intent:
        refuse_the_last(place, asked)
        _foretell(place, move_sticky)
        return intent(place, asked, "drain", sticky=move_sticky)

    return carry_out(site, asked, "drain", prepare)


def _foretell(place: Place, move_sticky: bool) -> None:
    vip, label, steps = place.vip, place.server.label, place.done.steps
    living = many(place.server.connections, "open connection")
    steps.append(f"no new connections for {label} of {vip.label}; {living} of it live on")
    named = place.engine.entries(vip, label)
    mode = vip.persistence.mode
    if mode == "last-successful" and named:
        steps.append(f"the entry of {vip.label} is cleared: the next client goes to {_next(place)}")
    elif mode == "source-ip" and named and move_sticky:
        steps.append(f"{many(named, 'client')} that the table keeps on {label} move with their next connection")
    elif mode == "source-ip" and named:
        place.done.warnings.append(
            f"{many(named, 'client')} that the table keeps on {label} still get it, until their entries end. "
            "Give --sticky move to move them now, or --wait to wait for them."
        )
    elif mode == "http-cookie" and move_sticky:
        steps.append(f"browsers whose cookie names {label} move with their next request")
    elif mode == "http-cookie":
        place.done.warnings.append(
            f"browsers whose cookie names {label} still get it, until they are closed. Give --sticky move to move them now."
        )


def _next(place: Place) -> str:
    return place.others[0].label if place.others else "nobody: none is left"
