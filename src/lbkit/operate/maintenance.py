"""Maintenance of a node of the pair: the VIPs go to the other one first, and do not come back while it lasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lbkit.errors import Misuse, NotAllowed, NotAnswering, NotRunning
from lbkit.operate import audit
from lbkit.operate.failover import Moved, Order, failover
from lbkit.operate.outcome import Progress
from lbkit.operate.receive import Here
from lbkit.operate.sides import Sides
from lbkit.pair.link import Link
from lbkit.state.node import peer_of
from lbkit.state.who import who_asks


@dataclass(slots=True)
class Maintained:
    """What came of it. `changed`: it was otherwise before. `moved`: the VIPs, None: they were not there."""

    node: str
    on: bool
    dry_run: bool = False
    changed: bool = False
    moved: Moved | None = None
    steps: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "node": self.node,
            "maintenance": self.on,
            "dry_run": self.dry_run,
            "changed": self.changed,
            "moved": self.moved.as_dict() if self.moved else None,
            "steps": self.steps,
        }


def maintenance(
    here: Here,
    on: bool,
    node: str | None = None,
    *,
    why: str = "",
    order: Order | None = None,
    progress: Progress = lambda text: None,
    link: Link | None = None,
) -> Maintained:
    """Begin or end it on `node` (None: this one). `order`: how sessions are treated, force, dry run.

    Raises as `failover`; where it ends the VIPs stay where they are.
    """
    given = order or Order()
    peer = peer_of(here.site)
    if peer is None:
        raise Misuse(f"{here.site_file} has no [pair]: there is no other node.")
    chosen = node or here.node.name
    if chosen not in (here.node.name, peer.name):
        raise Misuse(f"{chosen!r} is none of the pair's nodes. Give {here.node.name} or {peer.name}.")
    done = Maintained(chosen, on, given.dry_run)
    with link or Link(here.site, peer) as used:
        sides = Sides(here, used)
        if on and _has_vips(sides, chosen):
            goes = Order(sides.other(chosen), given.sessions, given.drain_timeout, given.force, given.dry_run)
            done.moved = failover(here, goes, progress, used)
        if not given.dry_run:
            done.changed = sides.ask(chosen, "maintain", value=on, who=who_asks(), why=why)["changed"]
    done.steps.append(
        f"{chosen} is in maintenance" if on else f"{chosen} is no longer in maintenance; the VIPs stay where they are"
    )
    if done.changed:
        audit.maintenance(chosen, on, here.state, why)
    return done


def _has_vips(sides: Sides, node: str) -> bool:
    """Whether it has to give them up first. One that can't be asked, and is not this one, is not to be touched."""
    try:
        said = sides.ask(node, "roles")
    except (NotRunning, NotAllowed, NotAnswering) as e:
        raise type(e)(
            f"{e} Maintenance of {node} begins and ends there: lbkit pair maintenance on, on {node}."
        ) from None
    return said["role"] == "master" or bool(said["held"])
