"""Tables: which client, or everybody, is kept on which server (guide 4.2, 11.3)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lbkit.errors import Misuse, NotDone, Refused
from lbkit.haproxy import persistence
from lbkit.haproxy.engine import Haproxy
from lbkit.operate import audit, both, both_tables
from lbkit.operate.outcome import Done, VipView
from lbkit.operate.overview import overview
from lbkit.operate.wording import IN_FORCE, many
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.site.naming import server_of, vip_of
from lbkit.site.services import Vip
from lbkit.state.unfinished import TableWork, Unfinished
from lbkit.state.who import who_asks

LIMIT = 1000  # entries that are shown
_LOOKS, _SETTLES = 5, 0.1  # seconds; a busy HAProxy may write the server of before once more
_MAPPED = "::ffff:"  # RFC 4291 section 2.5.5.2


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry: `key` is a client's address, or 1 for everybody. `expires_in`: seconds, None: never. `uses`: now."""

    key: str
    server: str | None
    expires_in: float | None
    uses: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A VIP's table. `size`: how many entries it may have; `used`: it has; `entries`: those that were asked for."""

    vip: str
    size: int
    used: int
    entries: tuple[Kept, ...]
    more: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        entries = [
            {"key": one.key, "server": one.server, "expires_in_s": one.expires_in, "uses": one.uses}
            for one in self.entries
        ]
        return {"vip": self.vip, "size": self.size, "used": self.used, "entries": entries, "more": self.more}


def show(site: Site, vip: str, *, key: str | None = None, server: str | None = None, limit: int = LIMIT) -> Shown:
    """The table of a VIP: all of it, the entry of one key, or those of one server; at most `limit` entries of it.

    Raises Misuse for a VIP without table, EngineError.
    """
    haproxy, found = _with_table(site, vip)
    ident = haproxy.id_of(vip, server_of(found, server).label) if server else None
    entries = haproxy.runtime.table(vip, key=_asked_for(found, key), server_id=ident)
    labels = {one.id: one.name for one in haproxy.runtime.servers(vip)}
    kept = tuple(
        Kept(one.key.removeprefix(_MAPPED), one.server_key or labels.get(one.server_id or 0), one.expires_in, one.uses)
        for one in entries[:limit]
    )
    about = next(one for one in haproxy.runtime.tables() if one.name == vip)
    return Shown(vip, about.size, about.used, kept, max(0, len(entries) - limit))


def clear(
    site: Site,
    vip: str,
    *,
    key: str | None = None,
    server: str | None = None,
    end_sessions: bool = False,
    dry_run: bool = False,
    state: Path | None = None,
    why: str = "",
) -> Done:
    """Take entries out of a VIP's table, and read that back: all, those of one key, or those of one server.

    Open connections stay where they are, unless `end_sessions` ends those of the servers that were named. On both nodes of a
    pair; `state`: the folder of intents, where it is kept for the other node while that is away. Raises Misuse, EngineError.
    """
    _, found = _with_table(site, vip)
    if key is not None and server is not None:
        raise Misuse(f"{vip}: --key and --server choose different entries. Give one of them.")
    label = server_of(found, server).label if server else None
    shown = show(site, vip, key=key, server=server, limit=1 << 30)
    done = Done(vip, label, "clear-table", dry_run)
    named = sorted({one.server for one in shown.entries if one.server})
    taken = f"of table {vip} taken out ({', '.join(named) or 'of no server'})"
    done.steps.append(f"{many(len(shown.entries), 'entry') if key is None else f'the entry of {key}'} {taken}")
    view = overview(site, [vip])[0]
    _say_where_next(done, view)
    if end_sessions:
        done.steps += [f"the open connections of {one} end" for one in named]
    if dry_run:
        return _foretold(site, done)
    ours, chosen = both_tables.Ours(site, found), both_tables.Chosen(_asked_for(found, key), label)

    def there(link: Link) -> str:
        theirs = both_tables.Theirs(link, vip)
        both_tables.clear(ours, theirs, chosen)
        if end_sessions:
            done.connections += sum(theirs.end_sessions(one) for one in named)
        return ""

    done.peer = both.on_peer(site, there, state)
    if done.peer.outcome != "done":
        ours.clear(chosen)
        _keep(done, ours, state, TableWork(vip, "clear", *chosen, who_asks(), time.time(), bool(ours.holds)))
    if end_sessions:
        done.connections += sum(ours.end_sessions(one) for one in named)
    more: dict[str, Any] = (
        {} if key is None else {"key": key}
    )  # not in the text, which goes into logs: it may be a client
    text = f"{many(len(shown.entries), 'entry')} {taken}"
    audit.note("table-cleared", text, state, vip=vip, server=label or "", why=why, entries=len(shown.entries), **more)
    return done


def pin(
    site: Site,
    vip: str,
    server: str | None = None,
    *,
    first: bool = False,
    force: bool = False,
    dry_run: bool = False,
    state: Path | None = None,
    why: str = "",
) -> Done:
    """Stick a Last Successful VIP to a server without any failure: `server`, or the `first` one. Read back.

    New connections go there; open ones stay where they are. On both nodes, as `clear`. Raises Misuse, EngineError; Refused
    for a server that does not serve, unless it is forced.
    """
    haproxy, found = _with_table(site, vip)
    if found.persistence.mode != "last-successful":
        raise Misuse(f"{vip} keeps each client on a server of its own; only a Last Successful VIP can be pinned.")
    if (server is None) == (not first):
        raise Misuse(f"{vip}: name the real server, or give --first, and not both.")
    chosen = server_of(found, server) if server else found.servers[0]
    done = Done(vip, chosen.label, "pin", dry_run)
    view = overview(site, [vip])[0]
    seen = next(one for one in view.servers if one.label == chosen.label)
    if not seen.serves or seen.health != "up":
        how = (
            IN_FORCE[seen.engine] if seen.engine != "online" else f"{seen.health}{f' ({seen.why})' if seen.why else ''}"
        )
        if not force:
            raise Refused(f"{chosen.label} of {vip} is {how}. Bring it back first, or give --force.")
        done.warnings.append(f"{chosen.label} is {how}: clients go to another one until it serves.")
    before = view.stuck_to or "nobody yet"
    done.steps.append(
        f"new connections of {vip} go to {chosen.label} (before: {before}); open ones stay where they are"
    )
    if dry_run:
        return _foretold(site, done)
    ours = both_tables.Ours(site, found)

    def there(link: Link) -> str:
        both_tables.pin(ours, both_tables.Theirs(link, vip), chosen.label)
        return ""

    done.peer = both.on_peer(site, there, state)
    if done.peer.outcome != "done":
        for _ in range(_LOOKS):
            ours.put({persistence.KEY: chosen.label})
            time.sleep(_SETTLES)
            if persistence.stuck_to(haproxy, found) == chosen.label:
                break
        work = TableWork(vip, "pin", persistence.KEY, chosen.label, who_asks(), time.time(), bool(ours.holds))
        _keep(done, ours, state, work)
    now = persistence.stuck_to(haproxy, found)
    if now != chosen.label and not force:
        raise NotDone(f"{vip} was pinned to {chosen.label}, and is stuck to {now}. lbkit why {vip}")
    text = f"{vip} is pinned to {chosen.label} (before: {before})"
    audit.note("table-pinned", text, state, vip=vip, server=chosen.label, address=chosen.address, why=why)
    return done


def _foretold(site: Site, done: Done) -> Done:
    if both.have_met(site):
        done.steps.append("the same on the other node")
    return done


def _keep(done: Done, ours: both_tables.Ours, state: Path | None, work: TableWork) -> None:
    """For the other node, when it is back."""
    if done.peer.outcome == "none":
        return
    Unfinished(state).add(work)
    if ours.holds is False:
        done.warnings.append(
            f"this node does not have the address of {work.vip}: if {done.peer.node} has, its clients stay where they are "
            "until it has got this."
        )


def _asked_for(vip: Vip, key: str | None) -> str | None:
    """A key as the table has it: an IPv4 address is mapped into IPv6 there. Raises Misuse for one that can't be."""
    if key is None or vip.persistence.mode != "source-ip":
        if key not in (None, persistence.KEY):
            raise Misuse(
                f"{vip.label} has one entry, of all clients together: its key is {persistence.KEY}, not {key!r}."
            )
        return key
    try:
        address = ip_address(key)
    except ValueError:
        raise Misuse(f"{key!r} is no key of {vip.label}: give a client's address, such as 192.32.40.50.") from None
    return f"{_MAPPED}{address}" if address.version == 4 else str(address)


def _with_table(site: Site, label: str) -> tuple[Haproxy, Vip]:
    vip = vip_of(site, label)
    if vip.mode == "l4-dr":
        raise Misuse(f"{label} is a layer-4 VIP: IPVS has no table that could be shown, cleared or pinned.")
    if not persistence.has_table(vip):
        mode = vip.persistence.mode
        raise Misuse(f"{label} has no table: its persistence is {mode}. Tables are for source-ip and last-successful.")
    return Haproxy(site), vip


def _say_where_next(done: Done, view: VipView) -> None:
    serving = [server.label for server in view.servers if server.serves]
    if view.vip.persistence.mode != "last-successful":
        done.steps.append("each of these clients is balanced anew with its next connection")
    elif not serving:
        done.warnings.append(f"no real server of {view.label} serves now.")
    elif view.vip.scheduler == "first":
        done.steps.append(f"the next client decides: it goes to {serving[0]}, and all others after it")
    else:
        done.steps.append("the next client decides: all others go where it is balanced to")
