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
_KEY = "PRIVATE KEY"
_BLOCK = re.compile(rf"-----BEGIN [A-Z0-9 ]*{_KEY}-----(.*?)(?:-----|\Z)", re.DOTALL)
_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")
_WIDTHS = (64, 76)  # characters of a line of Base64: PEM, and MIME
_LARGEST = 1 << 20  # bytes of a file that holds a secret
_MOST = 16  # lines of a file of passwords
_MOST_KEYS = 1000  # files below a folder
_PATH = 8  # characters of a URL's path that may be a secret
_OWN_KEY = "/etc/lbkit/pair/key"  # where [pair.ssh] says nothing
_IN_BROKEN = re.compile(r"""([A-Za-z0-9_-]+)["']?[ \t]*=[ \t]*(?:"([^"\n]*)"|'([^'\n]*)')""")


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
        """One that is written down itself."""
        self.known.setdefault(name, []).append(text)

    def file(self, name: str, path: Path, *, passwords: bool = True) -> None:
        """What a file holds: keys, if it is PEM or PFX, else passwords, one a line; behind a colon too (`USER:PASSWORD`)."""
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
            for line in text.splitlines()[:_MOST]:
                self.known.setdefault(name, []).extend((line, line.strip(), line.partition(":")[2].strip()))


def secrets_of(site_file: Path, folders: Iterable[Path] = ()) -> Secrets:
    """Those of the site file, of all files that it names, and the keys below `folders`, where engines have them in clear."""
    found = Secrets()
    try:
        text = (disk.read(site_file) or b"").decode(errors="surrogateescape")
    except LbkitError as e:
        found.unread.append(f"site: {e}")
        text = ""
    for name, value in _named(text):
        above, _, last = name.rpartition(".")
        if last == "file" and above and not above.startswith("certificates."):
            continue  # what lbkit writes, or everybody may see
        if last.endswith("file") and value and "\0" not in value:
            found.file(name, place(site_file, value), passwords=last not in _NO_PASSWORDS)
        elif is_secret_word(last):
            found.value(name, value)
        elif last == "url" and len(path := value.partition("://")[2].partition("/")[2]) >= _PATH:
            found.value(name, path)
            found.value(name, path.partition("?")[0])
    found.file("pair.ssh.key_file", Path(_OWN_KEY), passwords=False)
    for folder in folders:
        for one in _files(folder, found.unread):
            found.file(f"{folder.name}/{one.name}", one, passwords=False)
    return found


def _named(text: str) -> Iterator[tuple[str, str]]:
    """Every text of a site file, with its place (`certificates.web.key_file`); where it is no TOML, what looks like one."""
    try:
        yield from _texts(tomllib.loads(text.removeprefix("\ufeff")), "")
    except (ValueError, RecursionError):
        for key, one, other in _IN_BROKEN.findall(text):
            yield key, one or other


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
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
