"""Statistics as CSV: `show stat` and the statistics page (management guide, 9.1), by the names in its header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

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

    def number(self, column: str) -> int | None:
        """A column that is a number. None: empty or not there. Raises EngineError where it is none."""
        text = self.get(column, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise EngineError(f"HAProxy's column {column} is {text[:40]!r}, and no number. Report it.") from None


def rows(text: str) -> list[Row]:
    """All rows. Commas, quotes and line breaks inside quotes are part of a value."""
    if not text.startswith("# "):
        raise unreadable("show stat", text)
    reader = csv.reader(io.StringIO(text[2:], newline=""))
    try:
        header = next(reader)
        if header[-1:] == [""]:  # a comma ends the header, as it ends every line
            del header[-1]
        lines = [line for line in reader if line]
    except (csv.Error, StopIteration):
        raise unreadable("show stat", text) from None
    columns = {name: at for at, name in enumerate(header)}
    if not {"pxname", "svname"} <= set(columns) or any(len(line) < len(header) for line in lines):
        raise unreadable("show stat", text)
    return [Row(columns, line) for line in lines]
