"""`lbkit apply` of a whole site makes a generation, by which the nodes of a pair know whose site is newer."""

from __future__ import annotations

import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lbkit.checks.plan import KindOf
from lbkit.errors import Misuse
from lbkit.operate import audit, bundle, putting
from lbkit.operate.apply import ENGINES, EngineName
from lbkit.operate.apply import apply as bring
from lbkit.operate.outcome import Applied
from lbkit.operate.wording import many
from lbkit.site.model import Site
from lbkit.state import left
from lbkit.state.applied import Applied as Generation
from lbkit.state.applied import note
from lbkit.state.node import node_of

_VERBS = 20.0  # seconds for which a verb that is at work is waited for


def apply(
    site_file: Path,
    site: Site,
    kind_of: KindOf,
    node: str | None = None,
    *,
    engines: Collection[EngineName] = ENGINES,
    state: Path | None = None,
    **given: Any,
) -> Applied:
    """`lbkit.operate.apply.apply` of the site that was read from `site_file`: a new generation, if it is another site.

    Not while the other node's site comes: the engines would have the one, and the disk the other.
    """
    digest = bundle.digest(site_file)
    if given.get("dry_run"):
        return bring(site, kind_of, node, engines=engines, state=state, **given)
    with putting.alone(state, _VERBS):
        if bundle.digest(site_file) != digest:
            raise Misuse(f"{site_file} was changed in this moment. See what it is now (lbkit diff), and apply again.")
        with audit.rolled_back(state):
            done = bring(site, kind_of, node, engines=engines, state=state, **given)
        whole = set(engines) == set(ENGINES)
        made = _note(digest, site, node, state, done) if whole else None
        if made or done.changes or done.started or done.reloaded:
            _tell(site, done, made, "" if whole else f" ({', '.join(engines)} alone)", state)
    return done


def _note(digest: str, site: Site, node: str | None, state: Path | None, done: Applied) -> Generation | None:
    """None: it is the one from before."""
    name, before, gone = name_of(site, node), Generation.read(state), left.read(state)
    if gone and gone.node == name:
        left.forget(state)  # keepalived runs again
    made = note(digest, name, state)
    if made != before and site.pair:
        done.steps.append(f"this site is generation {made.generation}; the other node gets it with: lbkit pair sync")
    return made if made != before else None


def _tell(site: Site, done: Applied, made: Generation | None, alone: str, state: Path | None) -> None:
    what = f"generation {made.generation} of site {site.name}" if made else f"site {site.name}"
    how = "; HAProxy started" if done.started else "; HAProxy reloaded" if done.reloaded else ""
    text = f"{what} is in force{alone}: {many(len(done.changes), 'change')}{how}"
    details: dict[str, Any] = {"generation": made.generation} if made else {}
    audit.note("configuration-applied", text, state, changes=len(done.changes), **details)


def name_of(site: Site, node: str | None = None) -> str:
    """What this machine is called: its name in the pair, its host name without one."""
    found = node_of(site, node)
    return found.name if found else socket.gethostname()
