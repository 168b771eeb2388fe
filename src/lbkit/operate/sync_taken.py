"""What `lbkit pair sync` of the other node asks this one: what it has, and to take another site."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.errors import Misuse, Refused
from lbkit.operate import audit, bundle, own_settings, putting
from lbkit.operate.bundle import Bundle
from lbkit.operate.receive import Here
from lbkit.state.applied import Applied
from lbkit.state.intents import Intent

_CERTIFICATES = (Path("/etc/ssl"), Path("/etc/pki"))


def state(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What this node has: its generation, the digest of what lies there, its own settings."""
    return {
        "lbkit": version("lbkit-core"),
        "applied": Applied.read(here.state).as_dict(),
        "digest": bundle.digest(here.site_file),
        "own": own_settings.here(),
    }


def take(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put the other node's site in the place of this one's, unless this one is newer, or both were changed.

    `values`: `lbkit`, `from`: the other node's name, `who` asks there, `applied`, `site`: a bundle; `force`: over changes
    that were made here and never applied; `dry_run`.
    Raises Misuse for a site that is wrong here, Refused, CannotRun, RolledBack.
    """
    _same_lbkit(values.get("lbkit"))
    theirs, site = Applied.of(values.get("applied")), Bundle.of(values.get("site"))
    if site.digest != theirs.digest:
        raise Misuse("the site that came is not that of its generation. Apply it there, then sync again.")
    _demand_places(site, here.site_file, str(values.get("from")))
    with putting.alone(here.state):
        refuse(
            Applied.read(here.state),
            theirs,
            bundle.digest(here.site_file) if putting.is_whole(here.site_file) else "",
            str(values.get("from")),
            values.get("force") is True,
        )
        intents = [Intent.of(one) for one in _listed(values.get("intents"))]
        dry_run = values.get("dry_run") is True
        by = audit.by_peer(values)
        with audit.rolled_back(here.state, by):
            done = putting.put(site, theirs, here.site_file, here.kind_of, here.state, intents=intents, dry_run=dry_run)
        if not dry_run:
            text = f"generation {theirs.generation} of the site of {values.get('from')} is in force"
            audit.note("configuration-applied", text, here.state, by=by, generation=theirs.generation)
    return {
        "changes": [
            {"file": str(one.path), "change": one.kind, "lines": one.lines, "notes": one.notes} for one in done.changes
        ],
        "steps": done.steps,
        "warnings": done.warnings,
    }


def refuse(ours: Applied, theirs: Applied, lies_here: str, sender: str, force: bool = False) -> None:
    """Raise Refused where `theirs` must not come into the place of `ours`.

    `lies_here`: the digest of the site file that is there and all it names, "": none, or nobody's.
    """
    found = theirs.compared(ours)
    both = f"here is {ours}; on {sender} is {theirs}"
    if found == "older":
        raise Refused(
            f"this node's site is newer: {both}. Take it from here: lbkit pair sync on this node. Or have the older one "
            f"win, as a new generation: lbkit pair sync --force on {sender}."
        )
    if found == "diverged":
        raise Refused(
            f"both nodes' sites were changed since they were the same: {both}. See how they differ: lbkit pair sync "
            f"--dry-run --force on {sender}. Then have one win: lbkit pair sync --force on the node whose site is right."
        )
    known = {"", ours.digest, *(digest for _, digest in theirs.history)}
    if lies_here not in known and not force:
        raise Refused(
            f"the site file here, or a file that it names, was changed and never applied: {both}. See how they differ: "
            f"lbkit pair sync --dry-run --force on {sender}. Then --force puts {sender}'s in their place."
        )


def _demand_places(site: Bundle, site_file: Path, sender: str) -> None:
    """The other node's key lets a site in and nothing else: no file of cron, sshd or lbkit itself, whatever a site names."""
    folder = Path(os.path.abspath(site_file)).parent
    ours = {bundle.place(site_file, one) for one in bundle.named(disk.read(site_file) or b"")}
    for path in {bundle.place(site_file, one.given) for one in site.files} - ours:
        below = next((one for one in (folder, *_CERTIFICATES) if path.is_relative_to(one)), None)
        if below is None or any(part.startswith(".") for part in path.relative_to(below).parts):
            raise Misuse(
                f"{sender}'s site names {path}. This node takes files below {folder}, /etc/ssl and /etc/pki, none of them "
                f"hidden, and those that its own site names already. Move it below {folder} on {sender}, apply, then sync."
            )


def _listed(given: object) -> list[Any]:
    return given if isinstance(given, list) else []


def _same_lbkit(theirs: object) -> None:
    ours = version("lbkit-core")
    if theirs != ours:
        raise Misuse(
            f"here is lbkit {ours}, and the site comes from lbkit {theirs!s:.40}: they may read it otherwise. Nothing was "
            "changed. Install the same on both nodes, then sync."
        )
