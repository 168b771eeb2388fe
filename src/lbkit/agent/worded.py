"""Events whose text is what it may be, whatever has gone into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lbkit.checks.conversation import printable
from lbkit.state.events import Event, EventKind

_TEXT = 2000  # characters of an event's text
_NAMED = 8  # of a list


def event(kind: EventKind, text: str, **more: Any) -> Event:
    """As `Event`, with a text of one line that is cut where it is too long, whatever it quotes."""
    text = printable(text)
    return Event(kind, text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…", **more)


def listed(words: Sequence[str], between: str = ", ") -> str:
    """The first of them, and how many more there are."""
    more = len(words) - _NAMED
    return between.join([*words[:_NAMED], *([f"and {more} more"] if more > 0 else [])])
