"""keepalived's processes, by its pid file and /proc: do they live, do they move, and the end of those that do not."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import NamedTuple

from lbkit.errors import CannotRun
from lbkit.pair import vrrp
from lbkit.site.model import Site
from lbkit.state.pair import Keepalived

_STOPPED = ("t", "T")  # of /proc/PID/stat


class Processes(NamedTuple):
    """`parent_only`: what is frozen is the parent, which starts children and speaks no VRRP."""

    state: Keepalived
    parent: int | None = None
    children: tuple[int, ...] = ()
    parent_only: bool = False


def look(site: Site) -> Processes:
    """How they are now. Without a child nobody speaks VRRP: that is dead, however the parent is."""
    parent = vrrp.process_id(site)
    children = vrrp.children_of(parent) if parent is not None else ()
    if parent is None or not children:
        return Processes("dead", parent)
    if any(vrrp.state_of(child) in _STOPPED for child in children):
        return Processes("frozen", parent, children)
    if vrrp.state_of(parent) in _STOPPED:
        return Processes("frozen", parent, children, True)
    return Processes("running", parent, children)


def end(found: Processes) -> None:
    """Kill what is frozen. The parent starts a child anew; where it is frozen itself, that is for its service.

    Raises CannotRun where this user may not.
    """
    parent_too = found.parent is not None and vrrp.state_of(found.parent) in _STOPPED
    try:
        for pid in (*found.children, *((found.parent,) if parent_too and found.parent else ())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    except PermissionError:
        raise CannotRun(
            f"keepalived (pid {found.parent}) is frozen, and this user may not end it: systemctl kill -s KILL keepalived, "
            "as root."
        ) from None
