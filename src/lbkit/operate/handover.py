"""A planned switch as each node does its part of it: the questions `handover.…`, asked of this node or of the other one."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from math import isfinite
from typing import Any

from lbkit.errors import LbkitError, Misuse, NotDone
from lbkit.haproxy import persistence
from lbkit.haproxy.engine import Haproxy
from lbkit.operate import audit, node_look
from lbkit.operate.receive import Here
from lbkit.pair import addresses, second_chance, settings, switch, track, vrrp
from lbkit.pair.switch import Switch
from lbkit.site.model import Site
from lbkit.state import maintenance
from lbkit.state.agent import Agent

_Values = Mapping[str, Any]
_ADDRESS_CHANGES = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR: rtnetlink(7)
_LOOKS_EVERY = 0.05  # seconds; a change is told before
_LONGEST_WAIT = 60.0
_AGENT_WITHIN = 2.0


def look(here: Here, values: _Values) -> _Values:
    """How fit this node is: its status, and of each layer-7 VIP the open connections and the server it is stuck to."""
    return {"status": node_look.look(here, "").as_dict(), **_of_vips(here.site)}


def _of_vips(site: Site) -> dict[str, Any]:
    haproxy = Haproxy(site)
    connections: dict[str, int] = {}
    stuck: dict[str, str | None] = {}
    if haproxy.vips:
        with suppress(LbkitError):  # it is down: the status says so
            connections = {label: vip.connections for label, vip in haproxy.look().items()}
            for vip in haproxy.vips:
                if vip.persistence.mode == "last-successful":
                    stuck[vip.label] = persistence.stuck_to(haproxy, vip)
    return {"connections": connections, "stuck": stuck}


# --- the old node ---


def prepare(here: Here, values: _Values) -> _Values:
    """Take packets for the VIPs after they have left. `ident`, `old`, `new`, `for` (seconds): of the switch.

    `hops`: this node's own addresses, by VIP's. Raises CannotRun, NotDone where it would go on answering for the VIPs.
    """
    site = here.site
    moving = tuple(dict.fromkeys(address for address, _ in second_chance.kept(site)))
    settings.set_all(site)
    before = switch.read(site)
    if before is not None and before.new == here.node.name:  # its sessions live on till this one is done
        second_chance.renew(before.over, _LONGEST_WAIT)
    switch.write(site, _switch(values, moving, before))
    second_chance.take(moving)
    return {"hops": second_chance.hops(moving, site, here.node)}


def moved(here: Here, values: _Values) -> _Values:
    """The addresses have gone; how many sessions live on here. `ident`: of the switch."""
    found = _the(here, values)
    second_chance.stop()  # of the switch before: its sessions are on the new node, which has the addresses now
    switch.write(here.site, replace(found, done=True, before=None))
    kept = labels_kept(here.site)
    _end_sessions(here.site, [vip.label for vip in here.site.vips if vip.label not in kept])
    return {"connections": connections_left(here.site)}


def cut(here: Here, values: _Values) -> _Values:
    """End all sessions of VIPs that have left, so that their clients hear of it; how many."""
    second_chance.stop()
    moving = tuple(dict.fromkeys(address for address, _ in second_chance.kept(here.site)))
    with suppress(LbkitError):  # it is a courtesy
        settings.set_all(here.site)
        second_chance.take(moving)  # or nothing could be sent to clients any more
    return {"ended": end(here.site)}


def left(here: Here, values: _Values) -> _Values:
    """How many sessions live on here. `ident`: of the switch; raises Misuse where that is over."""
    _the(here, values)
    return {"connections": connections_left(here.site)}


def over(here: Here, values: _Values) -> _Values:
    """End what is left of it, sessions whose clients have gone too; how many. `ident`: of the switch."""
    found = switch.read(here.site)
    if found is None or found.ident != values.get("ident"):
        return {"ended": 0}
    return {"ended": end(here.site)}


def end(site: Site) -> int:
    """End the sessions of the VIPs that have left this node, and all that was made for them. Raises EngineError.

    Where the addresses are here (again), sessions are those of now: none is ended.
    """
    ended = 0
    try:
        if not addresses.held(site):
            ended = _end_sessions(site, [vip.label for vip in site.vips])
    finally:
        second_chance.leave()
        switch.clear(site)
    return ended


def connections_left(site: Site) -> int:
    """Open connections of the VIPs whose sessions are kept, those in workers of before a reload too. Raises EngineError."""
    kept = labels_kept(site)
    return sum(vip.connections for label, vip in Haproxy(site).look().items() if label in kept) if kept else 0


def labels_kept(site: Site) -> set[str]:
    """The VIPs whose sessions can outlive a switch."""
    places = set(second_chance.kept(site))
    return {vip.label for vip in site.vips if vip.mode == "l7-snat" and (vip.address, vip.ports[0]) in places}


def _end_sessions(site: Site, labels: Sequence[str]) -> int:
    haproxy = Haproxy(site)
    vips = [vip for vip in haproxy.vips if vip.label in labels]
    return sum(haproxy.end_sessions(vip.label, one.label) for vip in vips for one in vip.servers)


# --- the new node ---


def accept(here: Here, values: _Values) -> _Values:
    """Hand on what belongs to the old node, before the addresses come. `ident`, `old`, `new`, `for`, `hops`.

    Raises EngineError, CannotRun; NotDone where no agent runs, for it renews the rule.
    """
    agent = Agent(here.site.agent.socket, _AGENT_WITHIN).state()
    if agent.observe:
        raise NotDone("the agent only observes (--observe): nobody would renew what keeps sessions.")
    places = second_chance.ways(second_chance.kept(here.site), here.node, _hops(values.get("hops")))
    moving = tuple(dict.fromkeys(address for way in places for address, _ in way.places))
    found = _switch(values, moving, switch.read(here.site))
    second_chance.start(places)
    switch.write(here.site, replace(found, over=places))
    return {"addresses": list(moving)}


def refuse(here: Here, values: _Values) -> _Values:
    """Nothing moved: all is as it was before, with what was kept then. `ident`: of the switch; another one's stays."""
    found = switch.read(here.site)
    if found is None or found.ident != values.get("ident"):
        return {}
    before, name = found.before, here.node.name
    if before is None or before.new != name:
        second_chance.stop()
    if before is None or before.old != name:
        second_chance.leave()
    if before is None:
        switch.clear(here.site)
    else:
        switch.write(here.site, before)
    return {}


# --- both ---


def prefer(here: Here, values: _Values) -> _Values:
    """Whether an operator wants the VIPs here: `value`. `before`: what it was.

    `who` asks, and `why`; `old`, `new`, `sessions`: of the failover that begins so.
    """
    before = track.read(here.site, "prefer", here.state)
    track.write(here.site, "prefer", values.get("value") is True, here.state)
    if "from" in values and "new" in values:
        old, new, sessions = (str(values.get(name)) for name in ("old", "new", "sessions"))
        audit.failover(old, new, sessions, here.state, str(values.get("why", "")), audit.by_peer(values))
    return {"before": before}


def roles(here: Here, values: _Values) -> _Values:
    """What keepalived says, and the addresses of the pair that are on this machine."""
    said = vrrp.look(here.site)
    holder = track.read(here.site, "holder", here.state)
    held = list(addresses.held(here.site))
    return {"role": said.role, "keepalived": said.state, "held": held, "holder": holder, "time": time.time()}


def wait(here: Here, values: _Values) -> _Values:
    """Until all addresses are here (`held`), or none is, at most `within` seconds.

    `at`: when that was, since the epoch; None: it did not come about.
    """
    within = min(_LONGEST_WAIT, float(values.get("within", 10.0)))  # in this order: of NaN nothing is left
    wanted = len(addresses.floating(here.site)) if values.get("held") is True else 0
    deadline = time.monotonic() + within
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as told:
        told.bind((0, _ADDRESS_CHANGES))
        told.setblocking(False)
        while True:
            at = time.time()
            if len(addresses.held(here.site)) == wanted:
                return {"at": at}
            if time.monotonic() > deadline:
                return {"at": None}
            select.select([told], [], [], _LOOKS_EVERY)
            with suppress(OSError):  # more was told than fits: what counts is asked for anyway
                told.recv(1 << 16)


def maintain(here: Here, values: _Values) -> _Values:
    """Whether an operator works on this node: `value`, and `who` says `why`. `changed`."""
    on = values.get("value") is True
    maintenance.note(on, str(values.get("who", "")), str(values.get("why", "")), here.state)
    changed = track.write(here.site, "maintenance", on, here.state)
    if changed and "from" in values:
        audit.maintenance(here.node.name, on, here.state, str(values.get("why", "")), audit.by_peer(values))
    return {"changed": changed}


def _the(here: Here, values: _Values) -> Switch:
    found = switch.read(here.site)
    if found is None or found.ident != values.get("ident"):
        raise Misuse(f"{here.node.name} is in no switch {values.get('ident')!r:.20}: it is over there.")
    return found


def _hops(given: object) -> dict[str, str]:
    """They come into a ruleset: addresses, and nothing else."""
    try:
        if not isinstance(given, dict) or any("%" in str(hop) for hop in given.values()):
            raise ValueError
        return {str(address): str(ip_address(str(hop))) for address, hop in given.items()}
    except ValueError:
        raise Misuse("handover.accept wants the old node's hops: its addresses, by those of VIPs.") from None


def _switch(values: _Values, moving: Sequence[str], before: Switch | None) -> Switch:
    earlier = replace(before, before=None) if before else None
    try:
        until = time.time() + float(values["for"])
        if not isfinite(until):  # it would never be over
            raise ValueError
        ident, old, new = (str(values[name]) for name in ("ident", "old", "new"))
    except (KeyError, TypeError, ValueError):
        raise Misuse("a question of a switch wants ident, old, new and for. Install the same lbkit on both.") from None
    return Switch(ident, old, new, until, tuple(moving), before=earlier)
