"""Whether the node that is to take the VIPs over can, and what becomes of what is open: decisions alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lbkit.durations import written
from lbkit.errors import EngineError
from lbkit.operate.handover import labels_kept
from lbkit.operate.node_status import NodeStatus
from lbkit.operate.pair_alike import intents_that_differ
from lbkit.operate.wording import many
from lbkit.pair.addresses import floating
from lbkit.site.model import Site

_SHARE, _FEW = 0.2, 3  # of a table's entries, that come and go while both are counted
_SET: Mapping[str, str] = {
    "maintenance": "it is in maintenance: lbkit pair maintenance off {node}",
    "fault": "it has given up, for its HAProxy does not serve",
    "haproxy_down": "its HAProxy does not serve",
    "servers_down": "it sees no real server up",
}


@dataclass(frozen=True, slots=True)
class Look:
    """A node before a switch. `connections`: open ones, of layer-7 VIPs. `stuck`: where Last Successful ones go."""

    status: NodeStatus
    connections: Mapping[str, int] = field(default_factory=dict)
    stuck: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """Its name."""
        return self.status.node

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Look:
        """What the question `handover.look` is answered with. Raises EngineError for anything else."""
        try:
            return cls(NodeStatus.of(values["status"]), dict(values["connections"]), dict(values["stuck"]))
        except (KeyError, TypeError, ValueError):
            raise EngineError("the other node says how it is in a way that this lbkit does not know.") from None


def against(site: Site, old: Look, new: Look) -> list[str]:
    """Why `new` can't take over from `old`, in sentences; none: it can."""
    said = [*_broken(site, new.status), *_behind(old, new)]
    return [f"{new.node}: {one}." for one in said]


def _broken(site: Site, new: NodeStatus) -> Iterator[str]:
    if new.keepalived != "running":
        yield f"keepalived there is {new.keepalived or new.troubles.get('keepalived', 'not known')}"
    elif new.role not in ("backup", "master"):
        yield f"its keepalived is in state {new.role}"
    if new.haproxy.state != "up" and any(vip.mode == "l7-snat" for vip in site.vips):
        how = {"none": new.troubles.get("haproxy", "not known")}.get(new.haproxy.state, new.haproxy.state)
        yield f"HAProxy there is {how}"
    if new.agent.silent or "agent" in new.troubles:
        yield f"its agent does not answer: {(new.agent.silent or new.troubles['agent']).rstrip('.')}"
    elif new.agent.observe:
        yield "its agent only observes"
    yield from (words.format(node=new.node) for name, words in _SET.items() if name in new.tracked)
    if new.differs:
        yield f"it does not run what its site says ({', '.join(new.differs)}): lbkit apply, there"


def _behind(old: Look, new: Look) -> Iterator[str]:
    one, other = old.status, new.status
    if None not in (one.servers_up, other.servers_up) and (other.servers_up or 0) < (one.servers_up or 0):
        yield (
            f"it sees {other.servers_up} of {other.servers} real servers up, and {one.node} sees {one.servers_up}: "
            "lbkit check site, there"
        )
    if one.digest and other.digest and one.digest != other.digest:
        yield f"its site is another than that of {one.node}: lbkit pair sync --dry-run"
    for vip, entries in sorted(one.haproxy.tables.items()):
        there = other.haproxy.tables.get(vip, 0)
        if other.haproxy.state == "up" and entries - there > max(_FEW, _SHARE * entries):
            yield f"its table of {vip} has {many(there, 'entry')}, and {one.node} has {entries}"
    for vip, server in sorted(old.stuck.items()):
        if server and vip in new.stuck and new.stuck[vip] != server:
            yield f"there {vip} is stuck to {new.stuck[vip] or 'nobody'}, and on {one.node} to {server}"
    if not {"intents"} & {*one.troubles, *other.troubles} and (differ := intents_that_differ(one, other)):
        yield f"what operators asked for differs ({', '.join(differ)}): lbkit intents, on both"


def what_happens(site: Site, old: Look, new: Look, keep: bool, drain: float) -> list[str]:
    """Sentences for whoever decides: what moves, which sessions live on and which break, what operators asked for."""
    kept = labels_kept(site) if keep else set()
    moving = floating(site)
    said = [f"the addresses move from {old.node} to {new.node}: {', '.join(moving)}"]
    for label, number in old.connections.items():
        if label in kept:
            end = written(drain)
            said.append(f"{label}: {many(number, 'open session')} on {old.node}: kept there for at most {end}")
        else:
            said.append(f"{label}: {many(number, 'open session')} on {old.node}: cut{_why_cut(site, label, keep)}")
    layer_4 = [vip.label for vip in site.vips if vip.mode == "l4-dr"]
    if layer_4:
        synced = site.pair is not None and site.pair.ipvs_sync
        how = "those that are some seconds old live on" if synced else "cut: [pair] ipvs_sync is not set"
        said.append(f"{', '.join(layer_4)}: open connections of layer 4: {how}")
    for look in (old, new):
        asked = [f"{one['vip']}/{one['server']} {one['wanted']}" for one in look.status.intents if _matters(one)]
        if asked:
            said.append(f"in force on {look.node}: {', '.join(asked)}")
    return said


def _why_cut(site: Site, label: str, keep: bool) -> str:
    if not keep:
        return ""
    vip = next((vip for vip in site.vips if vip.label == label), None)
    return ", for it is transparent" if vip and vip.transparent else ", for layer 4 has its address too"


def _matters(intent: Mapping[str, Any]) -> bool:
    return intent.get("wanted") != "online" or intent.get("weight") is not None
