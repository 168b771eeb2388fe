"""A site that came from elsewhere, the other node or a backup, is put in the place of this node's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lbkit import disk
from lbkit.checks.facade import load_site
from lbkit.checks.plan import KindOf
from lbkit.install import difference, ritual
from lbkit.install.difference import Change
from lbkit.install.manifest import Manifest
from lbkit.operate import apply, bundle
from lbkit.operate.bundle import Bundle
from lbkit.operate.outcome import Applied
from lbkit.operate.rehearsal import rehearse
from lbkit.operate.wording import in_words
from lbkit.state import left
from lbkit.state.applied import Applied as Generation
from lbkit.state.folder import state_folder
from lbkit.state.intents import Intent, Intents

_OTHERS = 5.0  # seconds for which a verb or an apply that runs already is waited for


@dataclass(slots=True)
class Put:
    """What became of it, or would. `changes`: of the site file and what it names. `steps`, `warnings`: of the engines."""

    changes: tuple[Change, ...] = ()
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@contextmanager
def alone(state: Path | None = None, timeout: float = _OTHERS) -> Iterator[None]:
    """One site at a time is put or applied here, and none while another lbkit is at work. Raises CannotRun."""
    with Intents(state).alone(timeout):  # makes the folder too; the apply that follows takes it itself
        pass
    with disk.locked(state_folder(state) / "sync.lock", _OTHERS, 0o660):
        yield


def is_whole(site_file: Path) -> bool:
    """False where the last time a site was put here, that was cut short: what lies there is nobody's."""
    return Manifest.read(_manifest(site_file)).finished


def put(
    given: Bundle,
    generation: Generation,
    site_file: Path,
    kind_of: KindOf,
    state: Path | None = None,
    *,
    intents: Iterable[Intent] = (),
    dry_run: bool = False,
) -> Put:
    """Try `given` on this node, put it at `site_file`, bring the engines to it, and keep `generation`; or nothing of it.

    `intents`: of the other node; the newer ones are taken. Raises Misuse for what is wrong with it, CannotRun: nothing was
    changed; RolledBack: all is as it was before. The caller is `alone`.
    """
    would = rehearse(given, site_file, kind_of, state)
    files = given.installed(site_file)
    if dry_run:
        return Put(difference.changes(files, _manifest(site_file)), would.steps, would.warnings)
    into_force = _IntoForce(given, generation, site_file, kind_of, state, intents)
    changed = ritual.install(
        files, _manifest(site_file), check=lambda: None, activate=into_force, verify=into_force.keep
    )
    if not changed:
        into_force()
        into_force.keep()
    return Put(changed, into_force.done.steps, [*into_force.lost, *into_force.done.warnings])


class _IntoForce:
    """The engines take the site that lies at `site_file`; called once more after the old one was put back."""

    def __init__(
        self,
        given: Bundle,
        generation: Generation,
        site_file: Path,
        kind_of: KindOf,
        state: Path | None,
        intents: Iterable[Intent],
    ) -> None:
        self._given = given
        self._generation = generation
        self._site_file = site_file
        self._kind_of = kind_of
        self._state = state
        self._intents = tuple(intents)
        self.lost: list[str] = []
        self._before = Generation.read(state)
        self._begun = False
        places = [one.path for one in given.installed(site_file)]
        self._new = {path for place in places for path in (place, *place.parents) if not path.exists()}
        self.done = Applied()

    def __call__(self) -> None:
        again, self._begun = self._begun, True
        if again:
            if Generation.read(self._state) != self._before:
                self._before.write(self._state)
            if not self._site_file.exists():  # there was none before: the engines have nothing to go back to
                return
        else:
            self._give_to_groups()
            self.lost = [
                f"{one.vip}/{one.server}: a newer word from the other node came into the place of {in_words(one)}"
                for one in Intents(self._state).merge(self._intents).lost
            ]
        self.done = apply.apply(load_site(self._site_file), self._kind_of, state=self._state)

    def keep(self) -> None:
        """The last step: from here on it is this node's generation."""
        left.forget(self._state)
        if Generation.read(self._state) != self._generation:
            self._generation.write(self._state)

    def _give_to_groups(self) -> None:
        """New files that the agent's group could read there it can read here; so can it enter folders that are new."""
        if os.geteuid() != 0:
            return
        for one in self._given.files:
            path = bundle.place(self._site_file, one.given)
            if path not in self._new or not one.mode & 0o040:
                continue
            with suppress(LookupError, OSError):  # no such group here: the owner alone reads it then
                shutil.chown(path, group=one.group)
                if path.parent in self._new:
                    shutil.chown(path.parent, group=one.group)
                    path.parent.chmod(0o750)


def _manifest(site_file: Path) -> Path:
    """Not in the folder of the state, which is the agent's to write in: what it names may be removed."""
    return site_file.with_name(f".{site_file.name}.files")
