"""A planned switch while the old node drains: what each of the two keeps of it, in a file that a boot removes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.errors import CannotRun
from lbkit.pair.second_chance import Way
from lbkit.site.model import Site


@dataclass(frozen=True, slots=True)
class Switch:
    """`ident`: its own. `old`, `new`: the nodes, by name. `until`: seconds since the epoch, by this node's clock: then
    sessions that still live on the old one end. `addresses`: those that it takes packets for. `over`: how they get there;
    only the new one knows. `done`: the addresses have moved. `before`: the one that this one takes the place of.
    """

    ident: str
    old: str
    new: str
    until: float
    addresses: tuple[str, ...]
    over: tuple[Way, ...] = ()
    done: bool = False
    before: Switch | None = None


def read(site: Site) -> Switch | None:
    """The one that this node is in; None: none, or the file is of no use. Raises CannotRun."""
    content = disk.read(_path(site))
    try:
        return None if content is None else _switch(json.loads(content))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def write(site: Site, switch: Switch) -> None:
    """Keep it. Raises CannotRun."""
    path = _path(site)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write(path, json.dumps(asdict(switch), indent=1).encode() + b"\n", 0o644)
    except OSError as e:
        raise CannotRun(f"{path} can't be written: {e.strerror}. {disk.way_out(e, 'Run this as root.')}") from None


def clear(site: Site) -> None:
    """It is over. Raises CannotRun."""
    path = _path(site)
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        raise CannotRun(f"{path} can't be removed: {e.strerror}. Run this as root.") from None


def _path(site: Site) -> Path:
    return Path(site.keepalived.runtime, "handover.json")


def _switch(values: Mapping[str, Any]) -> Switch:
    over = tuple(
        Way(way["hop"], way["device"], tuple((address, int(port)) for address, port in way["places"]))
        for way in values["over"]
    )
    return Switch(
        str(values["ident"]),
        str(values["old"]),
        str(values["new"]),
        float(values["until"]),
        tuple(map(str, values["addresses"])),
        over,
        values["done"] is True,
        _switch(values["before"]) if values.get("before") else None,
    )
