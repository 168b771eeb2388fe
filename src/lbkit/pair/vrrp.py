"""What keepalived itself says of this node, by its JSON: role, priority, addresses (keepalived(8), signal JSON).

It writes `keepalived.json` into its TMPDIR when it is sent that signal, in 2 ms. That it does so shows that it works; an
address on the machine does not: a keepalived that is frozen leaves it there.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbkit.errors import NotAllowed
from lbkit.pair.addresses import anchor
from lbkit.site.model import Site
from lbkit.state.pair import Keepalived, Role

JSON = 36  # SIGRTMIN + 2: `keepalived --signum=JSON`
_NAME = "keepalived.json"
_ROLES: dict[int, Role] = {1: "backup", 2: "master", 3: "fault"}
_FROZEN = "tT"  # of /proc/PID/stat: stopped
_POLL = 0.002  # seconds
_MOST = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Vrrp:
    """`state`: frozen: it is there and does nothing. `priority`: with all that it tracks; `base`: without.

    `since`: it has its role, or has read its file again, seconds since the epoch. `addresses`: those that it holds, by its
    own word; `knows`: all that it would hold as master. `became_master`: how often since it was started.
    Where it does not run nothing is known.
    """

    state: Keepalived
    pid: int | None = None
    role: Role = "unknown"
    priority: int = 0
    base: int = 0
    since: float = 0.0
    addresses: tuple[str, ...] = ()
    knows: tuple[str, ...] = ()
    became_master: int = 0


def instance(site: Site) -> str:
    """What its VRRP instance is called, in keepalived's log and in the FIFO."""
    assert site.pair is not None  # noqa: S101
    return f"lbkit_{site.pair.router_id}"


def fifo_path(site: Site) -> Path:
    """Where keepalived tells of each change of role and priority."""
    return Path(site.keepalived.runtime, "fifo")


def json_folder(site: Site) -> Path:
    """Its TMPDIR."""
    return Path(site.keepalived.runtime, "json")


def look(site: Site, timeout: float = 2.0) -> Vrrp:
    """Ask it. `timeout`: seconds; who is silent for as long is frozen. Raises NotAllowed where this process may not ask.

    Running with role unknown: that is another keepalived, without the instance of this site.
    """
    pid = process_id(site)
    if pid is None:
        return Vrrp("dead")
    children = children_of(pid)
    if not children:  # the parent starts one anew, 0 to 8 s after it died
        return Vrrp("dead", pid)
    if any(state_of(one) in tuple(_FROZEN) for one in (pid, *children)):
        return Vrrp("frozen", pid)
    told = _asked(pid, Path(_folder(pid) or json_folder(site), _NAME), timeout)
    if told is None:
        return Vrrp("frozen" if process_id(site) == pid and children_of(pid) else "dead", pid)
    ours = next((one for one in told if one["data"]["iname"] == instance(site)), None)
    return Vrrp("running", pid) if ours is None else _vrrp(pid, ours, anchor(site))


def process_id(site: Site) -> int | None:
    """Of the keepalived that the pid file names; None: none, or the number has become another process's."""
    try:
        pid = int(Path(site.keepalived.pid_file).read_text())
    except (OSError, ValueError):
        return None
    return pid if lives(pid) else None


def lives(pid: int) -> bool:
    """Whether that is a keepalived that is not dead."""
    try:
        comm = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return False
    return comm == "keepalived" and state_of(pid) not in (None, "Z", "X")


def state_of(pid: int) -> str | None:
    """Of a process, the letter in /proc/PID/stat; None: there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None


def children_of(pid: int) -> tuple[int, ...]:
    """Those that live; VRRP's is one."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return ()
    return tuple(one for one in map(int, listed) if state_of(one) not in (None, "Z", "X"))


def _folder(pid: int) -> str | None:
    """The TMPDIR that it really has; None where that may not be read."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((os.fsdecode(one[7:]) for one in words if one.startswith(b"TMPDIR=")), "/tmp")  # noqa: S108


def _asked(pid: int, file: Path, timeout: float) -> list[dict[str, Any]] | None:
    """The instances; None: it has not answered. Who asks at the same time removes the other's answer, and gets both one."""
    deadline = time.monotonic() + timeout
    try:
        file.unlink(missing_ok=True)
        os.kill(pid, JSON)
    except ProcessLookupError:
        return None
    except OSError as e:
        raise _not_allowed(pid, file, e) from None
    while time.monotonic() < deadline:
        time.sleep(_POLL)
        with suppress(ValueError, FileNotFoundError):  # not yet, or not whole
            try:
                with file.open("rb") as there:
                    return _instances(json.loads(there.read(_MOST)))
            except PermissionError as e:
                raise _not_allowed(pid, file, e) from None
        if not os.path.exists(f"/proc/{pid}"):
            return None
    return None


def _instances(told: Any) -> list[dict[str, Any]]:
    """Version 1 is a list of instances, 2 has it below a key."""
    return list(told if isinstance(told, list) else told.get("vrrp", ()))


def _not_allowed(pid: int, file: Path, error: OSError) -> NotAllowed:
    return NotAllowed(
        f"keepalived (pid {pid}) can't be asked by way of {file}: {error.strerror}. Do it as root, or as the agent's user."
    )


def _vrrp(pid: int, told: dict[str, Any], ours: str) -> Vrrp:
    data = told["data"]
    listed = [one.split() for one in (*data.get("vips", ()), *data.get("evips", ()))]
    known = {words[0].partition("/")[0]: words[-1] == "set" for words in listed}
    known.pop(ours, None)
    return Vrrp(
        "running",
        pid,
        _ROLES.get(data["state"], "unknown"),
        data["effective_priority"],
        data["base_priority"],
        data["last_transition"],
        tuple(address for address, is_set in known.items() if is_set),
        tuple(known),
        told["stats"]["become_master"],
    )
