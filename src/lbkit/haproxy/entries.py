"""Stick tables as text: `show table` (management guide, 9.3), read piece by piece, so that a large one is held once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from lbkit.haproxy.replies import unreadable
from lbkit.haproxy.wording import unquoted

PIECE = 1 << 18  # bytes that are read at once

_HEADER = re.compile(r"# table: (\S+), type: (\w+), size:(\d+), used:(\d+)")
_FIELD = re.compile(r" ([^ =]+)=")
_NUMBER = r"([0-9]{1,20})"
_VALUES = {
    "key": r"([^ \\\n]*(?:\\.[^ \\\n]*)*)",
    "use": _NUMBER,
    "exp": _NUMBER,
    "server_id": _NUMBER,
    "server_key": r"([^ \n]*)",
}
"""What is kept of an entry, and how it is written there."""

_ANY = r"[^ \n]*"
_NOBODY = ("", "-")


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table. `kind`: ip, ipv6, integer, string, binary; `size`: how many entries it may have."""

    name: str
    kind: str
    size: int
    used: int


class Entry(NamedTuple):
    """An entry. `server_key`: the server's label, None where an operator set the entry or nothing is stored.

    `expires_in`: seconds; None: it stays. `uses`: connections that hold it right now.
    """

    key: str
    server_id: int | None
    server_key: str | None
    expires_in: float | None
    uses: int


_Reader: TypeAlias = Callable[[str], list[Entry]]


def tables(text: str) -> list[TableInfo]:
    """`show table`."""
    found = [_HEADER.fullmatch(line) for line in text.splitlines() if line]
    if not all(found):
        raise unreadable("show table", text)
    return [TableInfo(line[1], line[2], int(line[3]), int(line[4])) for line in found if line]


def pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in large pieces of whole lines; what is behind the last line break comes last."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            whole, line_break, rest = b"".join(parts).rpartition(b"\n")
            if line_break:
                yield whole + line_break
            parts, size = [rest], 0 if line_break else len(rest)
    yield b"".join(parts)


def entries(chunks: Iterable[bytes]) -> list[Entry]:
    """`show table NAME`, with or without a filter. Raises EngineError where it breaks off or can't be read."""
    found: list[Entry] = []
    read: _Reader | None = None
    lines = 0
    last = b""
    for piece in pieces(chunks):
        last = piece or last
        if piece.startswith(b"#"):
            piece = piece.partition(b"\n")[2]
        if read is None and piece.strip():
            read = _reader(piece.partition(b"\n")[0].decode("utf-8", "replace"))
        if read is not None:
            found += read(piece.decode("utf-8", "replace"))
            lines += _lines(piece)
    if lines != len(found) or not (last.endswith(b"\n\n") or last == b"\n"):
        raise unreadable("show table", last[-80:].decode("utf-8", "replace"))
    return found


def count(chunks: Iterable[bytes]) -> int:
    """How many entries `show table NAME` gives."""
    return sum(map(_lines, pieces(chunks)))


def _lines(piece: bytes) -> int:
    return piece.count(b"\n0x") + piece.startswith(b"0x")


def _reader(line: str) -> _Reader:
    """What reads all lines of this table as it reads the first: every entry of a table has the same fields."""
    names = _FIELD.findall(line)
    if not {"key", "use", "exp"} <= set(names) or len(set(names)) != len(names):
        raise unreadable("show table", line)
    fields = [f" {re.escape(name)}={_VALUES.get(name, _ANY)}" for name in names]
    absent = [name for name in _VALUES if name not in names]
    pattern = re.compile("^0x[0-9a-f]+:" + "".join(fields) + "$" + "()" * len(absent), re.MULTILINE)
    there = [name for name in names if name in _VALUES] + absent
    in_order = itemgetter(*map(there.index, _VALUES))
    new = tuple.__new__  # a hundred thousand times: half the cost of Entry(…)

    def read(text: str) -> list[Entry]:
        return [
            new(
                Entry,
                (
                    unquoted(key) if "\\" in key else key,
                    int(server_id) if server_id else None,
                    None if server_key in _NOBODY else server_key,
                    None if expires == "0" else int(expires) / 1000,
                    int(uses),
                ),
            )
            for key, uses, expires, server_id, server_key in map(in_order, pattern.findall(text))
        ]

    return read
