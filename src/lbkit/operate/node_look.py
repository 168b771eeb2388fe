"""How this node of the pair is now: every part is asked at the same time, and one that hangs holds up no other."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from lbkit.errors import EngineError, LbkitError, Misuse, NotRunning
from lbkit.haproxy import peers, persistence
from lbkit.haproxy.engine import Haproxy
from lbkit.operate import apply, own_settings
from lbkit.operate.bundle import digest
from lbkit.operate.certs import fingerprint
from lbkit.operate.node_status import AgentStatus, HaproxyStatus, NodeStatus
from lbkit.operate.receive import Here
from lbkit.pair import addresses, track, vrrp
from lbkit.state import left, maintenance
from lbkit.state.agent import Agent, AgentState
from lbkit.state.applied import Applied
from lbkit.state.intents import Intents
from lbkit.state.node import peer_of
from lbkit.state.observed import VipState
from lbkit.tls.family import read_family
from lbkit.tls.identity import read_identity

WITHIN = 4.0  # seconds for all of it
_ANSWERS_WITHIN = 1.5  # seconds, each of HAProxy, agent and keepalived
_REPLICATES_WITHIN = 1.0

_Values = Mapping[str, Any]


def status(here: Here, values: _Values) -> _Values:
    """The question "status" of the other node. `token`: of the probe entry."""
    return {"status": look(here, str(values.get("token", ""))[:40]).as_dict()}


def probe(here: Here, values: _Values) -> _Values:
    """The question "status.probe": whether the other node's probe entry is here. Raises EngineError."""
    return {"found": has_probe(here, str(values.get("token", ""))[:40])}


def look(here: Here, token: str) -> NodeStatus:
    """All of it. `token`: sets the probe entry for the other node under this name. Raises Misuse where there is no pair."""
    node, site = here.node, here.site
    parts: dict[str, Callable[[], _Values]] = {
        "keepalived": lambda: _keepalived(here),
        "addresses": lambda: {"held": addresses.held(site)},
        "tracked files": lambda: _tracked(here),
        "haproxy": lambda: _haproxy(here, token),
        "agent": lambda: _agent(here),
        "configuration": lambda: _configuration(here),
        "certificates": lambda: {"certificates": _certificates(here)},
        "intents": lambda: {"intents": tuple(one.as_dict() for one in Intents(here.state).all())},
        "own settings": lambda: {"own": own_settings.here()},
    }
    found, troubles = _together(parts, WITHIN)
    vips = {**found.pop("layer_4", {}), **found.pop("layer_7", {})}
    health = [one.health for vip in site.vips if vip.label in vips for one in vips[vip.label].servers.values()]
    if "keepalived" in troubles and (seen := found["agent"].pair if "agent" in found else None):
        found |= {"keepalived": seen.keepalived, "role": seen.role, "since": time.time() - seen.since}
    return NodeStatus(
        node=node.name,
        lbkit=version("lbkit-core"),
        time=time.time(),
        servers_up=health.count("up") if all(vip.label in vips for vip in site.vips) else None,
        servers=sum(len(vip.servers) for vip in site.vips),
        troubles=troubles,
        **found,
    )


def has_probe(here: Here, token: str) -> bool:
    """Whether the entry that the other node set under this token is here within a second. Raises EngineError, Misuse."""
    other = peer_of(here.site)
    if other is None:
        raise Misuse(f"{here.site_file} has no [pair].")
    return peers.has_probe(_engine(here).runtime, _entry(other.name, token), _REPLICATES_WITHIN)


def _together(parts: Mapping[str, Callable[[], _Values]], within: float) -> tuple[dict[str, Any], dict[str, str]]:
    """What they give, all in one; and why one does not, by its name."""
    done: SimpleQueue[tuple[str, _Values | str]] = SimpleQueue()

    def run(name: str, part: Callable[[], _Values]) -> None:
        try:
            done.put((name, part()))
        except LbkitError as e:
            done.put((name, str(e)))
        except Exception as e:  # one part's fault must not hide the others
            done.put((name, f"a fault of lbkit: {type(e).__name__}: {e}"))

    for name, part in parts.items():  # not waited for at the end: what hangs, hangs alone
        threading.Thread(target=run, args=(name, part), daemon=True).start()
    deadline = time.monotonic() + within
    found: dict[str, Any] = {}
    troubles = dict.fromkeys(parts, f"not known within {within:g} s: something that it asks hangs.")
    for _ in parts:
        try:
            name, given = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        del troubles[name]
        if isinstance(given, str):
            troubles[name] = given
        else:
            found |= given
    return found, troubles


def _keepalived(here: Here) -> _Values:
    seen = vrrp.look(here.site, _ANSWERS_WITHIN)
    known = {"role": seen.role, "priority": seen.priority, "base": seen.base, "since": seen.since}
    return {"keepalived": seen.state, **known}


def _tracked(here: Here) -> _Values:
    tracked = tuple(name for name in track.TRACKED if track.read(here.site, name, here.state))
    said = {"maintenance": maintenance.read(here.state), "left": left.read(here.state)}
    return {"tracked": tracked} | {name: str(one or "") for name, one in said.items()}


def _engine(here: Here) -> Haproxy:
    return Haproxy(here.site, _ANSWERS_WITHIN)


def _haproxy(here: Here, token: str) -> _Values:
    haproxy = _engine(here)
    if not haproxy.vips:
        return {}
    try:
        info = haproxy.runtime.info()
    except NotRunning:
        return {"haproxy": HaproxyStatus("hung" if _takes_connections(here) else "dead")}
    entries = {one.name: one.used for one in haproxy.runtime.tables()}
    tables = {
        vip.label: entries[vip.label] for vip in haproxy.vips if persistence.has_table(vip) and vip.label in entries
    }
    other = peer_of(here.site)
    session = next((one for one in peers.sessions(haproxy.runtime) if other and one.name == other.name), None)
    probe_is_set = False
    if token:
        try:
            peers.set_probe(haproxy.runtime, _entry(here.node.name, token))
            probe_is_set = True
        except EngineError:  # it runs with a configuration of before the pair
            pass
    found = HaproxyStatus(
        "up",
        info.get("Version", ""),
        tables,
        session is not None and session.established,
        session.heard if session else None,
        probe_is_set,
    )
    return {"haproxy": found, "layer_7": haproxy.look()}


def _takes_connections(here: Here) -> bool:
    """A process that is stopped still does: the kernel takes them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.settimeout(_ANSWERS_WITHIN)
        try:
            tried.connect(str(Path(here.site.haproxy.runtime, "admin.sock")))
        except (TimeoutError, BlockingIOError):  # the second: as many wait for it as may
            return True
        except OSError:
            return False
        return True


def _entry(node: str, token: str) -> str:
    return f"{node}.{token}"


def _agent(here: Here) -> _Values:
    try:
        state: AgentState = Agent(here.site.agent.socket, _ANSWERS_WITHIN).state()
    except EngineError as e:
        return {"agent": AgentStatus(str(e))}
    layer_4: dict[str, VipState] = dict(state.vips)
    return {"agent": AgentStatus("", state.observe, state.trouble, state.pair), "layer_4": layer_4}


def _configuration(here: Here) -> _Values:
    changes = apply.diff(here.site, here.kind_of, state=here.state)
    return {
        "applied": Applied.read(here.state),
        "digest": digest(here.site_file),
        "differs": tuple(str(one.path) for one in changes),
    }


def _certificates(here: Here) -> dict[str, tuple[str, float]]:
    found: dict[str, tuple[str, float]] = {}
    for name, own in here.site.certificates.items():
        one = read_identity(own.file, own.key_file or "", own.password_file or "").certificate
        found[name] = fingerprint(one.raw), one.not_after.timestamp()
    for name, family in here.site.ca_families.items():
        read = read_family([family.ca_file], [family.crl_file] if family.crl_file else [])
        ends = min((ca.not_after.timestamp() for ca in read.cas), default=0.0)
        found[f"CA {name}"] = " ".join(sorted(fingerprint(ca.raw) for ca in read.cas)), ends
    return found
