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
from lbkit.pair.lines import Lines
from lbkit.site.model import Node, Site

VERSION = 1
LIMIT = 64 << 20  # bytes of a line: a site with all its certificates is far smaller
_CONNECTS_WITHIN = 3  # seconds, of ssh
_ENDS_WITHIN = 1.0
_WORDS = 4000  # bytes of what ssh says
_LONGEST = 1 << 16  # characters of what the other node refuses with
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
        self._key = site.pair.ssh.key_file if site.pair and not command else None
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = Lines()
        self._said = b""  # by ssh, of late

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
            answer = self._answer(line, within)
        except BaseException:
            self.close()  # a late answer must not be taken for that of the next question
            raise
        if answer.get("ok") is True:
            return answer
        raise self._refusal(answer)

    def close(self) -> None:
        """Hang up."""
        process, self._process, self._lines, self._said = self._process, None, Lines(), b""
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

    def _answer(self, line: bytes, within: float) -> dict[str, Any]:
        deadline = time.monotonic() + within
        process = self._connected()
        out, back, err = (pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr) if pipe)
        waiting = select.poll()  # an agent has more files open than select() could tell apart
        waiting.register(out, select.POLLOUT)
        waiting.register(back, select.POLLIN)
        waiting.register(err, select.POLLIN)
        left = memoryview(line)
        while True:
            if (found := self._lines.take()) is not None:
                return self._read(found)
            ready = dict(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))
            if not ready or time.monotonic() > deadline:
                raise self._silent(within)
            if out in ready:
                left = left[self._write(out, left) :]
                if not left:
                    waiting.unregister(out)
            if err in ready and not self._hear(err):
                waiting.unregister(err)
            if back in ready:
                part = os.read(back, 1 << 16)
                if not part:
                    raise self._lost()
                self._lines.feed(part)
                if len(self._lines) > LIMIT:
                    raise EngineError(f"node {self.peer.name} answers without end. Is its lbkit of this version?")

    def _write(self, out: int, left: memoryview) -> int:
        try:
            return os.write(out, left[: 1 << 16])
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            raise self._lost() from None

    def _hear(self, err: int) -> bool:
        """What ssh, or lbkit there, writes beside the answers; whether there may come more. Else a full pipe stops them."""
        try:
            part = os.read(err, 1 << 16)
        except BlockingIOError:
            return True
        self._said = (self._said + part)[-_WORDS:]
        return bool(part)

    def _connected(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it has ended since the last question
        if self._process is None:
            self._demand_key()
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
            except OSError as e:
                raise CannotRun(f"{self._command[0]} can't be run: {e.strerror}. Install openssh-client.") from None
            for pipe in (self._process.stdin, self._process.stderr):
                os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
        return self._process

    def _demand_key(self) -> None:
        """ssh would say that the other node does not let this one in."""
        key = self._key
        if key and os.path.exists(key) and not os.access(key, os.R_OK, effective_ids=True):
            raise NotAllowed(
                f"node {self.peer.name} can't be asked by this user: {key} is root's and the agent's. Do it as root."
            )

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise EngineError(
                f"node {self.peer.name} answers {printable(line[:80].decode(errors='replace'))!r}, and that is not lbkit. "
                "What does its authorized_keys run? lbkit pair setup writes that line."
            )
        return answer

    def _silent(self, within: float) -> NotAnswering:
        return NotAnswering(
            f"node {self.peer.name} ({self.peer.address}) has not answered in {within:g} s. Is it well? "
            f"ssh to it, then: lbkit pair status"
        )

    def _lost(self) -> EngineError:
        """ssh ended: why, in its own words."""
        process = self._process
        assert process is not None and process.stderr is not None  # noqa: S101, PT018
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN)
        for _ in range(4):  # pieces
            if not self._hear(process.stderr.fileno()):
                break
        said = self._said.decode(errors="replace")
        where = f"node {self.peer.name} ({self.peer.address})"
        meet = "have the nodes meet: lbkit pair setup"
        if "IDENTIFICATION HAS CHANGED" in said:
            return NotAllowed(
                f"{where} has another host key than when the nodes met. Find out who answers there; "
                f"if it was installed anew, {meet}"
            )
        if "host key is known for" in said:
            return NotAllowed(f"{where} has a host key that this node does not know: {meet}")
        words = printable(said.strip().rpartition("\n")[2].strip()).removesuffix(".")
        if "Permission denied" in said or "Bad permissions" in said or "Host key verification failed" in said:
            return NotAllowed(f"{where} and this node do not know each other ({words}): {meet}")
        if words:
            return NotRunning(f"{where} can't be reached over ssh: {words}.")
        return NotRunning(f"{where} hung up before it answered. Is lbkit installed there?")

    def _refusal(self, answer: dict[str, Any]) -> LbkitError:
        error, code = str(answer.get("error") or "it does not say why")[:_LONGEST], answer.get("code")
        words = "\n".join(map(printable, f"node {self.peer.name}: {error}".split("\n")))
        if code == RolledBack.exit_code and answer.get("rolled_back") is True:
            return RolledBack(words)
        return _RAISES.get(code, NotDone)(words) if isinstance(code, int) else NotDone(words)
