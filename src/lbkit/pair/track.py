"""What keepalived is told about this node: one small file for each thing that counts, and what each counts for.

keepalived adds to a node's priority the weight of each file whose value is 1, and the node with the higher sum holds the
VIPs (`track_file` in keepalived.conf(5)). It sees writes and renames at once. What an operator says outlives a reboot; the
rest does not, for it says how things are now.

The sums of all combinations lie in 1 to 253 (254 would be a ceiling that hides differences), and each weight outdoes all
smaller ones together, so that what counts most decides:

    haproxy_silent  no file: keepalived's own script finds that HAProxy does not answer, with or without an agent
    haproxy_down    HAProxy does not serve, and the peer has not confirmed that it can
    servers_down    no real server is up as seen from here
    maintenance     an operator works on this node
    prefer          an operator wants the VIPs here
    holder          this node has them: they stay, unless the site says `preempt`
    the base        the first node of the site, before the second

`fault` is no weight: while it is 1 this node gives its addresses up at once, whatever the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from lbkit import disk
from lbkit.errors import CannotRun, LbkitError
from lbkit.site.model import Site
from lbkit.state.folder import state_folder
from lbkit.state.node import node_of

Tracked = Literal["haproxy_down", "servers_down", "maintenance", "prefer", "holder", "fault"]
TRACKED: tuple[Tracked, ...] = get_args(Tracked)

BASES = (245, 244)  # of the first node and the second
WEIGHTS: Mapping[Tracked, int] = {
    "haproxy_down": -40,
    "servers_down": -20,
    "maintenance": -10,
    "prefer": 5,
    "holder": 3,
    "fault": 0,
}
HAPROXY_SILENT = -80  # of the script
_KEPT: tuple[Tracked, ...] = ("maintenance", "prefer")


def base(site: Site, node: str | None = None) -> int:
    """Of this node (`node`: as `node_of` takes it), in a site with a pair. Raises Misuse."""
    assert site.pair is not None  # noqa: S101
    here = node_of(site, node)
    assert here is not None  # noqa: S101
    return BASES[site.pair.nodes.index(here)]


def path_of(site: Site, name: Tracked, state: Path | None = None) -> Path:
    """Where the file is. `state`: the folder of intents."""
    return state_folder(state) / name if name in _KEPT else Path(site.keepalived.runtime, name)


def read(site: Site, name: Tracked, state: Path | None = None) -> bool:
    """Whether it is set; a file that is missing or unreadable is not."""
    return _said(path_of(site, name, state)) is True


def write(site: Site, name: Tracked, value: bool, state: Path | None = None) -> bool:
    """Set it, in one step; whether that changed it. Raises CannotRun."""
    path = path_of(site, name, state)
    if _said(path) == value:
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write(path, b"1\n" if value else b"0\n", 0o644)
    except OSError as e:
        raise CannotRun(
            f"{path} can't be written: {e.strerror}. keepalived reads there what this node is fit for: "
            + disk.way_out(e, "run this as root, or as the agent's user.")
        ) from None
    return True


def _said(path: Path) -> bool | None:
    """None: it is missing or unreadable. keepalived reads as root, so that what is unreadable here is to be written anew."""
    try:
        content = disk.read(path)
    except LbkitError:
        return None
    return None if content is None else content.strip() == b"1"


def priority(base: int, tracked: Mapping[Tracked, bool]) -> int:
    """What keepalived makes of it."""
    return base + sum(WEIGHTS[name] for name, value in tracked.items() if value)
