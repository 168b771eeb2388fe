"""A site with two VIPs of two real servers each, as the agent sees it: pictures of it, and the events between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unit.site_text import server, site, vip

from lbkit import load_site
from lbkit.agent.changes import changes
from lbkit.agent.picture import Picture
from lbkit.agent.seen import Seen
from lbkit.site.model import Site
from lbkit.state.events import Event
from lbkit.state.observed import ServerState, VipState
from lbkit.state.pair import PairSeen, PeerSeen

NOW = 1_800_000_000.0
REFUSED = "connect (refused): nothing listens at 192.0.2.21:104."
NODES = [{"name": f"lb{number}", "address": f"192.0.2.1{number}"} for number in (1, 2)]


def loaded(folder: Path, paired: bool = False, vips: tuple[str, ...] = ("WEB", "DICOM")) -> Site:
    """WEB of layer 7 and DICOM of layer 4, both in front of s1 and s2."""
    both = [server(f"s{number}", f"192.0.2.2{number}") for number in (1, 2)]
    rows = {
        "WEB": vip("WEB", "192.0.2.50:80", *both),
        "DICOM": vip("DICOM", "192.0.2.51:104", *both, mode="l4-dr"),
    }
    file = folder / "site.toml"
    file.write_text(site(*(rows[label] for label in vips), **({"pair": {"nodes": NODES}} if paired else {})))
    return load_site(str(file))


def one(health: Any, wanted: Any = "online", weight: int = 100) -> ServerState:
    return ServerState(wanted, health, REFUSED if health == "down" else "", weight=weight)


def of(*servers: ServerState, **more: Any) -> VipState:
    return VipState({f"s{number}": state for number, state in enumerate(servers, 1)}, **more)


def seen(*web: ServerState, **more: Any) -> Seen:
    """WEB's two; DICOM's are up."""
    vips = {"DICOM": of(one("up"), one("up"))} | ({"WEB": of(*web)} if web else {})
    return Seen(vips, **more)


def paired(role: Any = "backup", since: float = 100.0, peer: PeerSeen | None = None, **more: Any) -> Seen:
    """lb1, which hears lb2 on every way unless `peer` says otherwise."""
    heard = PeerSeen(0.5, 0.5, 0.5, "master" if role == "backup" else "backup", True)
    given = {"node": "lb1", "keepalived": "running", "haproxy": "up", "held": (), "can_serve": True} | more
    told = {name: given.pop(name) for name in ("settled", "preferred", "peer_unfit") if name in given}
    return Seen({}, pair=PairSeen(role=role, since=since, peer=peer or heard, **given), **told)


class Told:
    """A picture after the other."""

    def __init__(self, site: Site, picture: Picture | None = None) -> None:
        self.site = site
        self.picture = picture or Picture()

    def __call__(self, seen: Seen, now: float = NOW) -> list[Event]:
        events, self.picture = changes(self.site, self.picture, seen, now)
        return events


def kinds(events: list[Event]) -> list[str]:
    """What they are, and about what."""
    return [f"{one.kind} {one.about}".strip() for one in events]
