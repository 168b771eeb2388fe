"""Lines out of pieces, as pipes and sockets give them."""

from __future__ import annotations


class Lines:
    """Each byte is looked at once, however large a line is."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        """Bytes that have not been taken."""
        return len(self._rest)

    def feed(self, piece: bytes) -> None:
        """What was read."""
        self._rest += piece

    def take(self) -> bytes | None:
        """The next whole line without its end, None: there is none yet."""
        end = self._rest.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._rest)
            return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        self._searched = 0
        return line
