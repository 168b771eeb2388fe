"""HAProxy takes what is on its disk, and where that does not hold, what was there before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lbkit.haproxy import guarded, process
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.program import Program
from lbkit.state.intents import Intent


class Activation:
    """Of one installation; called once the files are written, and once more when they have been put back.

    `intents`: by VIP and real server. `tell`: is told what begins. Calling it raises EngineError and CannotRun.
    """

    def __init__(
        self,
        haproxy: Haproxy,
        program: Program,
        intents: Mapping[tuple[str, str], Intent],
        tell: Callable[[str], None],
    ) -> None:
        self._haproxy = haproxy
        self._program = program
        self._intents = intents
        self._tell = tell
        self._begun = False
        self._before = guarded.before(haproxy) if process.is_running(haproxy) else None
        self.was_running = self._before is not None
        self.done = ""

    def __call__(self) -> None:
        """Start it, reload it or, where nothing was there before, stop it; `done` says what was done, in words."""
        haproxy, again, self._begun = self._haproxy, self._begun, True
        if not process.is_running(haproxy):
            if haproxy.configuration.exists():
                self._tell("starting HAProxy")
                self.done = f"HAProxy started {process.start(haproxy, self._program)}"
                guarded.apply_intents(haproxy, self._intents)
        elif not haproxy.configuration.exists():
            process.stop(haproxy)
        elif not again or self._before is None:
            self._tell("reloading HAProxy")
            self.done = f"HAProxy reloaded: worker {guarded.reload(haproxy, self._intents)}"
        elif haproxy.master.current() != self._before.worker:  # else it has refused, and goes on with what it had
            guarded.reload_back(haproxy, self._before)
            guarded.apply_intents(haproxy, self._intents)
