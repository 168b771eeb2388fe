"""The way to the other node: a conversation with its `lbkit pair-receive` over the system's OpenSSH.

A question is one line of JSON, `{"version": 1, "ask": "hello", …}`; its answer is one line with `"ok": true` and what was
asked for, or `"ok": false`, an `"error"` in words and the exit `"code"` that it stands for. What can be asked stands in
`lbkit.operate.receive`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lbkit.checks.conversation import printable
from lbkit.errors import (
    CannotRun,
    EngineError,
    LbkitError,
    Misuse,
    NotAllowed,
    NotAnswering,
    NotDone,
    NotRunning,
    Refused,
    RolledBack,
)
from lbkit.site.model import Node, Site

VERSION = 1
LIMIT = 64 << 20  # bytes of a line: a site with all its certificates is far smaller
_CONNECTS_WITHIN = 3  # seconds, of ssh
_ENDS_WITHIN = 1.0
_WORDS = 4000  # bytes of what ssh says
_RAISES: dict[int, type[LbkitError]] = {3: Misuse, 4: Refused}


def ssh_command(site: Site, peer: Node) -> list[str]:
    """How the other node is reached: host keys are checked under the node's name, nothing of the user's own is read."""
    assert site.pair is not None  # noqa: S101
    way = site.pair.ssh
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(_CONNECTS_WITHIN),
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": peer.name,
        "UserKnownHostsFile": way.known_hosts_file,
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityFile": way.key_file,
        "PreferredAuthentications": "publickey",
        "ServerAliveInterval": "1",
        "ServerAliveCountMax": "3",
        "ControlPath": "none",
        "LogLevel": "ERROR",
    }
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", "-T", *given, "-p", str(way.port), "-l", way.user, peer.address, "lbkit pair-receive"]


class Link:
    """To `peer`. It connects with the first question, and anew after it was lost. Not for two threads at a time.

    `timeout`: seconds for one question. `command`: instead of ssh (tests).
    """

    def __init__(self, site: Site, peer: Node, timeout: float = 10.0, command: Sequence[str] | None = None) -> None:
        self.peer = peer
        self._timeout = timeout
        self._command = list(command or ssh_command(site, peer))
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def ask(self, question: str, timeout: float | None = None, **values: Any) -> dict[str, Any]:
        """What the other node answers.

        Raises NotRunning where it can't be reached, NotAllowed where it does not let this node in, NotAnswering where it is
        silent; and what went wrong there: Misuse, Refused, RolledBack, NotDone, with the node's name before its words.
        """
        within = self._timeout if timeout is None else timeout
        line = json.dumps({"version": VERSION, "ask": question, **values}).encode() + b"\n"
        try:
            answer = self._answer(line, time.monotonic() + within, within)
        except BaseException:
            self.close()  # a late answer must not be taken for that of the next question
            raise
        if answer.get("ok") is True:
            return answer
        raise self._refusal(answer)

    def close(self) -> None:
        """Hang up."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answer(self, line: bytes, deadline: float, within: float) -> dict[str, Any]:
        process = self._connected()
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        out, back = process.stdin.fileno(), process.stdout.fileno()
        left = memoryview(line)
        while True:
            if self._rest and b"\n" in self._rest:
                found, _, self._rest = self._rest.partition(b"\n")
                return self._read(found)
            wait = deadline - time.monotonic()
            readable, writable, _ = select.select([back], [out] if left else [], [], max(wait, 0))
            if not readable and not writable:
                raise NotAnswering(
                    f"node {self.peer.name} ({self.peer.address}) has not answered in {within:g} s. Is it well? "
                    f"ssh to it, then: lbkit pair status"
                )
            if writable:
                with suppress(BlockingIOError):
                    left = left[self._write(out, left) :]
            if readable:
                part = os.read(back, 1 << 16)
                if not part:
                    raise self._lost(process)
                self._rest += part
                if len(self._rest) > LIMIT:
                    raise EngineError(f"node {self.peer.name} answers without end. Is its lbkit of this version?")

    def _write(self, out: int, left: memoryview) -> int:
        try:
            return os.write(out, left[: 1 << 16])
        except BrokenPipeError:
            assert self._process is not None  # noqa: S101
            raise self._lost(self._process) from None

    def _connected(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
            except OSError as e:
                raise CannotRun(f"{self._command[0]} can't be run: {e.strerror}. Install openssh-client.") from None
            assert self._process.stdin is not None  # noqa: S101
            os.set_blocking(self._process.stdin.fileno(), False)
        return self._process

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise EngineError(
                f"node {self.peer.name} answers {printable(line[:80].decode(errors='replace'))!r}, and that is not lbkit. "
                "What does its authorized_keys run? lbkit pair setup renders that line."
            )
        return answer

    def _lost(self, process: subprocess.Popen[bytes]) -> EngineError:
        """ssh ended: why, in its own words."""
        assert process.stderr is not None  # noqa: S101
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN)
        os.set_blocking(process.stderr.fileno(), False)
        with suppress(BlockingIOError, OSError):
            said = os.read(process.stderr.fileno(), _WORDS).decode(errors="replace").strip()
            words = printable(" ".join(said.split()))
            where = f"node {self.peer.name} ({self.peer.address})"
            if "Permission denied" in said or "Host key verification failed" in said or "Bad permissions" in said:
                return NotAllowed(
                    f"{where} and this node do not know each other: {words}. Have them meet: lbkit pair setup"
                )
            if said:
                return NotRunning(f"{where} can't be reached over ssh: {words}.")
        return NotRunning(
            f"node {self.peer.name} ({self.peer.address}) hung up before it answered. Is lbkit installed there?"
        )

    def _refusal(self, answer: dict[str, Any]) -> LbkitError:
        error, code = str(answer.get("error") or "it does not say why"), answer.get("code")
        words = f"node {self.peer.name}: {error}"
        if code == RolledBack.exit_code and answer.get("rolled_back") is True:
            return RolledBack(words)
        return _RAISES.get(code, NotDone)(words) if isinstance(code, int) else NotDone(words)
