"""Durations as people write them, with units: `12h`, `720m`, `5s`, `250ms`, `1h30m`. Inside lbkit all is in seconds."""

from __future__ import annotations

import re

UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
PATTERN = r"^([0-9]+(ms|[dhms]))+$"

_PART = re.compile(r"([0-9]+)(ms|[dhms])")
_WHOLE = re.compile(PATTERN)
_LONGEST = 366 * UNITS["d"]


def seconds(text: str) -> float:
    """`1h30m` as 5400.0. Raises ValueError for what is no duration, or one of more than a year."""
    if len(text) > 40 or not _WHOLE.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} is no duration; write a number and its unit (d, h, m, s, ms), such as 12h or 5s"
        )
    total = sum(int(number) * UNITS[unit] for number, unit in _PART.findall(text))
    if total > _LONGEST:
        raise ValueError(f"{text!r} is longer than a year")
    return total


def written(duration: float) -> str:
    """Seconds as `seconds` reads them, in the largest unit that fits: `12h`, `90s`, `250ms`."""
    milliseconds = round(duration * 1000)
    for unit, size in UNITS.items():
        number, rest = divmod(milliseconds, round(size * 1000))
        if number and not rest:
            return f"{number}{unit}"
    return "0ms"
