r"""On which line of a TOML document each key stands: tomllib gives the values alone.

One regular expression cuts the text into what matters here. A key is told from a value by the `=` after it, and the `[` of
a table from that of an array by whether a value is due; the rest is tomllib's business, which has accepted the text before.
"""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

DEEPEST = 64  # what is nested deeper has no place of its own: a dotted key of n parts makes n paths of up to n parts

# No possessive quantifiers: those of Python 3.11.0 to 3.11.4 match wrongly (CPython gh-106052).
_PART = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_NAME = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_TOKEN = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"""|(?P<multiline>"{3}(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}|'{3}(?:[^']|'(?!''))*'{3,5})"""
    rf"|(?P<key>{_NAME})[ \t]*="
    rf"|(?P<scalar>{_PART}|[^\s\[\]{{}},#]+)"
    r"|(?P<mark>[\[\]{},])"
)
_HEADER = re.compile(rf"\[(?P<array>\[)?[ \t]*(?P<key>{_NAME})[ \t]*\](?(array)\])")


def places(text: str) -> dict[Path, int]:
    """The line, from 1, of each key path of a document that tomllib has accepted; an array's elements count from 0.

    A key's line is where the key stands, an element's where it begins, a table's its header's; a table that has none gets
    the line of the first thing that makes it. A path that tomllib does not give is absent, and so is
    one of more than `DEEPEST` parts.
    """
    return _Places(text).found


class _Places:
    def __init__(self, text: str) -> None:
        self.found: dict[Path, int] = {}
        self._line = 1
        self._table: Path = ()
        self._last: dict[Path, int] = {}  # the index of the last table of each array of tables
        self._inside: list[tuple[Path, int | None]] = []  # open arrays with the current index, open inline tables
        self._due: Path | None = None  # whose value comes next
        at = 0
        while token := _TOKEN.search(text, at):
            self._line += text.count("\n", at, token.start())
            if token["mark"] == "[" and self._due is None and (header := _HEADER.match(text, token.start())):
                token = header
                self._open_table(header)
            elif token["key"]:
                self._due = self._walk(self._inside[-1][0] if self._inside else self._table, token["key"])
            elif token["mark"]:
                self._punctuate(token["mark"])
            elif not token["comment"]:
                self._begin_value()
            self._line += text.count("\n", token.start(), token.end())
            at = token.end()

    def _open_table(self, header: re.Match[str]) -> None:
        self._table = self._walk((), header["key"])
        if header["array"]:
            self._last[self._table] = self._last.get(self._table, -1) + 1
            self._table += (self._last[self._table],)
        self.found[self._table] = self._line

    def _walk(self, path: Path, key: str) -> Path:
        """The path of a dotted key; the tables on the way are of the last table of their array, if it is one."""
        for part in _parts(key):
            if len(path) >= DEEPEST:
                break
            if path in self._last:
                path += (self._last[path],)
            path += (part,)
            self.found.setdefault(path, self._line)
        return path

    def _punctuate(self, mark: str) -> None:
        if mark in "[{":
            path = self._begin_value()
            self._inside.append((path, 0 if mark == "[" else None))
            self._due = (*path, 0) if mark == "[" else None
        elif mark == ",":
            path, index = self._inside.pop()
            if index is not None:
                index += 1
                self._due = (*path, index)
            self._inside.append((path, index))
        else:
            self._inside.pop()
            self._due = None

    def _begin_value(self) -> Path:
        path, self._due = self._due, None
        if path is None:  # the second word of one value: `1979-05-27 07:32:00`
            return ()
        self.found.setdefault(path, self._line)
        return path


def _parts(key: str) -> list[str]:
    tree = tomllib.loads(f"{key} = 0")
    parts = []
    while isinstance(tree, dict):
        ((part, tree),) = tree.items()
        parts.append(part)
    return parts
