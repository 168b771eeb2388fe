"""What is wrong now, by what it is about: each change is one line in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping

log = logging.getLogger("lbkit.agent")


class Troubles:
    """What is told last holds until it is told anew."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}

    def tell(self, found: Mapping[str, str]) -> None:
        """All that is wrong now, in words, by what it is about."""
        for about, words in found.items():
            if words != self._of.get(about):
                log.warning("%s", words)
        for about in self._of.keys() - found.keys():
            log.warning("no longer so: %s", self._of[about])
        self._of = dict(found)

    @property
    def all(self) -> str:
        """All of it on one line, "": all is well."""
        return " ".join(self._of.values())
