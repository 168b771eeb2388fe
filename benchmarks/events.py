"""A burst of events: what it does to the agent's checks, and whether all of them arrive."""

import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Thread
from time import monotonic, sleep
from typing import NamedTuple

from benchmarks.agent import A_VIP, INTERVAL, UP_WITHIN, on_core
from benchmarks.agent_process import AgentProcess, observing
from benchmarks.outcome import BenchmarkError, Measured, at_most
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes
from benchmarks.scale import addresses
from lbkit.state.events import Event
from lbkit.state.log import record

SERVERS = 1000
EVENTS = 10_000
A_MINUTE = 60.0  # of which the agent says its lag
WITHIN = 120.0  # seconds until all have arrived
TABLES = """
[metrics]
socket = "metrics.sock"
[alerts]
sender = "lb@hospital.example"
to = ["alerts@hospital.example"]
smart_host = "127.0.0.1"
smart_host_port = 9
[alerts.receivers.webhook]
url = "http://127.0.0.1:{port}/"
secret_file = "{secret}"
"""


class Burst(NamedTuple):
    """Lag in ms before and after it, MB of memory, events that came, and how many came twice, in how many seconds."""

    before: float
    after: float
    grown_mb: float
    arrived: int
    twice: int
    seconds: float


class Sink(ThreadingHTTPServer):
    """Counts what it is sent, by the ident of the event."""

    daemon_threads = True

    def __init__(self) -> None:
        self.idents: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), _Taking)


class _Taking(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["X-Lbkit-Event"] == "intent-set":
            self.server.idents[self.headers["X-Lbkit-Delivery"]] += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *given: object) -> None:
        """Nothing."""


@contextmanager
def telling(sink: Sink) -> Iterator[AgentProcess]:
    """An agent with its real servers up, on a core of its own, that tells the sink of every event."""
    first, *_, last = sorted(os.sched_getaffinity(0))
    if first == last:
        raise BenchmarkError("the agent and all else need a core each")
    with Remotes() as own, on_core(last), NamedTemporaryFile("w") as secret:
        print("a key", file=secret, flush=True)
        port, every = own.port("replayd"), addresses(SERVERS)
        vips = [(port, every[at : at + A_VIP]) for at in range(0, SERVERS, A_VIP)]
        check = f'busy = "up", interval = "{INTERVAL:g}s", timeout = "{INTERVAL:g}s"'
        with observing(vips, check, TABLES.format(port=sink.server_port, secret=secret.name), telling=True) as agent:
            agent.pin(first)
            until = monotonic() + UP_WITHIN
            while _up(agent.folder / "metrics.sock") < SERVERS:
                if monotonic() > until:
                    raise BenchmarkError(f"after {UP_WITHIN:g} s not all real servers are up")
                sleep(1)
            yield agent


def _up(path: Path) -> int:
    """How many real servers the agent finds up, by its page of metrics."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(10)
        try:
            asking.connect(str(path))
        except OSError:  # not yet
            return 0
        asking.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with asking.makefile("rb") as page:
            return sum(line.startswith(b"lbkit_check_up{") and line.endswith(b" 1\n") for line in page)


@cache
def burst() -> Burst:
    """10,000 events that another process records one by one, as fast as it can."""
    sink = Sink()
    Thread(target=sink.serve_forever, daemon=True).start()
    try:
        with telling(sink) as agent:
            sleep(A_MINUTE)
            before, memory = agent.state().lag * 1000, agent.resident_mb
            begun = monotonic()
            state = Path(agent.folder, "state")
            for number in range(EVENTS):
                record(Event("intent-set", f"number {number} of a burst", vip="VIP_0", server="S_0"), state=state)
            while len(sink.idents) < EVENTS and monotonic() - begun < WITHIN:
                sleep(0.1)
            took = monotonic() - begun
            after = agent.state().lag * 1000
            grown = agent.resident_mb - memory
    finally:
        sink.shutdown()
        sink.server_close()
    twice = sum(count - 1 for count in sink.idents.values())
    return Burst(before, after, grown, len(sink.idents), twice, took)


def in_words(found: Burst) -> str:
    """All of it."""
    lag = f"lag {found.before:.3g} ms before, {found.after:.3g} ms after"
    came = f"{found.arrived} came within {found.seconds:.3g} s, {found.twice} twice"
    return f"{lag}; {found.grown_mb:.3g} MB more; {came}"


@benchmark("events/lag", goal=at_most(50, "ms more"), baseline="no events", rounds=1, quick=1)
def lag(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """How much later the agent's loop is, at the 99th percentile of the last minute, when another process records 10,000
    events at once, and the agent sends each by HTTP, while it checks 1,000 real servers by C-ECHO every 5 s.
    """
    found = burst()
    return Measured(found.after - found.before, 1, in_words(found))


@benchmark("events/memory", goal=at_most(50, "MB more"), baseline="no events", rounds=1, quick=1)
def memory(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """How much more memory the agent has after it."""
    found = burst()
    return Measured(found.grown_mb, 1, in_words(found))


@benchmark("events/lost", goal=at_most(0, "events"), baseline="none", rounds=1, quick=1)
def lost(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """Of the same, those that did not come, or twice."""
    found = burst()
    return Measured(EVENTS - found.arrived + found.twice, 1, in_words(found))
