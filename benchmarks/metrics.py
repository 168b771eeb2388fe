"""The agent's page of metrics, for many real servers: how long it takes, and what it does to the agent's loop."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from benchmarks.agent import A_VIP, INTERVAL, UP_WITHIN, on_core
from benchmarks.agent_process import AgentProcess, observing
from benchmarks.outcome import BenchmarkError, Measured, at_most, reported
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes
from benchmarks.scale import addresses

SERVERS = 1000
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
BETWEEN = 0.2  # seconds from one page to the next; Prometheus asks every 15 s
A_MINUTE = 60.0  # of which the agent says its lag


@contextmanager
def watching_many() -> Iterator[AgentProcess]:
    """An agent with its real servers up, on a core of its own."""
    first, *_, last = sorted(os.sched_getaffinity(0))
    if first == last:
        raise BenchmarkError("the agent and whoever asks it need a core each")
    with Remotes() as own, on_core(last):
        port, every = own.port("replayd"), addresses(SERVERS)
        vips = [(port, every[at : at + A_VIP]) for at in range(0, SERVERS, A_VIP)]
        check = f'interval = "{INTERVAL:g}s", timeout = "{INTERVAL:g}s"'
        with observing(vips, check, '[metrics]\nsocket = "metrics.sock"\n') as agent:
            agent.pin(first)
            sleep(INTERVAL)  # asking it again and again makes it late
            agent.has_all("up", UP_WITHIN)
            yield agent


def asked(path: Path) -> tuple[float, bytes]:
    """How long a whole page took, in ms from the connection to its last byte, and the page."""
    begun, parts = perf_counter(), []
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(10)
        asking.connect(str(path))
        asking.sendall(GET)
        while part := asking.recv(1 << 20):
            parts.append(part)
    took = (perf_counter() - begun) * 1000
    page = b"".join(parts)
    if page.count(b"lbkit_server_health{") != 3 * SERVERS or page.count(b"lbkit_check_up{") != SERVERS:
        raise BenchmarkError("a page has not all real servers")
    return took, page


@benchmark("metrics/answer", goal=at_most(50, "ms"), baseline="none", rounds=60, quick=10)
def answer(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """`lbkit agent --observe`, while it checks 1,000 real servers by C-ECHO every 5 s, asked for `GET /metrics`: from the
    connection to the last byte, the longest of n.
    """
    with watching_many() as agent:
        took = []
        for _ in range(rounds):
            sleep(BETWEEN)
            ms, page = asked(agent.folder / "metrics.sock")
            took.append(ms)
    lines, size = page.count(b"\n"), len(page) / 1e6
    return Measured(max(took), rounds, f"median {median(took):.3g} ms, {lines} lines, {size:.3g} MB")


@benchmark("metrics/lag", goal=reported("ms more"), baseline="nobody asks", rounds=1, quick=1)
def lag(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """How much later the agent's loop is, at the 99th percentile of a minute, when such a page is asked for every 0.2 s."""
    with watching_many() as agent:
        sleep(A_MINUTE)
        before = agent.state().lag * 1000
        until = perf_counter() + A_MINUTE
        while perf_counter() < until:
            asked(agent.folder / "metrics.sock")
            sleep(BETWEEN)
        after = agent.state().lag * 1000
    return Measured(after - before, rounds, f"nobody asks {before:.3g} ms, every {BETWEEN:g} s {after:.3g} ms")
