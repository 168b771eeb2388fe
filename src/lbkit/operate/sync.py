"""`lbkit pair sync`: the other node gets this node's site.

Sent are the site file, all files that it names, and the intents. Each node renders its engines' configurations from the site
by itself, for they differ from node to node. The other node tries the site first, with its own engines' checkers, and puts
it in place whole or not at all. A node's own settings (guide 11.1) are shown side by side and never copied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lbkit.errors import Misuse, Refused
from lbkit.install.difference import Change
from lbkit.operate import audit, bundle, own_settings, putting
from lbkit.operate.bundle import Bundle
from lbkit.operate.outcome import Progress
from lbkit.operate.own_settings import Line
from lbkit.pair.link import Link
from lbkit.site.model import Node, Site
from lbkit.state import left
from lbkit.state.applied import Applied
from lbkit.state.intents import Intents
from lbkit.state.node import node_of, peer_of
from lbkit.state.who import who_asks

_ASKS = 60.0  # seconds: the other node tries the site with its engines' checkers
_TAKES = 240.0  # seconds: its HAProxy is reloaded with all care, and back where that fails


@dataclass(slots=True)
class Synced:
    """What the other node was given, or with `dry_run` would be.

    `generation`: of the site. `changes`: of files there. `steps`: of its engines. `own`: both nodes' own settings.
    """

    node: str
    generation: int
    dry_run: bool = False
    changes: tuple[Change, ...] = ()
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    own: list[Line] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "node": self.node,
            "generation": self.generation,
            "dry_run": self.dry_run,
            "changes": [
                {"file": str(one.path), "change": one.kind, "lines": list(one.lines), "notes": list(one.notes)}
                for one in self.changes
            ],
            "steps": self.steps,
            "warnings": self.warnings,
            "own_settings": [
                {"name": one.name, "here": list(one.here), "there": list(one.there), "matters": one.matters}
                for one in self.own
            ],
        }


class Sync:
    """From this node to the other. `look` comes first: it shows what `carry_out` will change. `link`: to the other node.

    Both raise what the other node refuses with: Misuse for a site that is wrong there, Refused where it is newer there or
    both were changed, RolledBack where its engines did not take it; and NotRunning, NotAllowed, NotAnswering.
    """

    def __init__(
        self,
        site: Site,
        site_file: Path,
        link: Link,
        state: Path | None = None,
        *,
        force: bool = False,
        progress: Progress = lambda step: None,
    ) -> None:
        self._site_file = site_file
        self._state = state
        self._link = link
        self._force = force
        self.tell = progress
        here, self.peer = the_two(site, site_file)
        self._name = here.name
        self._site: Bundle = bundle.gather(site_file)
        self._was = self._applied = _applied(self._site, site_file, state)

    def look(self) -> Synced:
        """What would change there; the other node has tried it already."""
        self.tell(f"asking {self.peer.name} what it has")
        theirs = self._link.ask("sync.state")
        other = Applied.of(theirs.get("applied"))
        if self._force and self._applied.compared(other) in ("older", "diverged"):
            self._applied = self._applied.over(other, self._name)
        self.tell(f"{self.peer.name} tries the site")
        done = self._ask(dry_run=True, timeout=_ASKS)
        own = theirs.get("own")
        done.own = own_settings.compared(own_settings.here(), own if isinstance(own, dict) else {})
        done.warnings += [
            f"{one.name} differs: {', '.join(one.here) or 'none'} here, {', '.join(one.there) or 'none'} on {self.peer.name}"
            for one in done.own
            if one.matters
        ]
        return done

    def carry_out(self) -> Synced:
        """Have it there; returned once it is in force there, and read back."""
        with putting.alone(self._state):
            if (now := Applied.read(self._state)) != self._was:
                raise Refused(f"this node has another site since it was looked at: {now}. Sync again.")
            if self._applied != now:
                self._applied.write(self._state)  # what was forced is newer than both, on both
        self.tell(f"{self.peer.name} puts generation {self._applied.generation} in force")
        done = self._ask(dry_run=False, timeout=_TAKES)
        left.forget(self._state)
        number = self._applied.generation
        text = f"{self.peer.name} has generation {number} of this node's site in force"
        audit.note("site-synced", text, self._state, node=self.peer.name, generation=number)
        return done

    def _ask(self, *, dry_run: bool, timeout: float) -> Synced:
        answer = self._link.ask(
            "sync.take",
            timeout,
            **{"from": self._name},
            lbkit=version("lbkit-core"),
            applied=self._applied.as_dict(),
            site=self._site.as_dict(),
            intents=[one.as_dict() for one in Intents(self._state).last_words()],
            force=self._force,
            dry_run=dry_run,
            who=who_asks(),
        )
        changes = tuple(
            Change(Path(one["file"]), one["change"], tuple(one["lines"]), tuple(one["notes"]))
            for one in answer["changes"]
        )
        return Synced(
            self.peer.name, self._applied.generation, dry_run, changes, list(answer["steps"]), list(answer["warnings"])
        )


def the_two(site: Site, site_file: Path) -> tuple[Node, Node]:
    """This node and the other. Raises Misuse where the site has no pair."""
    here, peer = node_of(site), peer_of(site)
    if here is None or peer is None:
        raise Misuse(f"{site_file} has no [pair]: there is no other node. Give it one, then: lbkit apply")
    return here, peer


def _applied(given: Bundle, site_file: Path, state: Path | None) -> Applied:
    """What is sent is what this node runs with, so that nobody's site is one that no engine has seen."""
    found = Applied.read(state)
    if found.digest != given.digest:
        what = "was never applied here" if not found.digest else f"was changed since it was applied here: {found}"
        raise Refused(f"{site_file} {what}. Apply it first: lbkit apply")
    return found
