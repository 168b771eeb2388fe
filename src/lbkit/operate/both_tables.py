"""A VIP's table on both nodes. HAProxy replicates entries, and no clear: an entry that one node has lost comes back from the
other one.

The node that has the VIP is right, for its clients make the entries. So a change is made on the other node first, then
there; and what the other node still has otherwise (an entry that a connection brought in between) is put right. The same
is all that is left to do when a node comes back that missed a change: the table of the node with the VIP stays as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lbkit.errors import CannotRun, Misuse, NotDone
from lbkit.haproxy import guarded, persistence
from lbkit.haproxy.engine import Haproxy
from lbkit.pair.addresses import held
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.site.naming import vip_of
from lbkit.site.services import Vip
from lbkit.state.unfinished import TableWork, Unfinished

if TYPE_CHECKING:
    from lbkit.operate.receive import Here

log = logging.getLogger("lbkit.pair")

_ATTEMPTS = 5
_AT_ONCE = 1000  # entries of one question
_REPLICATED_WITHIN = 0.1  # seconds; HAProxy takes less than 1 ms
_ANSWERS_WITHIN = 30.0  # seconds, for a table of a hundred thousand entries

Entries = Mapping[str, str | None]  # the server's label by key


class Chosen(NamedTuple):
    """Of a table: all, the entry of a `key` (as the table has it), or those of a `server`, by its label."""

    key: str | None = None
    server: str | None = None


class Side(Protocol):
    """A VIP's table on one node. All methods raise EngineError."""

    holds: bool | None

    def demand_whole(self) -> None:
        """Raise NotDone where this HAProxy has begun just now, and has yet to learn its table."""

    def entries(self, chosen: Chosen) -> Entries:
        """Those that are there."""

    def clear(self, chosen: Chosen) -> None:
        """Take them out, and read back."""

    def put(self, entries: Entries) -> None:
        """Have each key's entry name this server, None: have it go; and read back."""

    def end_sessions(self, server: str) -> int:
        """End the open connections of a server; how many there were."""


class Ours:
    """The table on this node. `holds`: this node has the VIP's address, None: nobody says who has."""

    def __init__(self, site: Site, vip: Vip) -> None:
        self._haproxy = Haproxy(site)
        self._vip = vip
        self.holds = _holds(site, vip)

    def demand_whole(self) -> None:
        """See `Side`."""
        if not guarded.is_resynchronised(self._haproxy):
            raise NotDone("HAProxy has begun just now, and has yet to learn its tables. Ask again in 5 s.")

    def entries(self, chosen: Chosen) -> Entries:
        """See `Side`."""
        found = self._haproxy.runtime.table(self._vip.label, key=chosen.key, server_id=self._id(chosen.server))
        labels = {one.id: one.name for one in self._haproxy.runtime.servers(self._vip.label)}
        return {one.key: one.server_key or labels.get(one.server_id or 0) for one in found}

    def clear(self, chosen: Chosen) -> None:
        """See `Side`."""
        self._haproxy.runtime.clear_table(self._vip.label, key=chosen.key, server_id=self._id(chosen.server))

    def put(self, entries: Entries) -> None:
        """See `Side`."""
        self._set(entries)
        if persistence.wait_for_those_on_the_way(self._haproxy, self._vip):
            self._set(entries)

    def _set(self, entries: Entries) -> None:
        ids = {one.name: one.id for one in self._haproxy.runtime.servers(self._vip.label)}
        for key, server in entries.items():
            if server in ids:
                self._haproxy.runtime.set_entry(self._vip.label, key, ids[server])
            else:
                self.clear(Chosen(key))

    def end_sessions(self, server: str) -> int:
        """See `Side`."""
        return self._haproxy.end_sessions(self._vip.label, server)

    def _id(self, server: str | None) -> int | None:
        return self._haproxy.id_of(self._vip.label, server) if server else None


class Theirs:
    """The table on the other node."""

    def __init__(self, link: Link, vip: str) -> None:
        self._link = link
        self._vip = vip
        self.holds: bool | None = self._ask("look")["holds"]

    def demand_whole(self) -> None:
        """See `Side`."""
        self._ask("demand_whole")

    def entries(self, chosen: Chosen) -> Entries:
        """See `Side`."""
        return dict(self._ask("entries", **chosen._asdict())["entries"])

    def clear(self, chosen: Chosen) -> None:
        """See `Side`."""
        self._ask("clear", **chosen._asdict())

    def put(self, entries: Entries) -> None:
        """See `Side`."""
        todo = list(entries.items())
        for start in range(0, len(todo), _AT_ONCE):
            self._ask("put", entries=todo[start : start + _AT_ONCE])

    def end_sessions(self, server: str) -> int:
        """See `Side`."""
        return int(self._ask("end_sessions", server=server)["ended"])

    def _ask(self, what: str, **values: Any) -> dict[str, Any]:
        return self._link.ask("table", _ANSWERS_WITHIN, do=what, vip=self._vip, **values)


def _holds(site: Site, vip: Vip) -> bool | None:
    try:
        here = held(site)
    except CannotRun:
        return None
    return vip.address in here


def table(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The question "table": `do` look (`holds`), or what a `Side` does, with the table of `vip`."""
    vip = vip_of(here.site, str(values.get("vip")))
    if vip.mode == "l4-dr" or not persistence.has_table(vip):
        raise Misuse(f"{vip.label} has no table on this node. Have both the same site: lbkit pair sync")
    side, key, server = Ours(here.site, vip), values.get("key"), values.get("server")
    match values.get("do"):
        case "look":
            return {"holds": side.holds}
        case "demand_whole":
            side.demand_whole()
        case "entries":
            return {"entries": list(side.entries(Chosen(key, server)).items())}
        case "clear":
            side.clear(Chosen(key, server))
        case "put":
            side.put({str(one): server for one, server in values["entries"]})
        case "end_sessions":
            return {"ended": side.end_sessions(str(server))}
        case other:
            raise Misuse(f"a table is not asked {other!r:.40} from the other node. Install the same lbkit on both.")
    return {}


def in_order(one: Side, other: Side) -> tuple[Side, Side]:
    """The side that follows, and the one that is right: that which has the VIP; if neither or both have, the first."""
    return (one, other) if other.holds and not one.holds else (other, one)


def clear(ours: Side, theirs: Side, chosen: Chosen) -> None:
    """On both, so that none comes back. Raises NotDone."""
    follows, right = in_order(ours, theirs)
    follows.clear(chosen)
    right.clear(chosen)
    match_tables(follows, right, chosen)


def pin(ours: Side, theirs: Side, server: str) -> None:
    """On both. Raises NotDone."""
    follows, right = in_order(ours, theirs)
    right.put({persistence.KEY: server})
    match_tables(follows, right, Chosen(persistence.KEY))


def match_tables(follows: Side, right: Side, chosen: Chosen) -> None:
    """What `follows` has otherwise than `right` becomes as it is there, and is read back. Raises NotDone.

    That an entry is under way to it is waited for: what differs is looked at twice.
    """
    stale = _stale(follows, right, chosen)
    for _ in range(_ATTEMPTS):
        if not stale:
            return
        time.sleep(_REPLICATED_WITHIN)
        still = _stale(follows, right, chosen)
        follows.put({key: wanted for key, (was, wanted) in still.items() if stale.get(key) == (was, wanted)})
        stale = _stale(follows, right, chosen)
    raise NotDone(
        f"the nodes' tables differ still in {len(stale)} entries, such as that of {next(iter(stale), '')!r}. Do the two "
        "HAProxies reach each other? lbkit pair status"
    )


def _stale(follows: Side, right: Side, chosen: Chosen) -> dict[str, tuple[str | None, str | None]]:
    """By key: the servers that `follows` has, and that `right` has, None: no entry.

    `follows` is read first: what a client makes is in `right` before it is there. What it lacks of a whole table is on its
    way; of one key it is missing.
    """
    has, wanted = follows.entries(chosen), right.entries(chosen)
    keys = has.keys() | wanted.keys() if chosen.key is not None else has.keys()
    return {key: (has.get(key), wanted.get(key)) for key in keys if has.get(key) != wanted.get(key)}


def finish(site: Site, link: Link, state: Path | None = None) -> None:
    """Do what was left undone when the other node was away. Raises LbkitError, and keeps what is still undone."""
    store = Unfinished(state)
    for work in store.all():
        try:
            vip = vip_of(site, work.vip)
        except Misuse:
            pass  # the site has it no more
        else:
            whole = Chosen(persistence.KEY) if vip.persistence.mode == "last-successful" else Chosen()
            _finish(Ours(site, vip), Theirs(link, work.vip), whole, work)
        store.drop([work])


def _finish(ours: Side, theirs: Side, chosen: Chosen, work: TableWork) -> None:
    """`chosen`: all of the table."""
    follows, right = in_order(ours, theirs)
    what = f"{work.verb} of table {work.vip} by {work.who}"
    if ours.holds and theirs.holds:
        raise NotDone(f"{what} is not done on the other node yet: both have the VIP. lbkit pair status")
    for side in (ours, theirs):
        side.demand_whole()
    if right is ours:
        match_tables(follows, right, chosen)
        log.info("%s: the other node's table is as that of here now", what)
    elif work.held:
        match_tables(follows, right, chosen)
        log.warning(
            "%s was not known to the other node when that took the VIP over: its table stays; do it again", what
        )
    else:
        if work.verb == "clear":
            clear(ours, theirs, Chosen(work.key, work.server))
        else:
            pin(ours, theirs, str(work.server))
        log.info("%s is done on the other node too, which has the VIP", what)
