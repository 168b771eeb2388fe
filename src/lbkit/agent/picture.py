"""What of a site was told last, so that only what changes is told; it outlives the agent in a file of the state folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from lbkit import disk
from lbkit.agent.expiry import Told
from lbkit.agent.roster import PlaceKey
from lbkit.errors import LbkitError
from lbkit.state.folder import state_folder
from lbkit.state.pair import Role

log = logging.getLogger("lbkit.agent")

VERSION = 1
Lacking = Literal["degraded", "down"]


@dataclass(frozen=True, slots=True)
class Picture:
    """`down`: places of real servers. `lacking`: the VIPs that are not whole, by label. `role`: of this node, None: it is
    not known yet. `peer_lost`, `split_brain`: told, and not over. `ended`: the intents whose end was told, and until when
    each was; None: no end that was before now is told. `expiring`: see `lbkit.agent.expiry`.
    """

    down: frozenset[PlaceKey] = frozenset()
    lacking: Mapping[str, Lacking] = field(default_factory=dict)
    role: Role | None = None
    peer_lost: bool = False
    split_brain: bool = False
    ended: Mapping[PlaceKey, float] | None = None
    expiring: Told = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For its file."""
        return {
            "version": VERSION,
            "down": sorted(self.down),
            "lacking": dict(self.lacking),
            "role": self.role,
            "peer_lost": self.peer_lost,
            "split_brain": self.split_brain,
            "ended": None if self.ended is None else [[*place, until] for place, until in sorted(self.ended.items())],
            "expiring": dict(self.expiring),
        }

    @classmethod
    def of(cls, values: Any) -> Picture:
        """What `as_dict` gave. Raises KeyError, TypeError, ValueError for anything else."""
        if values["version"] != VERSION:
            raise ValueError(values["version"])
        if values["role"] not in (None, *get_args(Role)):
            raise ValueError(values["role"])
        return cls(
            frozenset((str(vip), str(server)) for vip, server in values["down"]),
            {str(vip): "down" if how == "down" else "degraded" for vip, how in values["lacking"].items()},
            values["role"],
            bool(values["peer_lost"]),
            bool(values["split_brain"]),
            None
            if values["ended"] is None
            else {(str(vip), str(server)): float(at) for vip, server, at in values["ended"]},
            {str(name): (float(end), int(step)) for name, (end, step) in values["expiring"].items()},
        )


def read(state: Path | None = None) -> Picture | None:
    """The one that is kept, None: there is none. One that can't be read is said in the log, and counts for none."""
    path = _path(state)
    try:
        content = disk.read(path)
        return None if content is None else Picture.of(json.loads(content))
    except LbkitError as e:
        log.warning("what was told last is not known: %s", e)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        log.warning("%s is not what this lbkit writes; all that is wrong now is told again", path)
    return None


def write(picture: Picture, state: Path | None = None) -> None:
    """Keep it; where that can't be done it is said in the log."""
    path = _path(state)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write(path, json.dumps(picture.as_dict(), ensure_ascii=False).encode() + b"\n", 0o640)
    except OSError as e:
        log.warning(
            "%s can't be written: %s. An agent that starts would tell again what it has told.", path, e.strerror
        )


def _path(state: Path | None) -> Path:
    return state_folder(state) / "seen.json"
