"""The secrets that a site file names or holds, by their keys; whatever else is wrong with it."""

from __future__ import annotations

import base64
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.errors import LbkitError
from lbkit.operate.bundle import place
from lbkit.operate.redaction import SHORTEST, Redaction, is_secret_word
from lbkit.tls.files import is_pfx

_NO_PASSWORDS = ("file", "ca_file", "crl_file", "known_hosts_file", "pid_file")  # in these there may be keys alone
_NO_SECRETS = ("", "true", "false")
_KEY = "PRIVATE KEY"
_BLOCK = re.compile(rf"-----BEGIN [A-Z0-9 ]*{_KEY}-----(.*?)(?:-----|\Z)", re.DOTALL)
_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")
_WIDTHS = (64, 76)  # characters of a line of Base64: PEM, and MIME
_LARGEST = 1 << 20  # bytes of a file that holds a secret
_MOST = 16  # lines of a file of passwords
_MOST_KEYS = 1000  # files below a folder
_PATH = 8  # characters of a part of a URL that may be a secret
_OPAQUE = 12  # characters of a text for a plugin that may be one; what is shorter is a level, a time, a name
_PLUGINS = "alerts.receivers."
_OWN_KEY = "/etc/lbkit/pair/key"  # where [pair.ssh] says nothing
_SCHEME = re.compile(r"(?i)(?:basic|bearer|token)[ \t]+")  # of HTTP's Authorization
_IN_BROKEN = re.compile(  # a table; a key, and what is behind it without quotes; a text
    r"""(?ms)^[ \t]*\[+[ \t]*([\w.-]+)[ \t]*\]|(?:"([\w-]+)"|'([\w-]+)'|\b([\w-]+))[ \t]*=[ \t]*([^\s"'\[{#][^\s#,}]*)?|"""
    r"""\"{3}(.*?)\"{3}|'{3}(.*?)'{3}|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'"""
)


@dataclass
class Secrets:
    """`known`, `keys`: as `Redaction` takes them. `unread`: files that may hold one and could not be read, and why."""

    known: dict[str, list[str]] = field(default_factory=dict, repr=False)
    keys: dict[str, list[str]] = field(default_factory=dict, repr=False)
    unread: list[str] = field(default_factory=list)

    def redaction(self) -> Redaction:
        """What takes all of them out of a text."""
        return Redaction(self.known, self.keys)

    def value(self, name: str, text: str) -> None:
        """One that is written down itself, or several, one a line; what is behind a colon is one too (`USER:PASSWORD`)."""
        for line in text.splitlines()[:_MOST]:
            bare = line.strip()
            found = (line, bare, bare.partition(":")[2].strip(), _SCHEME.sub("", bare, count=1))
            self.known.setdefault(name, []).extend(
                one for one in dict.fromkeys(found) if one.lower() not in _NO_SECRETS
            )

    def file(self, name: str, path: Path, *, passwords: bool = True) -> None:
        """What a file holds: keys, if it is PEM or PFX, else passwords, as `value` has them."""
        try:
            content = disk.read(path) if path.is_file() else b""  # a pipe could be waited for without end
        except (LbkitError, OSError) as e:
            self.unread.append(f"{name}: {e}")
            return
        text = (content or b"").decode(errors="surrogateescape")
        if len(text) > _LARGEST:
            self.unread.append(f"{name}: {path} is larger than a secret can be.")
        elif _KEY in text or is_pfx(content or b""):
            self.keys.setdefault(name, []).extend(_lines_of_keys(text, content or b""))
        elif passwords and "-----BEGIN " not in text:
            self.value(name, text)


def secrets_of(site_file: Path, folders: Iterable[Path] = ()) -> Secrets:
    """Those of the site file, of all files that it names, and the keys below `folders`, where engines have them in clear."""
    found = Secrets()
    try:
        text = (disk.read(site_file) or b"").decode(errors="surrogateescape")
    except LbkitError as e:
        found.unread.append(f"site: {e}")
        text = ""
    below = set(folders)
    for name, value in _named(text):
        if name == "haproxy.folder" and "\0" not in value:  # also where the site can't be loaded
            below.add(place(site_file, value) / "tls")
        above, _, last = name.rpartition(".")
        if last == "file" and above and not above.startswith("certificates."):
            continue  # what lbkit writes, or everybody may see
        if last.endswith("file") and value and "\0" not in value:
            found.file(name, place(site_file, value), passwords=last not in _NO_PASSWORDS)
        elif _may_be_one(name, value):
            found.value(name, value)
        if "://" in value:
            found.value(name, "\n".join(_of_url(value)))
    found.file("pair.ssh.key_file", Path(_OWN_KEY), passwords=False)
    for folder in sorted(below):
        for one in _files(folder, found.unread):
            found.file(f"{folder.name}/{one.name}", one, passwords=False)
    return found


def _may_be_one(name: str, value: str) -> bool:
    """By what it is called; of what is told to a plugin, of which lbkit knows nothing, also by its length."""
    if not name.startswith(_PLUGINS):
        return is_secret_word(name.rpartition(".")[2])
    return (len(value) >= _OPAQUE and "://" not in value) or any(map(is_secret_word, name.split(".")[3:]))


def _of_url(url: str) -> Iterator[str]:
    """What of it may be a secret: its path, all that is asked for, each value of that, and long parts of the path."""
    _, _, rest = url.partition("://")
    where, _, query = rest.partition("?")
    path = where.partition("/")[2]
    wholes = (f"{path}?{query}" if query else "", path, query, *(one.partition("=")[2] for one in query.split("&")))
    yield from (one for one in wholes if len(one) >= _PATH)
    yield from (one for one in path.split("/") if len(one) >= _OPAQUE)


def _named(text: str) -> Iterator[tuple[str, str]]:
    """Every text of a site file, with its place (`certificates.web.key_file`); where it is no TOML, what looks like one."""
    try:
        yield from _texts(tomllib.loads(text.removeprefix("\ufeff")), "")
    except (ValueError, RecursionError):
        yield from _texts_of_broken(text)


def _texts_of_broken(text: str) -> Iterator[tuple[str, str]]:
    table = key = ""
    for header, *keys, bare, one, two, three, four in _IN_BROKEN.findall(text):
        if header:
            table = f"{header}."
        key = "" if header else "".join(keys) or key
        if value := bare or one or two or three or four:
            yield f"{table}{key}", value


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str | int):
        yield name, str(value)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            label = one.get("label") if isinstance(one, dict) else None
            yield from _texts(one, f"{name}.{label if isinstance(label, str) else number}")


def _lines_of_keys(text: str, content: bytes) -> Iterator[str]:
    for body in _BLOCK.findall(text):
        yield from _LINE.findall(body)
    encoded = base64.b64encode(content).decode()
    for width in _WIDTHS:
        yield from (
            line for at in range(0, len(encoded), width) if len(line := encoded[at : at + width]) > SHORTEST * 4
        )


def _files(folder: Path, unread: list[str]) -> Iterator[Path]:
    def told(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            unread.append(f"{error.filename} can't be read: {error.strerror}.")

    found = (Path(above, name) for above, _, names in os.walk(folder, onerror=told) for name in names)
    return islice(found, _MOST_KEYS)
