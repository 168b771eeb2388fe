"""What installing files would change on this machine, as an operator reads it before saying yes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lbkit import disk
from lbkit.errors import CannotRun
from lbkit.install.files import File, each_once, in_place
from lbkit.install.manifest import Manifest, digest

Kind = Literal["new", "changed", "mode", "removed", "not in force", "still in force"]  # the last two: in the kernel

_KEY = b"PRIVATE KEY-----"  # of PEM
SUFFIX = ".before-lbkit"  # of what was there before lbkit first wrote the file


@dataclass(frozen=True, slots=True)
class Change:
    """One file that would change. `lines`: a unified diff, empty for secrets and binaries; `notes` say the rest."""

    path: Path
    kind: Kind
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """`/etc/haproxy/haproxy.cfg: changed, 3 lines in, 1 out`."""
        inside = self.lines[2:]
        added = sum(line.startswith("+") for line in inside)
        gone = sum(line.startswith("-") for line in inside)
        count = [f"{added} line{'s' * (added != 1)} in, {gone} out"] if self.lines else []
        return f"{self.path}: {', '.join([self.kind, *count])}{''.join(f'; {note}' for note in self.notes)}"


def changes(files: Iterable[File], manifest: Path) -> tuple[Change, ...]:
    """What would change against what is installed, in the order of `files`; then what only the manifest names: it goes.

    Raises Misuse for a broken manifest or a place that can't be, CannotRun where something can't be read.
    """
    return tuple(compared(each_once(files), Manifest.read(manifest)).values())


def compared(wanted: Mapping[Path, File], known: Manifest) -> dict[Path, Change]:
    """The changes by the place where each file's content lies."""
    found: dict[Path, Change] = {}
    for place, file in wanted.items():
        change = _of_wanted(place, file, known)
        if change:
            found[place] = change
    for path in known.digests:
        place = in_place(path)
        if place not in wanted:
            old = disk.read(place)
            if old is not None:
                lines = () if known.digests[path] is None or _KEY in old else _diff(path, old, None)
                found[place] = Change(path, "removed", lines, tuple(_by_hand(path, old, known)))
    return found


def _of_wanted(place: Path, file: File, known: Manifest) -> Change | None:
    old = disk.read(place)
    secret = file.secret or (file.path in known.digests and known.digests[file.path] is None)
    secret = secret or _KEY in file.content or (old is not None and _KEY in old)
    notes = ["its content is secret"] if secret else []
    if old is None:
        return Change(file.path, "new", () if secret else _diff(file.path, None, file.content), tuple(notes))
    mode = _mode(place)
    modes = [f"mode {mode:04o} becomes {file.mode:04o}"] if mode != file.mode else []
    if old == file.content:
        return Change(file.path, "mode", (), tuple(modes)) if modes else None
    if file.path not in known.digests:
        kept = place.with_name(place.name + SUFFIX)
        notes.append(f"not made by lbkit: {kept.name} {'is there already and stays' if kept.exists() else 'keeps it'}")
    lines = () if secret else _diff(file.path, old, file.content)
    return Change(file.path, "changed", lines, (*notes, *_by_hand(file.path, old, known), *modes))


def _by_hand(path: Path, old: bytes, known: Manifest) -> Iterator[str]:
    """A run that was cut short leaves contents that the manifest does not know either."""
    told = known.digests.get(path)
    if known.finished and told is not None and told != digest(old):
        yield "changed by hand since lbkit wrote it"


def _mode(place: Path) -> int:
    try:
        return place.stat().st_mode & 0o7777
    except OSError as e:
        raise CannotRun(f"{place} can't be looked at: {e.strerror}. Check who may read it.") from None


def _diff(path: Path, old: bytes | None, new: bytes | None) -> tuple[str, ...]:
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return ()
    names = ("/dev/null" if old is None else f"a{path}"), ("/dev/null" if new is None else f"b{path}")
    return tuple(
        line for entry in difflib.unified_diff(before, after, *names, lineterm="") for line in entry.split("\n")
    )


def _lines(content: bytes | None) -> list[str] | None:
    """The lines of a text; None for what is none."""
    if not content:
        return []
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    lines = text.split("\n")
    last = lines.pop()
    return [*lines, f"{last}\n\\ No newline at end of file"] if last else lines
