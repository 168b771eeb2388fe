"""Commands and their answers, over a channel. All that asks HAProxy stands on these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lbkit.errors import EngineError
from lbkit.haproxy import replies
from lbkit.haproxy.channel import Channel
from lbkit.haproxy.refusals import failed, refused
from lbkit.haproxy.wording import one_command


class Requests:
    """Connects anew for every request: threads can share it, and a reload disturbs nobody.

    All methods raise NotRunning, NotAllowed, NotThere or EngineError as fits, and Misuse before anything is sent.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def where(self) -> str:
        """The process, for messages."""
        return self._channel.where

    def ask(self, command: str) -> str:
        """The answer to one command, without the empty line at its end. A refusal that is known is raised."""
        return self._ask(one_command(command))

    def ask_all(self, commands: Sequence[str]) -> list[str]:
        """The answers to many commands in their order, in as few connections as HAProxy's longest line allows.

        All are sent, whatever becomes of the first; then the first refusal is raised. Not for answers with empty lines in
        them (`help`, `show errors`).
        """
        answers: list[str] = []
        for batch in self._channel.batches([one_command(command) for command in commands]):
            text = self._text(batch)
            try:
                answers += replies.split(text, len(batch))
            except EngineError as e:
                raise refused(self.where, batch[0], text) or EngineError(f"{self.where}: {e}") from None
        for command, answer in zip(commands, answers, strict=True):
            self._check(command, answer)
        return answers

    def stream(self, command: str) -> Iterator[bytes]:
        """The answer to one command, chunk by chunk, for one that is large. A refusal is raised with the first chunk."""
        chunks = self._channel.exchange([one_command(command)])
        first = next(chunks)
        self._check(command, first.decode("utf-8", "replace"))
        yield first
        yield from chunks

    def write(self, *commands: str) -> None:
        """Commands that answer nothing when they succeed. Raises EngineError, with HAProxy's words, for any other."""
        for command, answer in zip(commands, self.ask_all(commands), strict=True):
            if answer:
                raise failed(self.where, command, answer)

    def _ask(self, command: str, payload: bytes = b"") -> str:
        answer = self._text([command], payload).rstrip("\n")
        self._check(command, answer)
        return answer

    def _text(self, commands: Sequence[str], payload: bytes = b"") -> str:
        return b"".join(self._channel.exchange(commands, payload)).decode("utf-8", "replace")

    def _check(self, command: str, answer: str) -> None:
        if answer and (problem := refused(self.where, command, answer)):
            raise problem
