"""The ritual of a new configuration: the engine's own check, write, activate, verify; and back where one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from lbkit import disk
from lbkit.errors import CannotRun, EngineError, LbkitError, RolledBack
from lbkit.install.difference import SUFFIX, Change, compared
from lbkit.install.files import File, each_once, in_place
from lbkit.install.manifest import Manifest
from lbkit.install.replacement import Replacement, clear


def install(
    files: Iterable[File],
    manifest: Path,
    *,
    check: Callable[[], None],
    activate: Callable[[], None],
    verify: Callable[[], None],
    lock_timeout: float = 10.0,
) -> tuple[Change, ...]:
    """Bring `files` in force, in their order, take away what only the manifest names, and return what changed.

    `check` refuses by raising, before anything is written. `activate` has the engine take the files, `verify` reads back
    that it did. Where writing, `activate` or `verify` raises, all files are put back as they were, and `activate` runs once
    more if it had run. Where nothing would change, nothing is done, unless an earlier run was cut short (killed, power
    lost): what the engine runs with is not known then, so all but the writing is done again.

    Raises RolledBack where the old is in force again; EngineError where it could not be put back; what `check` raises;
    Misuse or CannotRun where there was no beginning. `lock_timeout`: seconds to wait for another installation to end.
    """
    wanted = each_once(files)
    manifest = in_place(manifest)
    try:
        manifest.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise _unwritable(manifest.parent, e) from None
    with disk.locked(manifest.with_name(f"{manifest.name}.lock"), lock_timeout):
        known = Manifest.read(manifest)
        found = compared(wanted, known)
        if not found and known.finished:
            return ()
        check()
        _Installation(wanted, found, known, manifest).run(activate, verify)
        return tuple(found.values())


class _Installation:
    """One run of the ritual, from the first write on."""

    def __init__(
        self, wanted: Mapping[Path, File], found: Mapping[Path, Change], known: Manifest, manifest: Path
    ) -> None:
        self._manifest = manifest
        self._finished = Manifest.of(wanted.values())
        begun = Replacement(manifest, known.begun(self._finished).written())
        self._steps = [begun, *(_step(place, change, wanted.get(place), known) for place, change in found.items())]
        self._private = {place.parent for place, file in wanted.items() if file.secret}
        self._touched = {manifest, *wanted, *(in_place(path) for path in known.digests)}
        self._made: list[Path] = []
        self._activated = False

    def run(self, activate: Callable[[], None], verify: Callable[[], None]) -> None:
        try:
            self._write()
            self._activated = True
            activate()
            verify()
            self._conclude()
        except BaseException as e:  # an operator's Ctrl-C too
            self._roll_back(e, activate)
        self._clear()

    def _write(self) -> None:
        place = self._manifest
        try:
            for step in self._steps:
                place = step.place
                self._make_folders(place.parent)
                step.prepare()
            for step in self._steps:
                place = step.place
                step.carry_out()
        except OSError as e:
            raise _unwritable(place, e) from e

    def _conclude(self) -> None:
        try:
            disk.write(self._manifest, self._finished.written(), 0o644)
        except OSError as e:
            raise _unwritable(self._manifest, e) from e

    def _make_folders(self, folder: Path) -> None:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            self._made.append(one)
            one.mkdir()
            one.chmod(0o700 if one in self._private else 0o755)
            disk.sync(one.parent)

    def _roll_back(self, first: BaseException, activate: Callable[[], None]) -> None:
        why = _words(first)
        stuck = [f"{step.place} ({_words(e)})" for step in reversed(self._steps) if (e := _tried(step.undo))]
        if stuck:
            raise EngineError(
                f"{why} The files could not all be put back as they were: {', '.join(stuck)}. Which configuration is in "
                "force is not certain: put these right by hand (.lbkit-old beside each is what was there), then apply again."
            ) from first
        self._clear()
        for folder in reversed(self._made):
            with suppress(OSError):  # something else has come to lie there
                folder.rmdir()
        again = _tried(activate) if self._activated else None
        if again:
            raise EngineError(
                f"{why} The files are as they were before, but the engine did not take them again: {_words(again)} "
                "Which configuration it runs with is not certain: see its log, then reload it by hand."
            ) from first
        raise RolledBack(
            f"{why} Rolled back: the files are as they were before"
            f"{', and the engine runs with them again' if self._activated else '; the engine was not touched'}."
        ) from first

    def _clear(self) -> None:
        for place in self._touched:  # also where a run that was cut short left something
            with suppress(OSError):
                clear(place)


def _step(place: Path, change: Change, file: File | None, known: Manifest) -> Replacement:
    if file is None:
        return Replacement(place, None)
    foreign = change.kind == "changed" and file.path not in known.digests
    return Replacement(place, file.content, file.mode, place.with_name(place.name + SUFFIX) if foreign else None)


def _tried(deed: Callable[[], None]) -> BaseException | None:
    """What it raised. Ctrl-C once more must not leave the way back half gone."""
    try:
        deed()
    except BaseException as e:
        return e
    return None


def _words(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    text = str(error) if isinstance(error, LbkitError) else f"{type(error).__name__}: {error}"
    return text if text.endswith(".") else f"{text}."


def _unwritable(place: Path, error: OSError) -> CannotRun:
    return CannotRun(
        f"{place} can't be written: {error.strerror}. Check who may write there (root?) and the space that is left."
    )
