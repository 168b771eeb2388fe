"""`lbkit pair leave`: this node gives the VIPs to the other one, and is no part of the pair until it is brought back.

The site file stays that of a pair: it is the other node's too, and this one may come back. Maintenance stays on here, so
that a node whose service starts keepalived at a boot takes nothing as long as the other one serves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lbkit.errors import EngineError, LbkitError, Misuse, NotDone, Refused
from lbkit.operate import audit
from lbkit.operate.failover import Moved, Order
from lbkit.operate.maintenance import maintenance
from lbkit.operate.outcome import Progress
from lbkit.operate.receive import Here
from lbkit.operate.sync import the_two
from lbkit.pair import addresses, process, track, vrrp
from lbkit.pair.link import Link
from lbkit.state import left
from lbkit.state.left import Left
from lbkit.state.who import who_asks

_TEXT = 1000  # characters


@dataclass(slots=True)
class Parted:
    """What came of it, or would. `moved`: the VIPs, None: they were not here. `told`: the other node knows of it."""

    node: str
    peer: str
    dry_run: bool = False
    moved: Moved | None = None
    told: bool = False
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "node": self.node,
            "peer": self.peer,
            "dry_run": self.dry_run,
            "moved": self.moved.as_dict() if self.moved else None,
            "told": self.told,
            "steps": self.steps,
            "warnings": self.warnings,
        }


def leave(here: Here, order: Order, progress: Progress = lambda text: None, link: Link | None = None) -> Parted:
    """Have this node leave. `order`: how sessions are treated, force, dry run. `link`: instead of one of its own.

    Raises Refused where the VIPs would go down with it, unless it is forced; EngineError where keepalived does not end.
    """
    node, peer = the_two(here.site, here.site_file)
    done = Parted(node.name, peer.name, order.dry_run)
    with link or Link(here.site, peer) as used:
        _give_away(here, order, done, progress, used)
        if order.dry_run:
            done.steps.append(f"keepalived is stopped on {node.name}, and {peer.name} told that it goes on alone")
            return done
        progress("stopping keepalived")
        process.stop(here.site)
        if vrrp.look(here.site).state != "dead" or addresses.held(here.site):
            raise NotDone(f"keepalived was stopped, and {node.name} still has addresses of the pair. See: ip address")
        done.steps.append(f"keepalived stopped: {node.name} takes no VIP any more, and is in maintenance")
        _tell(here, done, used)
        audit.note("node-left", f"{node.name} has left the pair", here.state, node=node.name)
    done.steps.append(
        "to bring it back: lbkit apply, then lbkit pair maintenance off; then lbkit pair sync on the other node"
    )
    return done


def _give_away(here: Here, order: Order, done: Parted, progress: Progress, link: Link) -> None:
    """The VIPs, if they are here; maintenance is on then."""
    try:
        found = maintenance(here, True, why="it leaves the pair", order=order, progress=progress, link=link)
        done.moved = found.moved
        done.steps += found.steps
    except (EngineError, Refused) as e:
        if not order.force:
            raise Refused(
                f"the VIPs would go down with {done.node}: {e} Or give --force: it leaves all the same."
            ) from None
        done.warnings.append(f"the VIPs go down with {done.node}, unless {done.peer} takes them by itself: {e}")
        if not order.dry_run:
            track.write(here.site, "maintenance", True, here.state)


def _tell(here: Here, done: Parted, link: Link) -> None:
    gone = Left(done.node, who_asks(), round(time.time(), 3))
    left.write(gone, here.state)
    try:
        link.ask("sync.left", **gone.as_dict())
        done.told = True
        done.steps.append(f"{done.peer} knows, and goes on alone")
    except LbkitError as e:
        done.warnings.append(f"{done.peer} does not know that {done.node} has left: {e}")


def told(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The question "sync.left": the other node has left."""
    peer = the_two(here.site, here.site_file)[1].name
    if values.get("node") != peer:
        raise Misuse(f"{peer} says of itself that it has left, and of no other node: {values.get('node')!r:.60}.")
    left.write(Left(peer, str(values.get("who", ""))[:_TEXT], round(time.time(), 3)), here.state)
    by = audit.By(str(values.get("who", "")), audit.from_node(peer))
    audit.note("node-left", f"{peer} has left the pair", here.state, by=by, node=peer)
    return {}
