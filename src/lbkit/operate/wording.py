"""Words that the verbs share."""

from __future__ import annotations

import time
from collections.abc import Mapping

from lbkit.state.intents import Intent

IN_FORCE: Mapping[str, str] = {
    "online": "online",
    "drain": "drained",
    "halt": "halted",
    "absent": "absent",
}


def many(number: int, what: str) -> str:
    """`1 client`, `2 clients`, `1 table entry`, `2 table entries`."""
    if number == 1:
        return f"{number} {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("y") else f"{number} {what}s"


def in_words(found: Intent) -> str:
    """A line about what was asked: who, when, until when, why."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.when))
    until = f", until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(found.until))}" if found.until else ""
    why = f": {found.why}" if found.why else ""
    return f"{found.wanted} by {found.who} at {moment}{until}{why}"
