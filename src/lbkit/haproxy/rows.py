"""Statistics as CSV: `show stat` and the statistics page (management guide, 9.1), by the names in its header."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from lbkit.errors import EngineError
from lbkit.haproxy.replies import unreadable


class Row(Mapping[str, str]):
    """One frontend, backend, server or listener, by column: `row["pxname"]`, `row["svname"]`, `row["last_chk"]`, …"""

    __slots__ = ("_columns", "_values")

    def __init__(self, columns: Mapping[str, int], values: Sequence[str]) -> None:
        self._columns = columns  # one for all rows: there are more than a hundred
        self._values = values

    def __getitem__(self, column: str) -> str:
        return self._values[self._columns[column]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def text(self, column: str) -> str:
        """A column, "" where it is not there."""
        at = self._columns.get(column)
        return "" if at is None else self._values[at]

    def number(self, column: str) -> int | None:
        """A column that is a number. None: empty or not there. Raises EngineError where it is none."""
        text = self.text(column)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise EngineError(f"HAProxy's column {column} is {text[:40]!r}, and no number. Report it.") from None


def rows(text: str, columns: Collection[str] = ()) -> list[Row]:
    """All rows. Commas, quotes and line breaks inside quotes are part of a value.

    `columns`: those that are wanted; the others may be missing then. It spares a third of the time: there are more than a
    hundred, and the last are rarely of interest.
    """
    if not text.startswith("# "):
        raise unreadable("show stat", text)
    head, _, body = text[2:].partition("\n")
    names = head.removesuffix(",").split(",")  # a comma ends the header, as it ends every line
    places = {name: at for at, name in enumerate(names)}
    if not {"pxname", "svname"} <= places.keys():
        raise unreadable("show stat", text)
    behind = 1 + max((places[one] for one in columns if one in places), default=len(names) - 1)
    lines = _lines(body, behind)
    if any(len(line) < behind for line in lines):
        raise unreadable("show stat", text)
    read = {one: at for one, at in places.items() if at < behind}
    return [Row(read, line) for line in lines]


def _lines(body: str, cells: int) -> list[list[str]]:
    """At least so many cells of each line."""
    lines = [line for line in body.split("\n") if line]
    if any(line.count('"') % 2 for line in lines if '"' in line):  # a line break inside quotes
        return _quoted(io.StringIO(body, newline=""))
    return [_quoted([line])[0] if '"' in line else line.split(",", cells) for line in lines]


def _quoted(lines: Iterable[str]) -> list[list[str]]:
    try:
        return [line for line in csv.reader(lines) if line]
    except csv.Error:
        raise unreadable("show stat", "".join(lines)) from None
