"""TLS below a conversation, by memory buffers, so that both drivers share it.

Of CPython it uses the C module `_ssl` alone, because `lbkit-probe` starts once per check: beyond a bare start of 8.0 ms,
importing `_ssl` took 3.3 ms and `ssl` 16.2 ms (n = 60, medians), and the whole probe with a client certificate 24 ms.
"""

import _ssl

from lbkit.checks.context import Terms, client, outdated, session
from lbkit.checks.conversation import Conversation, Lost, Outcome, down
from lbkit.tls.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ_SIZE = 65536


def layer(terms: Terms) -> "Callable[[Conversation, str], Secured]":
    """What wraps any number of conversations, each with its target's host. Raises Misuse for files that can't be used.

    A file that changes is read again for the next conversation; to look costs each about 2.5 µs a file.
    """
    ready = Watched(lambda: client(terms), terms.files)

    def wrap(conversation: Conversation, host: str) -> Secured:
        return Secured(conversation, ready.get(), terms.server_name or host, outdated(ready))

    return wrap


class Secured:
    """A conversation inside TLS; it looks to a driver as the conversation itself does."""

    __slots__ = (
        "_agreed",
        "_incoming",
        "_inner",
        "_outgoing",
        "_ready",
        "_since",
        "_tls",
        "_warnings",
        "outcome",
        "steps",
    )

    def __init__(
        self, inner: Conversation, context: "_ssl._SSLContext", server_name: str, warnings: "list[str]"
    ) -> None:
        self._inner = inner
        self._incoming = _ssl.MemoryBIO()
        self._outgoing = _ssl.MemoryBIO()
        self._tls = session(context, self._incoming, self._outgoing, server_name)
        self._agreed: dict[str, str | None] = {}
        self._ready = False
        self._since = 0.0
        self._warnings = warnings
        self.outcome: Outcome | None = None
        self.steps = inner.steps

    def begin(self, now: float) -> bytes | None:
        """Start the handshake; returns the ClientHello."""
        self._since = now
        return self.receive(None, now)

    def receive(self, data: bytes | None, now: float) -> bytes | None:
        """Give it what was read from the wire; returns what to send, or None when it has ended."""
        if data:
            self._incoming.write(data)
        elif data is not None:
            self._incoming.write_eof()
        try:
            if not self._ready:
                self._shake_hands(now)
            if self._ready:
                self._pump(now)
        except _ssl.SSLWantReadError:
            pass
        except _ssl.SSLError as e:
            from lbkit.checks.alerts import classified

            self.lose(classified(e, self._ready), now)
        self._settle()
        return None if self.outcome is not None else self._outgoing.read()

    def lose(self, lost: Lost, now: float) -> None:
        """End it from below."""
        if self._ready:
            self._inner.lose(lost, now)
            self._settle()
        else:
            self.steps["tls"] = now - self._since
            why = "during the TLS handshake: it may speak no TLS on this port. Give --no-tls, or look at its log."
            message = lost.message if lost.step else f"{lost.message} {why}"
            self._end(down(lost.reason, message, "tls"))

    def farewell(self) -> bytes:
        """The last words, and TLS's close_notify."""
        try:
            if self._ready:
                if self._inner.farewell():
                    self._tls.write(self._inner.farewell())
                self._tls.shutdown()
        except _ssl.SSLError:
            pass  # a close_notify that nobody waits for
        return self._outgoing.read()

    def _shake_hands(self, now: float) -> None:
        self._tls.do_handshake()
        self._ready = True
        self.steps["tls"] = now - self._since
        cipher = self._tls.cipher()
        self._agreed = {"version": self._tls.version(), "cipher": cipher[0] if cipher else None}
        self._reply(self._inner.begin(now))

    def _pump(self, now: float) -> None:
        while self._inner.outcome is None:
            try:
                data = self._tls.read(READ_SIZE)
            except (_ssl.SSLZeroReturnError, _ssl.SSLEOFError):
                data = b""
            self._reply(self._inner.receive(data, now))

    def _reply(self, data: bytes | None) -> None:
        if data:
            self._tls.write(data)

    def _settle(self) -> None:
        outcome = self._inner.outcome
        if outcome is not None and self.outcome is None:
            if self._ready:
                outcome.details["tls"] = self._agreed
            self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        if self._warnings:
            outcome.details.setdefault("warnings", []).extend(self._warnings)
        self.outcome = outcome
