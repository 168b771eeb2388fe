"""Sites that ship with lbkit as data, to begin with."""

from __future__ import annotations

import os
import tempfile
from importlib.resources import files
from pathlib import Path

from lbkit.errors import Misuse

_FOLDER = files("lbkit") / "profiles"


def names() -> list[str]:
    """The profiles there are."""
    return sorted(entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml"))


def text(name: str) -> str:
    """The site file of a profile. Raises Misuse."""
    if name not in names():
        raise Misuse(f"no profile is called {name!r}. There are: {', '.join(names())}.")
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def write(name: str, file: Path, *, force: bool = False) -> None:
    """Write a profile's site file, all or nothing. Raises Misuse where the file is there already, or can't be written."""
    content = text(name)
    try:
        descriptor, made = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(content)
                os.fchmod(out.fileno(), 0o644)
            if force:
                os.replace(made, file)
            else:
                os.link(made, file)  # unlike a rename, it never takes another's place
        finally:
            if os.path.exists(made):
                os.unlink(made)
    except FileExistsError:
        raise Misuse(f"{file} is there already, and was left as it is. Give --force to replace it.") from None
    except OSError as e:
        raise Misuse(f"{file} can't be written: {e.strerror}. Name another with -o.") from None
