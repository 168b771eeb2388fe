"""The files that are to be installed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lbkit.errors import CannotRun, Misuse


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is to be. `secret`: its content is never shown. `shared`: others on this machine may use it, so that it
    stays once it is not wanted any more. Raises Misuse for a path that can't be.
    """

    path: Path
    content: bytes = field(repr=False)
    mode: int = 0o644
    secret: bool = False
    shared: bool = False

    def __post_init__(self) -> None:
        text = str(self.path)
        if not self.path.is_absolute() or ".." in self.path.parts or "\0" in text:
            raise Misuse(f"{text!r} is no place for a file. Give an absolute path without '..'.")


def in_place(path: Path) -> Path:
    """Where the content of `path` lies: a symbolic link is written through, as an editor does.

    Raises Misuse where something else than a file is there, CannotRun where one can't look.
    """
    try:
        place = Path(os.path.realpath(path))
        there = stat.S_IFMT(os.stat(place).st_mode)
    except FileNotFoundError:
        return place
    except OSError as e:
        raise CannotRun(f"{path} can't be looked at: {e.strerror}. Check the path and who may read it.") from None
    if there != stat.S_IFREG:
        raise Misuse(f"{path} is there, and is no file. Move it away, or give another path.")
    return place


def each_once(files: Iterable[File]) -> dict[Path, File]:
    """The files by the place where their content lies, in their order. Raises Misuse for two at one place."""
    by_place: dict[Path, File] = {}
    for file in files:
        other = by_place.setdefault(in_place(file.path), file)
        if other is not file:
            raise Misuse(f"{other.path} and {file.path} are one file. Give each a place of its own.")
    return by_place


def stage(files: Iterable[File], root: Path, folder: Path) -> None:
    """Write all below `folder`, which nobody else may enter, each where it lies relative to `root`.

    `/etc/haproxy/haproxy.cfg` with the root `/etc` becomes `FOLDER/haproxy/haproxy.cfg`. Raises Misuse for a file that is
    not below `root`, CannotRun where `folder` can't be written.
    """
    places = [(file, folder / _below(file.path, root)) for file in files]
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        for file, place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as staged:
                staged.write(file.content)
            place.chmod(file.mode)
    except OSError as e:
        raise CannotRun(
            f"{e.filename or folder} can't be written: {e.strerror}. Check {folder}, the space left, and who may write."
        ) from None


def _below(path: Path, root: Path) -> Path:
    if not path.is_relative_to(root):
        raise Misuse(f"{path} is not below {root}. Give a root that holds all files.")
    return path.relative_to(root)
