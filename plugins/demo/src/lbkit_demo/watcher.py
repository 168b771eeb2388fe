"""The agent beside the simulated site, in a process of its own: python -m lbkit_demo.watcher SITE STATE.

It observes, for this machine may have no IPVS, and its user no right to write there: it checks the real servers of layer 4,
and `lbkit overview` shows what it finds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lbkit.errors import CannotRun, NotAnswering, NotRunning
from lbkit.state.agent import Agent as AgentClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOG = "agent.log"  # in the folder of state
_ANSWERS_WITHIN = 20.0  # seconds
_ENDS_WITHIN = 5.0


@contextmanager
def watcher(site_file: Path, state: Path, socket: str) -> Iterator[Callable[[], None]]:
    """It runs until the block ends; what is given waits until it answers. Raises CannotRun."""
    Path(socket).parent.mkdir(parents=True, exist_ok=True)
    state.mkdir(mode=0o770, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lbkit_demo.watcher", str(site_file), str(state)]
    with (state / LOG).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield lambda: _wait(process, AgentClient(socket), state / LOG)
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], agent: AgentClient, log: Path) -> None:
    deadline = time.monotonic() + _ANSWERS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            agent.state()
            return
        except (NotRunning, NotAnswering):
            time.sleep(0.02)
    said = log.read_text(errors="replace").strip().splitlines()
    raise CannotRun(f"the agent of the simulated site does not answer. {said[-1] if said else 'It said nothing.'}")


def main() -> None:
    """The process itself."""
    import asyncio
    import logging

    from lbkit.agent.agent import Agent, Options
    from lbkit.checks.registry import Registry
    from lbkit.ipvs.engine import Ipvs
    from lbkit.site.load import load_site

    site_file, state = sys.argv[1:]
    registry = Registry()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = Options(site_file, Path(state), observe=True)
    asyncio.run(Agent(lambda: load_site(site_file, registry.models()), registry.kind, Ipvs, options).run())


if __name__ == "__main__":
    main()
