"""What has changed of a site since it was told last, as events. No clock and no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from lbkit.agent.expiry import due
from lbkit.agent.pair_changes import changes_of_pair
from lbkit.agent.picture import Picture
from lbkit.agent.roster import PlaceKey
from lbkit.agent.seen import Seen
from lbkit.agent.service_changes import changes_of_services
from lbkit.agent.worded import event
from lbkit.site.model import Site
from lbkit.state.events import Event
from lbkit.state.intents import Intent


def changes(site: Site, before: Picture, seen: Seen, now: float) -> tuple[list[Event], Picture]:
    """What is to be told, and what is told by then. `now`: seconds since the epoch."""
    of_services, down, lacking = changes_of_services(site, before, seen)
    of_pair, role, peer_lost, split_brain = changes_of_pair(site, before, seen)
    of_intents, ended = _intents_ended(site, before, seen)
    of_files, expiring = ([], before.expiring) if seen.expiries is None else due(seen.expiries, before.expiring, now)
    after = Picture(down, lacking, role, peer_lost, split_brain, ended, expiring)
    return [*of_pair, *of_intents, *of_services, *of_files], after


def _intents_ended(site: Site, before: Picture, seen: Seen) -> tuple[list[Event], Mapping[PlaceKey, float] | None]:
    """An event for each intent whose time is up, once; then what a picture has of them."""
    if seen.ended is None:
        return [], before.ended
    until = {(one.vip, one.server): one.until or 0.0 for one in seen.ended}
    told = until if before.ended is None else before.ended
    addresses = {(vip.label, server.label): server.address for vip in site.vips for server in vip.servers}
    news = [one for one in seen.ended if told.get((one.vip, one.server)) != one.until]
    return [_expired(one, addresses.get((one.vip, one.server), "")) for one in news], until


def _expired(one: Intent, address: str) -> Event:
    text = (
        f"The time of what {one.who or 'somebody'} asked for {one.vip}/{one.server} is up ({one.wanted}"
        f"{f': {one.why}' if one.why else ''}): it is wanted online again."
    )
    return event(
        "intent-expired",
        text,
        vip=one.vip,
        server=one.server,
        address=address,
        who=one.who,
        why=one.why,
        details={"wanted": one.wanted},
    )
