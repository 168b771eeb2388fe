"""Connections of layer 4 outlive a failover: the kernel's sync daemons tell the other node of each, and hear of its own.

By UDP to 224.0.0.81 port 8848, on the node's interface; unknown to each other's pairs by the sync id, which is the pair's
router id. Nothing in it is signed or secret: the segment is to be as trusted as VRRP needs it to be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lbkit.errors import NotDone
from lbkit.ipvs import owned
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Daemon
from lbkit.ipvs.wanted import layer_4
from lbkit.site.model import Site
from lbkit.state.node import node_of

SETTINGS = {
    "sync_threshold": "3 0",  # as it is (3 50), a session whose client is silent after the handshake is never told
    "sync_refresh_period": "8",  # seconds; and from the second on after an eighth of it, for a message may be lost
    "sync_retries": "1",
}
"""With these each connection is told once it is established: /proc/sys/net/ipv4/vs (ip_vs_sync.c of Linux 6.1).

The kernel holds a message back until it is full, 2 to 3 s at most (IPVS_SYNC_FLUSH_TIME): hence messages of one connection,
each sent when the next one comes. Measured: the last of all is told after 2.0 to 3.0 s, all others at once.
"""
_DONE = {"start": "started", "stop": "stopped"}
_ONE_CONNECTION = 1  # byte; the kernel makes room for one all the same


@dataclass(frozen=True, slots=True)
class Step:
    """What is done with a daemon."""

    verb: Literal["start", "stop"]
    daemon: Daemon

    def carry_out(self, kernel: Kernel) -> None:
        """Do it. Raises EngineError."""
        if self.verb == "start":
            kernel.start_daemon(self.daemon)
        else:
            kernel.stop_daemon(self.daemon.role)

    def __str__(self) -> str:
        return f"{self._what} {_DONE[self.verb]}"

    @property
    def _what(self) -> str:
        return f"the {self.daemon.role} sync daemon on {self.daemon.interface} (id {self.daemon.sync_id})"

    @property
    def note(self) -> str:
        """For a diff."""
        return f"{self._what} is to be {_DONE[self.verb]}"


def is_wanted(site: Site) -> bool:
    """Whether the site has connections that another node is to hear of."""
    return bool(site.pair and site.pair.ipvs_sync and layer_4(site))


def wanted(site: Site) -> tuple[Daemon, ...]:
    """The daemons of this node; none: the site wants none. Raises Misuse where this machine is none of its nodes."""
    here = node_of(site) if is_wanted(site) else None
    if here is None or site.pair is None:
        return ()
    number = site.pair.router_id
    return Daemon("master", here.interface, number, _ONE_CONNECTION), Daemon("backup", here.interface, number)


def steps(now: Iterable[Daemon], wanted: Iterable[Daemon], known: Collection[Daemon]) -> list[Step]:
    """From the daemons that run to those that are wanted. `known`: lbkit's own; others stay, unless they are in the way."""
    running = {one.role: one for one in now}
    todo: list[Step] = []
    for one in wanted:
        there = running.pop(one.role, None)
        if there != one:
            todo += [Step("stop", there)] if there else []
            todo.append(Step("start", one))
    return todo + [Step("stop", one) for one in running.values() if one in known]


def difference(site: Site, kernel: Kernel, state: Path | None = None) -> list[Step]:
    """What `reconcile` would do. `state`: the folder of intents. Raises EngineError, CannotRun, Misuse."""
    known = owned.daemons(state)
    target = wanted(site)
    return steps(kernel.daemons(), target, known) if target or known else []


def stop(kernel: Kernel, state: Path | None = None) -> list[str]:
    """Those that lbkit started. Raises EngineError, CannotRun, Misuse."""
    known = owned.daemons(state)
    todo = steps(kernel.daemons(), (), known) if known else []
    for step in todo:
        step.carry_out(kernel)
    if known:
        owned.write_daemons((), state)
    return [str(step) for step in todo]


def reconcile(site: Site, kernel: Kernel, state: Path | None = None) -> list[str]:
    """Bring the daemons to what the site wants, read that back, and say what was done.

    Raises EngineError, NotDone where they do not stay so; CannotRun, Misuse where it can't be kept which are lbkit's.
    """
    target, known = wanted(site), owned.daemons(state)
    todo = difference(site, kernel, state)
    if todo:
        owned.write_daemons({*known, *target}, state)  # before they run: what is killed in between leaves none unknown
        for step in todo:
            step.carry_out(kernel)
        left = steps(kernel.daemons(), target, known)
        if left:
            raise NotDone(
                f"IPVS does not keep its sync daemons: {left[0].note} again. What else starts or stops them here (ipvsadm, "
                "keepalived)? Stop that."
            )
    if known != set(target):
        owned.write_daemons(target, state)
    return [str(step) for step in todo]
