"""What a site consists of: the site file, and the certificates, keys, lists, passwords and pages that it names.

It is what one node gives the other, and what a backup holds. Engines' own configurations are not in it: each node renders
its own from the site, and they differ. Neither is what belongs to one node: its ssh key, and where its engines have their
files.
"""

from __future__ import annotations

import base64
import binascii
import grp
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.errors import Misuse
from lbkit.install.files import File, in_place

_PUBLIC = ("ca_file", "crl_file", "page")  # no secret, unless a key is in it
_LONG = (*_PUBLIC, "file", "cert_file", "key_file")  # others may be so short that a digest of them tells what they are
_KEY = b"PRIVATE KEY-----"
_LARGEST = 40 << 20  # bytes of all files; as base64 it has to fit into one line of lbkit.pair.link


@dataclass(frozen=True, slots=True)
class Named:
    """One file that a site names. `given`: its path as the site file has it, relative ones as seen from there."""

    given: str
    content: bytes = field(repr=False)
    mode: int
    secret: bool
    group: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A site, whole. `text`: of the site file."""

    text: bytes = field(repr=False)
    mode: int
    files: tuple[Named, ...]

    @property
    def digest(self) -> str:
        """As the function of this name."""
        return _digest(self.text, {one.given: one.content for one in self.files})

    def installed(self, site_file: Path) -> tuple[File, ...]:
        """The files as they are to be where the site file is at `site_file`; it is the last, after all that it names.

        A file that the site names in two ways is one; what is not below the site file's folder is not lbkit's alone.
        Raises Misuse for a place that can't be.
        """
        site = Path(os.path.abspath(site_file))
        named: dict[Path, File] = {}
        for one in self.files:
            path = place(site_file, one.given)
            other = named.get(path)
            if other is not None and other.content != one.content:
                raise Misuse(f"{path} came with two contents. Sync again.")
            secret = one.secret or (other is not None and other.secret)
            named[path] = File(path, one.content, one.mode, secret, not path.is_relative_to(site.parent))
        return (*named.values(), File(site, self.text, self.mode))

    def as_dict(self) -> dict[str, Any]:
        """For JSON, secrets and all."""
        files = [
            {"path": one.given, "mode": one.mode, "group": one.group, "content": _written(one.content)}
            for one in self.files
        ]
        return {"site": _written(self.text), "mode": self.mode, "files": files}

    @classmethod
    def of(cls, values: object) -> Bundle:
        """The one that `as_dict` gave. Raises Misuse for anything else, and where files and site do not belong together."""
        match values:
            case {"site": str(text), "mode": int(mode), "files": list(listed)} if all(map(_is_file, listed)):
                site = _read(text)
                names = named(site)
                found = {one["path"]: one for one in listed}
                if found.keys() == names.keys():
                    return cls(
                        site,
                        mode & 0o777,
                        tuple(_named(path, names[path], _read(one["content"]), one) for path, one in found.items()),
                    )
        raise Misuse("this is no site with the files that it names. Was it made by this lbkit?")


def gather(site_file: Path) -> Bundle:
    """The site that is at `site_file`. Raises Misuse where something that it names is missing, CannotRun."""
    text, mode, _ = _of(site_file)
    files, size = [], len(text)
    for given, key in named(text).items():
        path = place(site_file, given)
        content, its_mode, group = _of(path)
        size += len(content)
        if size > _LARGEST:
            raise Misuse(f"{site_file} and the files it names have more than {_LARGEST >> 20} MiB. Is {path} right?")
        files.append(_named(given, key, content, {"mode": its_mode, "group": group}))
    return Bundle(text, mode, tuple(files))


def digest(site_file: Path) -> str:
    """Of the site file and all files that it names; "" where there is no site file. Raises CannotRun, Misuse.

    A file that is missing counts as such. Passwords and their like do not count, for a digest of one lets it be guessed.
    """
    text = disk.read(in_place(site_file))
    if text is None:
        return ""
    return _digest(text, {given: disk.read(in_place(place(site_file, given))) for given in named(text)})


def named(text: bytes) -> dict[str, str]:
    """The paths that a site file names, as they stand there, each with its key (`ca_file`); none where it is no TOML."""
    try:
        document = tomllib.loads(text.decode().removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    found: dict[str, str] = {}
    for key, path in _pairs(document):
        if isinstance(path, str) and path and "\0" not in path and found.get(path) in (None, *_PUBLIC):
            found[path] = key  # one that may be secret counts, where a file is named twice
    return found


def place(site_file: Path, given: str) -> Path:
    """Where a file is that the site file at `site_file` names."""
    return Path(os.path.normpath(Path(os.path.abspath(site_file)).parent / given))


def _pairs(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, keys in (
        ("ca_families", ("ca_file", "crl_file")),
        ("certificates", ("file", "key_file", "password_file")),
    ):
        for table in _tables(document.get(name)):
            yield from ((key, table[key]) for key in keys if key in table)
    for page in _tables([document.get("fallback_page")]):
        yield "page", page.get("file")
    for vip in _tables(document.get("vips")):
        for check in _tables([vip.get("check")]):
            yield from ((key, check[key]) for key in check if key.endswith("_file") and key != "site_file")
    for name in ("alerts", "snmp"):
        yield from _below(document.get(name))


def _below(given: Any) -> Iterator[tuple[str, Any]]:
    """Each `*_file` of a table, and of those in it."""
    for table in _tables([given]):
        for key, value in table.items():
            if key.endswith("_file"):
                yield key, value
            yield from _below(value)


def _tables(given: Any) -> Iterator[Mapping[str, Any]]:
    values = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    yield from (one for one in values if isinstance(one, dict))


def _named(given: str, key: str, content: bytes, values: Mapping[str, Any]) -> Named:
    plain = _KEY not in content and (key in _PUBLIC or (key in ("file", "cert_file") and content.isascii()))
    return Named(given, content, values["mode"] & 0o777, not plain, values["group"])


def _of(path: Path) -> tuple[bytes, int, str]:
    """Content, mode and group of a file that has to be there."""
    there = in_place(path)
    content = disk.read(there)
    if content is None:
        raise Misuse(f"{path} is not there, and the site names it. Put it there, or take it out of the site file.")
    status = there.stat()
    return content, status.st_mode & 0o777, _group(status.st_gid)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""


def _digest(text: bytes, files: Mapping[str, bytes | None]) -> str:
    names = named(text)
    made = sha256(sha256(text).digest())
    for given in sorted(files):
        if names.get(given, "file") in _LONG:
            content = files[given]
            made.update(sha256(given.encode()).digest() + (b"-" if content is None else sha256(content).digest()))
    return made.hexdigest()


def _written(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _read(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Misuse("a file of this site is cut off or damaged. Send it again.") from None


def _is_file(value: object) -> bool:
    match value:
        case {"path": str(), "mode": int(), "group": str(), "content": str()}:
            return True
    return False
