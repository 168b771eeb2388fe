"""Where tables are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE = 200  # columns: no label is folded where a program reads on


def console() -> Console:
    """Stdout: a terminal as wide as it is, and anything else wide enough."""
    from rich.console import Console

    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = max(made.width, PIPE)
    return made
