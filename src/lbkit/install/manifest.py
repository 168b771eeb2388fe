"""The manifest: which files lbkit installed, and what it wrote into them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from lbkit import disk
from lbkit.errors import Misuse
from lbkit.install.files import File

VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lbkit installed: by path the SHA-256 of its content, None for a secret (a hash lets short ones be guessed).

    `finished`: False from before the first file is written until all is verified; a crash leaves it False.
    """

    digests: Mapping[Path, str | None] = field(default_factory=dict)
    finished: bool = True

    @classmethod
    def of(cls, files: Iterable[File]) -> Manifest:
        """Of files as they are to be; those that others use too are not lbkit's."""
        return cls({file.path: None if file.secret else digest(file.content) for file in files if not file.shared})

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The one at `path`, an empty one where there is none. Raises Misuse for a broken one, CannotRun as `disk.read`."""
        content = disk.read(path)
        return cls() if content is None else cls._parsed(content, path)

    @classmethod
    def _parsed(cls, content: bytes, path: Path) -> Manifest:
        advice = "Mend it, or remove it: then all files that are there count as not made by lbkit. Nothing was changed."
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise Misuse(f"{path} is no JSON. {advice}") from None
        match document:
            case {"version": int(version)} if version > VERSION:
                raise Misuse(f"a newer lbkit wrote {path} (version {version}). Use that lbkit. Nothing was changed.")
            case {"version": 1, "finished": bool(finished), "files": dict(listed)} if all(
                _is_right(name, value) for name, value in listed.items()
            ):
                return cls({Path(name): value for name, value in listed.items()}, finished)
        raise Misuse(f"{path} is no manifest of version {VERSION}. {advice}")

    def begun(self, wanted: Manifest) -> Manifest:
        """What holds while `wanted` comes into this one's place: the files of both are lbkit's."""
        return Manifest({**self.digests, **wanted.digests}, finished=False)

    def written(self) -> bytes:
        """As `read` takes it."""
        files = {str(path): value for path, value in self.digests.items()}
        return json.dumps({"version": VERSION, "finished": self.finished, "files": files}, indent=1).encode() + b"\n"


def digest(content: bytes) -> str:
    """As the manifest keeps it."""
    return sha256(content).hexdigest()


def _is_right(name: str, value: object) -> bool:
    path = Path(name)
    return (
        path.is_absolute()
        and ".." not in path.parts
        and "\0" not in name
        and (value is None or (isinstance(value, str) and len(value) == 64))
    )
