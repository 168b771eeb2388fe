"""`lbkit restore`: a node is what it was when a backup of it was written, or, on a new machine, becomes that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.checks.facade import load_site
from lbkit.checks.plan import KindOf
from lbkit.errors import Misuse
from lbkit.install.difference import Change
from lbkit.operate import audit, bundle, putting
from lbkit.operate.backup import Backup
from lbkit.operate.bundle import Bundle
from lbkit.operate.generation import name_of
from lbkit.pair import track
from lbkit.state.applied import Applied


@dataclass(slots=True)
class Restored:
    """What was restored, or with `dry_run` would be. `generation`: of the site. `changes`: of files."""

    generation: int
    dry_run: bool
    changes: tuple[Change, ...] = ()
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "generation": self.generation,
            "dry_run": self.dry_run,
            "changes": [
                {"file": str(one.path), "change": one.kind, "lines": list(one.lines), "notes": list(one.notes)}
                for one in self.changes
            ],
            "steps": self.steps,
            "warnings": self.warnings,
        }


def restore(
    given: Backup, site_file: Path, kind_of: KindOf, state: Path | None = None, *, dry_run: bool = False
) -> Restored:
    """Put the site of `given` at `site_file`, tried first, whole or not at all; its intents, and what is wanted of the node.

    Secrets that it was written without are taken from where they lie on this machine. An older site that comes back is a new
    generation here; on a machine that never had one it is the old one, so that it overwrites no newer one of its peer.

    Raises Misuse for a site that is wrong here and for secrets that are nowhere, CannotRun; RolledBack: all is as before.
    """
    site = _completed(given, site_file)
    with putting.alone(state):
        here = Applied.read(state)
        generation = _generation(given.applied, here, site.digest, given.node)
        with audit.rolled_back(state):
            done = putting.put(site, generation, site_file, kind_of, state, intents=given.intents, dry_run=dry_run)
        restored = Restored(generation.generation, dry_run, done.changes, done.steps, done.warnings)
        if given.omitted:
            restored.warnings.append(f"not in the backup, and left as they are here: {', '.join(given.omitted)}")
        if not dry_run:
            _want(given, site_file, state, restored)
            text = f"generation {generation.generation} of the site is restored, from a backup of {given.node}"
            audit.note("configuration-applied", text, state, generation=generation.generation)
    return restored


def _completed(given: Backup, site_file: Path) -> Bundle:
    files, missing = [], []
    for one in given.site.files:
        if one.given not in given.omitted:
            files.append(one)
            continue
        place = bundle.place(site_file, one.given)
        content = disk.read(place)
        if content is None:
            missing.append(str(place))
        else:
            files.append(replace(one, content=content))
    if missing:
        raise Misuse(
            f"the backup was written without its secrets, and these are not on this machine: {', '.join(missing)}. Put them "
            "there, readable for their owner alone, then restore again. Nothing was changed."
        )
    return replace(given.site, files=tuple(files))


def _generation(theirs: Applied, here: Applied, digest: str, node: str) -> Applied:
    if here.digest == digest:
        return here
    known = theirs if theirs.digest == digest else theirs.next(digest, node)
    return known.over(here, node) if here.digest else known


def _want(given: Backup, site_file: Path, state: Path | None, restored: Restored) -> None:
    """What operators want of a node is of that node."""
    site = load_site(site_file)
    if site.pair is None:
        return
    here = name_of(site)
    for name, value in given.wanted.items():
        if here == given.node:
            track.write(site, name, value, state)
        elif value:
            restored.warnings.append(f"{name} was set on {given.node}, and is not on {here}.")
