"""Words that the verbs share."""

from __future__ import annotations

from collections.abc import Mapping

IN_FORCE: Mapping[str, str] = {
    "online": "online",
    "drain": "drained",
    "halt": "halted",
    "absent": "not in HAProxy",
}


def many(number: int, what: str) -> str:
    """`1 client`, `2 clients`, `1 table entry`, `2 table entries`."""
    if number == 1:
        return f"{number} {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("y") else f"{number} {what}s"
