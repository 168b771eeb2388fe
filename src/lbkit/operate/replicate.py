"""Intents are the same on both nodes: each gives the other its own, and of two the newer wins."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbkit.errors import EngineError, LbkitError, Misuse
from lbkit.operate import audit
from lbkit.operate.engines import engine_of
from lbkit.operate.wording import in_words
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.site.naming import server_of, vip_of
from lbkit.state.intents import Intent, Intents, Merged
from lbkit.state.node import node_of

if TYPE_CHECKING:
    from lbkit.operate.receive import Here

log = logging.getLogger("lbkit.pair")

_LOCKED_FOR = 5.0  # seconds that a verb of this node is waited for while the other node waits
_Key = tuple[str, str]


def exchange(site: Site, link: Link, state: Path | None = None, now: Collection[_Key] = ()) -> Mapping[str, str]:
    """Give the other node the intents of this one, take those of it that are newer, and put those in force here.

    `now`: by VIP and real server, those that are to be in force there before this returns. Returns why some are not, by
    VIP/SERVER. Raises LbkitError where the other node can't be asked, or has not understood; nothing is lost then.
    """
    store = Intents(state)
    with store.alone():  # a verb at work may still take back what it has recorded
        ours = _known(site, store)
    here = node_of(site)
    values: dict[str, Any] = {"from": here.name if here else "", "now": [list(key) for key in now]}
    answer = link.ask("intents", intents=[one.as_dict() for one in ours], **values)
    theirs = _read(site, answer.get("intents"))
    _tell_lost(_read(site, answer.get("lost")), theirs, f"on {link.peer.name}")
    if any(one not in ours for one in theirs):
        with store.alone():
            merged = store.merge(theirs)
            for place, why in put_in_force(site, merged.taken, state).items():
                log.warning("%s is not in force yet: %s", place, why)
        _tell(site, merged, audit.from_node(link.peer.name), state)
    not_there = answer.get("not_in_force")
    return {str(place): str(why) for place, why in not_there.items()} if isinstance(not_there, dict) else {}


def differing(site: Site, link: Link, state: Path | None = None) -> Sequence[str]:
    """Of which real servers the nodes' intents differ, as VIP/SERVER; nothing is given or taken. Raises LbkitError."""
    ours = {*_known(site, Intents(state))}
    theirs = {*_read(site, link.ask("intents", intents=[], now=[]).get("intents"))}
    return sorted({f"{one.vip}/{one.server}" for one in ours ^ theirs})


def put_in_force(site: Site, found: Iterable[Intent], state: Path | None = None) -> Mapping[str, str]:
    """Bring the engines of this node to these intents; why it did not work, by VIP/SERVER.

    Who starts, reloads or applies an engine later puts them in force then, for they are recorded.
    """
    failed = {}
    for one in found:
        try:
            vip = vip_of(site, one.vip)
            server = server_of(vip, one.server)
            wanted = replace(one, wanted="online", weight=None, sticky=False) if one.is_over(time.time()) else one
            weight = server.weight if wanted.weight is None else wanted.weight
            engine_of(site, vip, state).put(vip, wanted, weight)
        except LbkitError as e:
            failed[f"{one.vip}/{one.server}"] = str(e)
    return failed


def intents(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The question "intents": `intents` of the other node, of which `now` are to be in force at once. Gives those of here.

    Real servers that this node's site does not have are neither given nor taken: what was forgotten does not come back.
    """
    site, store = here.site, Intents(here.state)
    given = _read(site, values.get("intents"))
    now = {(str(vip), str(server)) for vip, server in values.get("now", ())}
    if not given:
        return {"intents": [one.as_dict() for one in _known(site, store)]}
    with store.alone(_LOCKED_FOR):
        merged = store.merge(given)
        asked = [one for one in store.last_words() if (one.vip, one.server) in now]
        failed = put_in_force(site, dict.fromkeys([*merged.taken, *asked]), here.state)
    _tell(site, merged, audit.from_node(values.get("from")), here.state)
    return {
        "intents": [one.as_dict() for one in _known(site, store)],
        "lost": [one.as_dict() for one in merged.lost],
        "not_in_force": failed,
    }


def connections(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The question "connections": how many each of `places`, pairs of VIP and real server, has here; in old workers too."""
    site, counted = here.site, []
    for label, server in values["places"]:
        vip = vip_of(site, str(label))
        try:
            counted.append(engine_of(site, vip, here.state).connections(vip.label, str(server))[0])
        except EngineError:
            counted.append(0)  # what does not run has none
    return {"connections": counted}


def _known(site: Site, store: Intents) -> list[Intent]:
    places = {(vip.label, server.label) for vip in site.vips for server in vip.servers}
    return [one for one in store.last_words() if (one.vip, one.server) in places]


def _read(site: Site, listed: object) -> list[Intent]:
    places = {(vip.label, server.label) for vip in site.vips for server in vip.servers}
    if not isinstance(listed, list):
        return []
    try:
        found = [Intent.of(values) for values in listed]
    except Misuse as e:
        raise Misuse(f"the other node's intents can't be read: {e} Install the same lbkit on both nodes.") from None
    return [one for one in found if (one.vip, one.server) in places]


def _tell(site: Site, merged: Merged, whence: str, state: Path | None) -> None:
    audit.intents(site, merged.taken, merged.lost, state, whence)
    before = {(one.vip, one.server): one for one in merged.lost}
    for one in merged.taken:
        was = before.get((one.vip, one.server))
        instead = f"; it replaces {in_words(was)}" if was else ""
        log.info("%s/%s: %s, taken from %s%s", one.vip, one.server, in_words(one), whence, instead)


def _tell_lost(lost: Iterable[Intent], winners: Iterable[Intent], where: str) -> None:
    by = {(one.vip, one.server): one for one in winners}
    for one in lost:
        if (winner := by.get((one.vip, one.server))) is not None:
            log.info("%s/%s: %s replaces %s %s", one.vip, one.server, in_words(winner), in_words(one), where)
