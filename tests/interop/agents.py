"""An agent as a process of its own, with an engine that writes down what it is asked (`agent_process`)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unit.site_text import site, vip

from lbkit.errors import LbkitError
from lbkit.state.agent import Agent, AgentState

PATIENCE = 15.0  # seconds; the machine may be busy
FAST = {"kind": "connect", "interval": "200ms", "timeout": "500ms", "rise": 2, "fall": 3}


def eventually(found: Callable[[], Any], within: float = PATIENCE) -> Any:
    """What `found` returns once it is true; the longer it takes, the less often it is asked, for others run meanwhile."""
    begun = time.monotonic()
    while not (value := found()):
        waited = time.monotonic() - begun
        assert waited < within, "it does not come about"
        time.sleep(min(0.01 + waited / 20, 0.1))
    return value


class AgentProcess:
    """It keeps all its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "agent.sock"
        self.site = folder / "site.toml"
        self.state_folder = folder / "state"
        self.record = folder / "record"
        self.log_file = folder / "log"
        self.client = Agent(str(self.socket), timeout=10)

    def write(self, *vips: dict[str, Any], **settings: Any) -> None:
        """The site file."""
        self.site.write_text(site(*vips, agent={"socket": str(self.socket), **settings}))

    @property
    def command(self) -> list[str]:
        program = str(Path(__file__).with_name("agent_process.py"))
        return [sys.executable, program, str(self.site), str(self.state_folder), str(self.record)]

    def start(self, *flags: str, **environment: str) -> None:
        """It runs from now on; it may not answer yet."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *flags],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What its engine was asked so far."""
        return [json.loads(line) for line in self.record.read_text().splitlines()] if self.record.exists() else []

    def answer(self) -> AgentState | None:
        """Its state, None while it does not answer."""
        try:
            return self.client.state()
        except LbkitError:
            return None

    def health(self, place: str) -> str | None:
        """As it tells it."""
        state = self.answer()
        label, _, name = place.partition("/")
        return state.vips[label].servers[name].health if state and label in state.vips else None

    def carried(self, place: str, health: str, since: float = 0.0) -> float | None:
        """When its engine was first asked, after `since`, to have a real server so."""
        for call in self.calls:
            if call["what"] == "reconcile" and call["at"] >= since and call["health"].get(place) == health:
                return float(call["at"])
        return None


@contextmanager
def running(agent: AgentProcess, *flags: str) -> Iterator[None]:
    """It answers, and is ended with the block."""
    agent.start(*flags)
    try:
        eventually(lambda: agent.process.poll() is not None or agent.answer())
        assert agent.process.poll() is None, agent.log
        yield
    finally:
        if agent.process.poll() is None:
            agent.process.kill()
        agent.process.wait(PATIENCE)


@contextmanager
def agent_process(
    folder: Path, *vips: dict[str, Any], flags: tuple[str, ...] = (), **settings: Any
) -> Iterator[AgentProcess]:
    """One with these VIPs, running."""
    agent = AgentProcess(folder)
    agent.write(*vips, **settings)
    with running(agent, *flags):
        yield agent


def up_at(agent: AgentProcess, *places: str) -> None:
    """Wait until it says that all these are up."""
    eventually(lambda: all(agent.health(place) == "up" for place in places))


def l4(label: str, address: str, *servers: dict[str, Any], check: Any = None, **more: Any) -> dict[str, Any]:
    """A layer-4 VIP."""
    return vip(label, address, *servers, check=check or FAST, mode="l4-dr", **more)


def closed_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
