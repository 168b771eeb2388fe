"""What the agent owes the other node when that is back: tables that it has missed, then the intents of both."""

from __future__ import annotations

from pathlib import Path

from lbkit.operate import both_tables, replicate
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.state.intents import Intents
from lbkit.state.unfinished import Unfinished


class Exchange:
    """Of one site. `state`: the folder of intents. Blocks: for the thread of the conversation."""

    def __init__(self, site: Site, state: Path | None = None) -> None:
        self._site = site
        self._state = state
        self._intents = Intents(state)
        self._unfinished = Unfinished(state)
        self._theirs: int | None = None
        self._known: tuple[int, int | None] | None = None

    def is_due(self, their_generation: int | None = None) -> bool:
        """Whether there is anything to tell or to hear. `their_generation`: of the intents there, None: not known."""
        self._theirs = their_generation
        return self._known != (self._intents.generation, their_generation) or bool(self._unfinished.all())

    def once(self, link: Link) -> None:
        """Do all of it. Raises LbkitError; it is due then as before."""
        known = self._intents.generation, self._theirs  # what changes meanwhile is due again
        try:
            both_tables.finish(self._site, link, self._state)
        finally:  # intents do not wait for tables
            replicate.exchange(self._site, link, self._state)
        self._known = known
