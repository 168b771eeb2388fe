"""A reload that misroutes nobody.

A new worker gets its tables from the old one some milliseconds after its first connection; until then a Last Successful VIP
would go to its first server, and could stay there (at least one wrong connection in 34 of 40 plain reloads). So the new
worker is told, by the server state file, that only the server it is stuck to takes clients; the others are set ready once
its table holds the entry. What operators wanted of servers it is told the same way, before its first connection.

Of a source-IP VIP no server can be told so: there a client without an entry waits a moment (haproxy.cfg.j2).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lbkit.errors import CannotRun
from lbkit.haproxy import persistence
from lbkit.haproxy.engine import Haproxy, wanted_of
from lbkit.haproxy.sections import FALLBACK
from lbkit.haproxy.server_state import Told, as_they_are, told
from lbkit.site.services import Vip
from lbkit.state.intents import Intent
from lbkit.state.observed import VipState

ENTRY_WITHIN = 1.0  # seconds until the new worker's table has the entry; then it is given to it
TEACHES_WITHIN = 6.0  # seconds; HAProxy's own limit for its resynchronisation after a start is 5
_POLL = 0.005  # seconds
_RESYNCHRONISED = 0x3  # of the flags of `show peers`: with the worker of before, and with the other node


@dataclass(frozen=True, slots=True)
class Before:
    """What a worker has in force: its pid, what it prints of its servers, and how each is to be told to another worker."""

    worker: int | None
    dump: str
    servers: tuple[Told, ...]


def before(haproxy: Haproxy) -> Before:
    """What `reload_back` takes. Raises EngineError."""
    dump = haproxy.runtime.ask("show servers state")
    servers = tuple(one for one in as_they_are(dump) if one.server != FALLBACK)
    return Before(haproxy.master.current(), dump, servers)


def reload(haproxy: Haproxy, intents: Mapping[tuple[str, str], Intent], timeout: float = 30.0) -> int:
    """Start a worker with the configuration on disk, and leave the old one to its connections; the new one's pid.

    Every real server begins as `intents` have it. Raises EngineError, with HAProxy's own words, for a reload that failed:
    the old worker goes on then.
    """
    dump = haproxy.runtime.ask("show servers state")
    try:
        return _reload(haproxy, dump, list(_of_site(haproxy, intents)), timeout)
    finally:
        apply_intents(haproxy, intents)


def reload_back(haproxy: Haproxy, was: Before, timeout: float = 30.0) -> int:
    """The same with a configuration that was in force before, the site's or not; every server is as it was then."""
    try:
        return _reload(haproxy, was.dump, was.servers, timeout)
    finally:
        for one in was.servers:
            haproxy.set_wanted(one.backend, one.server, one.wanted)


def _reload(haproxy: Haproxy, dump: str, servers: Sequence[Told], timeout: float) -> int:
    _wait_until_it_can_teach(haproxy)
    seen = haproxy.look()
    stuck = {vip.label: label for vip in haproxy.vips if (label := _stuck(haproxy, vip, seen.get(vip.label), servers))}
    guarded = [
        replace(one, wanted="drain")
        if one.wanted == "online" and stuck.get(one.backend, one.server) != one.server
        else one
        for one in servers
    ]
    with _state_file(haproxy, told(dump, guarded)):
        pid = haproxy.master.reload(timeout)
    for vip in haproxy.vips:
        if vip.label in stuck:
            _wait_for_entry(haproxy, vip, stuck[vip.label])
    return pid


def apply_intents(
    haproxy: Haproxy, intents: Mapping[tuple[str, str], Intent], only: Collection[tuple[str, str]] | None = None
) -> list[tuple[str, str]]:
    """Bring every real server to what is wanted of it; those for which there was something to do, as (VIP, server).

    `only`: these alone. What HAProxy does not have is left out: after a reload that failed that is nothing wrong. A weight
    that nobody asked for is that of HAProxy's configuration: the site file may have another that is not applied yet.
    """
    changed = []
    there = {(one.backend, one.name): one for one in haproxy.runtime.servers()}
    for vip in haproxy.vips:
        for server in vip.servers:
            now = there.get((vip.label, server.label))
            if now is None or (only is not None and (vip.label, server.label) not in only):
                continue
            intent = intents.get((vip.label, server.label))
            weight = now.configured_weight if intent is None or intent.weight is None else intent.weight
            wanted = wanted_of(intent)
            done = haproxy.bring(vip.label, server.label, wanted, weight)
            off = intent is not None and wanted == "drain" and intent.sticky
            done = persistence.keep_cookies_off(haproxy, vip, server.label, off=off) or done
            if wanted != "online" and persistence.stuck_to(haproxy, vip) == server.label:
                persistence.move_away(haproxy, vip, server.label)
                done = True
            if done:
                changed.append((vip.label, server.label))
    return changed


def forget_state_file(haproxy: Haproxy) -> None:
    """Take away what a reload that was killed has left: a HAProxy that starts would take it for true."""
    for path in _state_paths(haproxy):
        with suppress(OSError):
            path.unlink()


def _stuck(haproxy: Haproxy, vip: Vip, seen: VipState | None, servers: Iterable[Told]) -> str | None:
    """The server a VIP is to stay with; None: it may go to any, as when that one is down, is to go, or is there no more."""
    if vip.persistence.mode != "last-successful" or seen is None:
        return None
    label = persistence.stuck_to(haproxy, vip)
    if label is None or label not in {
        one.server for one in servers if one.backend == vip.label and one.wanted == "online"
    }:
        return None
    state = seen.servers[label]
    return label if state.wanted == "online" and state.health != "down" else None


def _of_site(haproxy: Haproxy, intents: Mapping[tuple[str, str], Intent]) -> Iterator[Told]:
    for vip in haproxy.vips:
        for number, server in enumerate(vip.servers, 1):
            wanted = wanted_of(intents.get((vip.label, server.label)))
            port, tls = server.port or 0, server.re_encrypt
            yield Told(vip.label, server.label, number, server.address, port, tls, wanted)


def _state_paths(haproxy: Haproxy) -> tuple[Path, Path]:
    """The file that a new worker reads, and beside it the one that is written first."""
    path = Path(haproxy.site.haproxy.runtime, "state")
    return path, path.with_name(".state-new")


@contextmanager
def _state_file(haproxy: Haproxy, text: str) -> Iterator[None]:
    """It is there for one reload alone: a stale one would drain again what an operator has put online since."""
    path, new = _state_paths(haproxy)
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w") as file:
            file.write(text)
        os.replace(new, path)
    except OSError as e:
        raise CannotRun(
            f"{path} can't be written: {e.strerror}. Run this as whoever runs HAProxy, or as root."
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _wait_until_it_can_teach(haproxy: Haproxy) -> None:
    """A worker that was started less than 5 seconds ago does not hand its tables on: all of them would be lost."""
    if not any(persistence.has_table(vip) for vip in haproxy.vips):
        return
    deadline = time.monotonic() + TEACHES_WITHIN
    while time.monotonic() < deadline and not is_resynchronised(haproxy):
        time.sleep(10 * _POLL)


def is_resynchronised(haproxy: Haproxy) -> bool:
    """Whether the worker has its tables from whoever had them before, or has waited for them in vain."""
    flags = re.search(r" flags=0x([0-9a-f]+) ", haproxy.runtime.ask("show peers"))
    return flags is None or int(flags[1], 16) & _RESYNCHRONISED == _RESYNCHRONISED


def _wait_for_entry(haproxy: Haproxy, vip: Vip, server: str) -> None:
    """Until the new worker's table names the server; after a while it is told so."""
    deadline = time.monotonic() + ENTRY_WITHIN
    while time.monotonic() < deadline:
        if persistence.stuck_to(haproxy, vip) is not None:
            return
        time.sleep(_POLL)
    haproxy.runtime.set_entry(vip.label, persistence.KEY, haproxy.id_of(vip.label, server))
