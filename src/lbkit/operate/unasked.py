"""A switch by this node's own files alone, where the other node's lbkit can't be asked: VRRP decides, and nobody is told."""

from __future__ import annotations

import time

from lbkit.errors import NotDone
from lbkit.operate import handover
from lbkit.operate.outcome import Progress
from lbkit.operate.receive import Here
from lbkit.pair import track
from lbkit.pair.track import Tracked


def move_unasked(here: Here, away: bool, within: float, progress: Progress) -> tuple[float, int]:
    """Give the VIPs away, or take them. Seconds that it took, and how many sessions were cut.

    A node that gives them away keeps them until VRRP hears that the other one has them: where that is dead nothing happens.
    Raises NotDone then, with all as it was.
    """
    name: Tracked = "maintenance" if away else "prefer"
    before = track.read(here.site, name, here.state)
    progress(f"{here.node.name}: {'in maintenance' if away else 'preferred'}; waiting for VRRP")
    start = time.time()
    track.write(here.site, name, True, here.state)
    moved = False
    try:
        at = handover.wait(here, {"held": not away, "within": within})["at"]
        moved = at is not None
    finally:
        if not moved:
            track.write(here.site, name, before, here.state)
    if at is None:
        who = "nobody has taken the VIPs" if away else "the other node has not let go of the VIPs"
        raise NotDone(f"{who} within {within:g} s: all is as it was. lbkit pair status says how both are.")
    return at - start, handover.cut(here, {})["ended"] if away else 0
