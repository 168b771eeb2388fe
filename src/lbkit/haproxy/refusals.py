"""HAProxy's ways to say no, told apart by its words (management guide, 9.3; 2.6.12 and 2.8.25 say the same)."""

from __future__ import annotations

from lbkit.checks.conversation import printable
from lbkit.errors import EngineError, NotAllowed, NotRunning, NotThere

_NOT_ALLOWED = (
    "Permission denied",
    "Can't allocate memory!",  # of `show ssl …` at level user
)
_DENIED_TABLE = "# contents not dumped due to insufficient privileges"
_NOT_THERE = (
    "No such ",  # backend. server. proxy. table, session (use 'show sess').
    "Can't find backend",
    "Session not found",
    "Key not found",
    "Unknown ACL identifier",
    "Can't display the ",  # certificate, CA file, CRL file: Not found!
    "Can't replace a ",  # which is not referenced by the configuration!
)
_NO_PROCESS = ("Can't find the target PID", "Can't connect to the target CLI")
_OPERATOR = ("show ", "clear ", "set table ")


class WorkerEnded(NotRunning):
    """The master knows no such worker: it has ended, and its sessions with it."""


def refused(where: str, command: str, answer: str) -> EngineError | None:
    """What to raise for an answer that says no, and None for any other."""
    words = answer.lstrip()
    if words.startswith(_NOT_ALLOWED) or _DENIED_TABLE in words[:1000]:
        level = "operator" if command.startswith(_OPERATOR) else "admin"
        return NotAllowed(
            f"{where} refuses `{command}`: {_first(words)}. It needs level {level}: write `level {level}` on the "
            "`stats socket` line of its configuration, or use the socket that has it."
        )
    if words.startswith(_NO_PROCESS):
        return WorkerEnded(f"{where} has ended: {_first(words)}. Look at the processes there are (show proc).")
    if words.startswith(_NOT_THERE):
        advice = "It has ended." if "ession" in words[:20] else "Check the name; is the configuration applied?"
        return NotThere(f"{where} answers to `{command}`: {_first(words)}. {advice}")
    if words.startswith(("Unknown command", "The command is too big")):
        return EngineError(
            f"{where} does not take `{command}`: {_first(words).partition(', but')[0]}. Is it HAProxy 2.6 or later?"
        )
    return None


def failed(where: str, command: str, answer: str) -> EngineError:
    """What to raise for any other answer to a command that has none when it succeeds."""
    said = "; ".join(printable(line.strip()) for line in answer.splitlines() if line.strip())
    return EngineError(f"{where} refuses `{command}`: {said[:2000]}")


def _first(words: str) -> str:
    lines = [line for line in words.splitlines() if line and not line.startswith("# table:")]
    return printable(lines[0] if lines else "")[:200].rstrip(". !").removeprefix("# ")
