"""Where a simulated server stands."""

from __future__ import annotations

from collections.abc import Mapping
from ssl import SSLContext
from types import MappingProxyType
from typing import NamedTuple

LOOPBACK = "127.0.0.1"

Address = tuple[str, int]
Contexts = Mapping[str, SSLContext]


class Place(NamedTuple):
    """An address of the loopback, a port (0: a free one), and the TLS identities of whoever serves there, by name."""

    host: str = LOOPBACK
    port: int = 0
    contexts: Contexts = MappingProxyType({})

    @property
    def address(self) -> Address:
        """For `bind`."""
        return self.host, self.port


ANYWHERE = Place()
