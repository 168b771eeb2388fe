"""What a check's protocol and the drivers say to each other. No sockets, no clock, no import.

A protocol is a generator. It yields `(step, bytes to send)`, is sent the bytes that were read (`b""` once the remote
has closed), and returns an `Outcome`:

    def banner():
        received = yield "banner", b"HELO\\r\\n"
        if received.startswith(b"220"):
            return up("it greets")
        return down("protocol-error", "it does not greet")

What ends the connection from below (a reset, the deadline, a TLS alert) is thrown into it as `Lost`; a protocol that
has nothing better to say lets it pass. The codecs, the drivers and `lbkit-probe` load this file: keep it import-free.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias
    from typing import Protocol as Shape

    Protocol: TypeAlias = Generator[tuple[str, bytes], bytes, "Outcome"]

    class Talk(Shape):
        """What a driver needs of a `Conversation`, and of one inside TLS."""

        outcome: "Outcome | None"

        def begin(self, now: float) -> bytes | None:
            """See `Conversation.begin`."""

        def receive(self, data: bytes, now: float) -> bytes | None:
            """See `Conversation.receive`."""

        def lose(self, lost: "Lost", now: float) -> None:
            """See `Conversation.lose`."""

        def farewell(self) -> bytes:
            """See `Conversation.farewell`."""


class Lost(Exception):
    """The connection ended from below: `reason` is a reason code, `message` a sentence, `step` where it counts."""

    def __init__(self, reason: str, message: str, step: str = "") -> None:
        self.reason = reason
        self.message = message
        self.step = step


class Outcome:
    """How a protocol ended: `step` "" means the step it was in; `last_words` are sent before the connection closes."""

    __slots__ = ("details", "last_words", "message", "reason", "step", "up")

    def __init__(
        self,
        up: bool,
        reason: str,
        message: str,
        step: str = "",
        details: "dict[str, Any] | None" = None,
        last_words: bytes = b"",
    ) -> None:
        self.up = up
        self.reason = reason
        self.message = message
        self.step = step
        self.details = {} if details is None else details
        self.last_words = last_words


def up(message: str, step: str = "", details: "dict[str, Any] | None" = None, last_words: bytes = b"") -> Outcome:
    """The remote serves. `details["warnings"]`, if any, make it exit code 1; `details["notes"]` don't."""
    return Outcome(True, "ok", message, step, details, last_words)


def down(
    reason: str, message: str, step: str = "", details: "dict[str, Any] | None" = None, last_words: bytes = b""
) -> Outcome:
    """The remote does not serve; `message` says what happened, what it means and what to do next."""
    return Outcome(False, reason, message, step, details, last_words)


def printable(text: str) -> str:
    """Text on one line, and safe on a terminal, whatever it quotes of a remote."""
    return text if text.isprintable() else "".join([c if c.isprintable() else "?" for c in text])


def connected(tls: bool) -> "Protocol":
    """The protocol of the check `connect`: nothing is said once the connection, and TLS if asked for, stands."""
    return up("takes TLS connections", "tls") if tls else up("takes connections", "connect")
    yield  # a generator, though one with nothing to say


class Conversation:
    """One protocol under way: walks the generator, adds its steps' times (seconds) to `steps`, keeps its outcome."""

    __slots__ = ("_protocol", "_since", "outcome", "step", "steps")

    def __init__(self, protocol: "Protocol", steps: dict[str, float]) -> None:
        self._protocol = protocol
        self._since = 0.0
        self.outcome: Outcome | None = None
        self.step = ""
        self.steps = steps

    def begin(self, now: float) -> "bytes | None":
        """Start; returns the first bytes to send, or None when it has already ended."""
        self._since = now
        return self._resume(self._protocol.send, None, now)

    def receive(self, data: bytes, now: float) -> "bytes | None":
        """Give it what was read; returns bytes to send (perhaps none), or None when it has ended."""
        reply = self._resume(self._protocol.send, data, now)
        if data or reply is None:
            return reply
        self.lose(Lost("closed", "the remote closed the connection"), now)  # nothing will ever follow a b""
        return None

    def lose(self, lost: Lost, now: float) -> None:
        """End it from below; a protocol whose verdict is fixed already may still return that."""
        if self._resume(self._protocol.throw, lost, now) is not None:
            self._protocol.close()
            self._end(down(lost.reason, lost.message, lost.step), now)

    def farewell(self) -> bytes:
        """The last bytes to send, once there is an outcome."""
        return b"" if self.outcome is None else self.outcome.last_words

    def _resume(self, how: "Callable[[Any], tuple[str, bytes]]", what: object, now: float) -> "bytes | None":
        try:
            step, data = how(what)
        except StopIteration as end:
            self._end(end.value, now)
            return None
        except Lost as lost:
            self._end(down(lost.reason, lost.message, lost.step), now)
            return None
        if step != self.step:
            self._close_step(now)
            self.step = step
        return data

    def _close_step(self, now: float) -> None:
        if self.step:
            self.steps[self.step] = self.steps.get(self.step, 0.0) + now - self._since
        self._since = now

    def _end(self, outcome: Outcome, now: float) -> None:
        self._close_step(now)
        outcome.step = outcome.step or self.step
        self.outcome = outcome
