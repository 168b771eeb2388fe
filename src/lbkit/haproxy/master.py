"""HAProxy's master process (management guide, 9.4): its workers, those of before a reload among them, and the reload."""

from __future__ import annotations

import re
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Literal

from lbkit.checks.conversation import printable
from lbkit.errors import EngineError, NotRunning
from lbkit.haproxy.channel import Channel
from lbkit.haproxy.replies import seconds, unreadable
from lbkit.haproxy.requests import Requests
from lbkit.haproxy.runtime import Runtime

_LINE = re.compile(r"(\d{1,10})\s+(master|worker)\s+(\d{1,10})(?: \[failed: (\d{1,10})\])?\s+(\S+)\s+(\S+)\s*")
_POLL = 0.02  # seconds
_LETS_GO, _ASKED = 2.0, 0.3  # seconds for a worker of before to listen no more, and to answer whether it does


@dataclass(frozen=True, slots=True)
class Process:
    """A line of `show proc`. `old`: a worker of before a reload, which lives until its last session has ended.

    `reloads`: of a worker, how many there were since it began; `failed`: of the master, how many failed since the last that
    did not.
    """

    pid: int
    kind: Literal["master", "worker"]
    old: bool
    reloads: int
    failed: int
    uptime: float
    version: str


class Master:
    """The master, at the path or host:port of its `-S`; `timeout`: seconds of silence."""

    def __init__(self, address: str, timeout: float = 5.0) -> None:
        self._address = address
        self._timeout = timeout
        self._requests = Requests(Channel(address, timeout, master=True))

    def processes(self) -> list[Process]:
        """The master, the current worker, and the old workers."""
        return processes(self._requests.ask("show proc"))

    def current(self) -> int | None:
        """The pid of the worker that serves; None: there is none."""
        return self._state().current

    def worker(self, pid: int | None = None) -> Runtime:
        """One worker, all of the runtime API; None: the current one, whichever that is at each request.

        An old worker knows its sessions and statistics, and takes the end of sessions; its tables are empty, and of its
        servers nothing can be set.
        """
        return Runtime(self._address, self._timeout, worker="@1" if pid is None else f"@!{pid:d}")

    def reload(self, timeout: float = 30.0) -> int:
        """Load the configuration anew; gives the pid of the new worker once that alone answers. `timeout`: seconds for it.

        Raises EngineError with HAProxy's words where it refuses: the worker of before goes on then. HAProxy 2.6 has no
        words for it here: its log has.
        """
        deadline = monotonic() + timeout
        before = self._state()
        try:
            answer = self._requests.ask("reload")
        except NotRunning:  # 2.6 hangs up: the process replaces itself
            answer = ""
        if answer and not answer.startswith("Success=1"):
            raise self._refused(answer.partition("--")[2] or answer)
        while True:
            try:
                after = self._state()
                if after.master.reloads > before.master.reloads:
                    if after.master.failed:
                        raise self._refused("")
                    if after.current not in (None, before.current):
                        self.worker(after.current).ask("show version")
                        self._wait_until_it_lets_go(before.current, deadline)
                        return int(after.current or 0)
            except NotRunning:  # a moment without a socket, or a worker that is about to listen
                pass
            if monotonic() > deadline:
                raise EngineError(
                    f"the master at {self._address} has no new worker {timeout:g} s after it was told to reload. "
                    "See its log (journalctl -u haproxy); `lbkit apply` again once it is well."
                )
            sleep(_POLL)

    def _wait_until_it_lets_go(self, pid: int | None, deadline: float) -> None:
        """Both workers listen on the sockets of a configuration until the one of before has come to its signal.

        On a busy machine that is after the new one answers (measured with one of its threads held: 7 of 30 questions to the
        stats socket went to the old worker of 2.6, which knows nothing of what is new). One that hangs is not waited for.
        """
        deadline = min(deadline, monotonic() + _LETS_GO)
        while any(one.pid == pid for one in self.processes()) and monotonic() < deadline:
            try:
                if Runtime(self._address, _ASKED, worker=f"@!{pid:d}").info().get("Stopping") == "1":
                    return
            except (
                EngineError
            ):  # gone meanwhile, which a master may be silent about; or it has not come to the question
                pass
            sleep(_POLL)

    def _state(self) -> _State:
        found = self.processes()
        current = next((one.pid for one in found if one.kind == "worker" and not one.old), None)
        return _State(next(one for one in found if one.kind == "master"), current)

    def _refused(self, log: str) -> EngineError:
        lines = [printable(line.strip()) for line in log.splitlines()]
        told = " ".join(line for line in lines if line.startswith("[ALERT]")) or " ".join(filter(None, lines))
        why = told or "it does not say why to whom it asks; its log does (journalctl -u haproxy), and haproxy -c -f"
        return EngineError(
            f"the master at {self._address} refuses the new configuration: {why[:2000]} "
            "The worker of before goes on. Correct the configuration, and reload again."
        )


@dataclass(frozen=True, slots=True)
class _State:
    master: Process
    current: int | None


def processes(text: str) -> list[Process]:
    """`show proc`: the master, its workers and old workers; not its programs. Raises EngineError."""
    found: list[Process] = []
    section = ""
    for line in text.splitlines():
        if line.startswith("# "):
            section = line
        elif not line.startswith("#") and line and "programs" not in section:
            parts = _LINE.fullmatch(line)
            if parts is None:
                raise unreadable("show proc", line)
            kind: Literal["master", "worker"] = "master" if parts[2] == "master" else "worker"
            old = section.startswith("# old")
            lived = seconds(parts[5]) or 0.0
            found.append(Process(int(parts[1]), kind, old, int(parts[3]), int(parts[4] or 0), lived, parts[6]))
    if not any(one.kind == "master" for one in found):
        raise unreadable("show proc", text)
    return found
