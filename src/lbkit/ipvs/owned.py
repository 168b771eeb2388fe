"""Which services and sync daemons are lbkit's: what leaves the site leaves the kernel, and what others put there stays."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.errors import CannotRun, Misuse
from lbkit.ipvs.table import Daemon, Virtual
from lbkit.state.folder import state_folder

VERSION = 1


def read(folder: Path | None = None) -> set[Virtual]:
    """Those that lbkit has made. `folder`: that of intents. Raises CannotRun, Misuse for a broken file."""
    path = _path(folder)
    content = disk.read(path)
    if content is None:
        return set()
    try:
        document = json.loads(content)
        if document["version"] != VERSION:
            raise ValueError
        return {Virtual(str(one["address"]), int(one["port"]), one["protocol"]) for one in document["services"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Misuse(
            f"{path} is no list of services of version {VERSION}. Remove it: services that left the site before stay then."
        ) from None


def write(keys: Iterable[Virtual], folder: Path | None = None) -> None:
    """Keep these. Raises CannotRun."""
    listed = [{"address": key.address, "port": key.port, "protocol": key.protocol} for key in sorted(keys)]
    _write(_path(folder), {"version": VERSION, "services": listed})


def daemons(folder: Path | None = None) -> set[Daemon]:
    """The sync daemons that lbkit has started. Raises CannotRun, Misuse for a broken file."""
    path = _path_of_daemons(folder)
    content = disk.read(path)
    if content is None:
        return set()
    try:
        document = json.loads(content)
        if document["version"] != VERSION:
            raise ValueError
        return {Daemon(one["role"], str(one["interface"]), int(one["id"])) for one in document["daemons"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Misuse(
            f"{path} is no list of sync daemons of version {VERSION}. Remove it: those that left the site before stay then."
        ) from None


def write_daemons(which: Iterable[Daemon], folder: Path | None = None) -> None:
    """Keep these. Raises CannotRun."""
    listed = [{"role": one.role, "interface": one.interface, "id": one.sync_id} for one in which]
    _write(_path_of_daemons(folder), {"version": VERSION, "daemons": listed})


def _write(path: Path, document: dict[str, Any]) -> None:
    content = json.dumps(document, indent=1).encode() + b"\n"
    try:
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        group = path.parent.stat().st_gid
        disk.write(path, content, 0o660, (-1, group if os.geteuid() == 0 or group in os.getgroups() else -1))
    except OSError as e:
        raise CannotRun(
            f"{path} can't be written: {e.strerror}. "
            + disk.way_out(e, f"Run this as root, or as a member of the group of {path.parent}.")
        ) from None


def _path(folder: Path | None) -> Path:
    return state_folder(folder) / "ipvs.json"


def _path_of_daemons(folder: Path | None) -> Path:
    return state_folder(folder) / "ipvs-sync.json"
