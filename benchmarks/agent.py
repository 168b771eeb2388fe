"""`lbkit agent` with many real servers: what it costs, how late its loop is, and how soon it notices a death."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from random import random
from statistics import median
from subprocess import PIPE, Popen
from time import monotonic, sleep
from typing import NamedTuple

from benchmarks.agent_process import observing
from benchmarks.outcome import BenchmarkError, Measured, at_most, reported
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes
from benchmarks.remotes.programs import compiled
from benchmarks.scale import addresses

INTERVAL = 5.0  # seconds between two checks of a real server
A_VIP = 100  # real servers
UP_WITHIN = 60.0
GROWTH = ("100", "1000", "3000", "10000")


class Cost(NamedTuple):
    """Of an agent that is warm: share of a core, lag at the 99th percentile, resident memory."""

    percent: float
    lag_ms: float
    resident_mb: float


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started meanwhile stays on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@cache
def cost(remotes: Remotes, servers: int, rounds: int) -> Cost:
    """Over `rounds` intervals, after one to warm up; the agent and its remote each on a core of its own."""
    first, *_, last = sorted(os.sched_getaffinity(0))
    if first == last:
        raise BenchmarkError("the agent and its remote need a core each")
    with Remotes() as own:
        with on_core(last):
            port = own.port("replayd")
        every = addresses(servers)
        vips = [(port, every[at : at + A_VIP]) for at in range(0, servers, A_VIP)]
        with on_core(first), observing(vips, f'interval = "{INTERVAL:g}s", timeout = "{INTERVAL:g}s"') as agent:
            sleep(INTERVAL + 2 * INTERVAL * servers / 10_000)  # asking it again and again would be what is measured
            agent.has_all("up", UP_WITHIN)
            before, begin = agent.cpu_s, monotonic()
            sleep(rounds * INTERVAL)
            percent = (agent.cpu_s - before) / (monotonic() - begin) * 100
            resident = agent.resident_mb
            return Cost(percent, agent.has_all("up", 1.0).lag * 1000, resident)


def in_words(found: Cost) -> str:
    """All of it."""
    return f"{found.percent:.3g} % of a core, lag {found.lag_ms:.3g} ms, {found.resident_mb:.3g} MB"


@benchmark("agent/cpu", over=("1000",), goal=at_most(25, "%"), baseline="none", rounds=3, quick=2)
def cpu(remotes: Remotes, servers: str, rounds: int) -> Measured:
    """The share of a core that `lbkit agent --observe` takes to check this many real servers by C-ECHO every 5 s; n
    intervals. Each has an address of its own, and replayd, which answers for all, is on the other core.
    """
    found = cost(remotes, int(servers), rounds)
    return Measured(found.percent, rounds, in_words(found))


@benchmark("agent/lag", over=("10000",), goal=reported("ms"), baseline="none", rounds=3, quick=2)
@benchmark("agent/lag", over=("1000",), goal=at_most(100, "ms"), baseline="none", rounds=3, quick=2)
def lag(remotes: Remotes, servers: str, rounds: int) -> Measured:
    """How late the agent's event loop is, at the 99th percentile of the last minute, its start included."""
    found = cost(remotes, int(servers), rounds)
    return Measured(found.lag_ms, rounds, in_words(found))


@benchmark("agent/memory", over=("10000",), goal=reported("MB"), baseline="none", rounds=3, quick=2)
@benchmark("agent/memory", over=("1000",), goal=at_most(100, "MB"), baseline="none", rounds=3, quick=2)
def memory(remotes: Remotes, servers: str, rounds: int) -> Measured:
    """The agent's resident memory at the end of that."""
    found = cost(remotes, int(servers), rounds)
    return Measured(found.resident_mb, rounds, in_words(found))


@benchmark("agent/growth", goal=reported("times"), baseline="1,000 real servers", rounds=3, quick=2)
def growth(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The CPU time of the agent for each check with 10,000 real servers, against that with 1,000. Few checks at once cost
    more each, because the loop wakes up for each of them.
    """
    taken = {servers: cost(remotes, int(servers), rounds) for servers in GROWTH}
    each = {servers: found.percent * INTERVAL * 1e4 / int(servers) for servers, found in taken.items()}
    behind = ", ".join(f"{servers}: {each[servers]:.3g} µs ({in_words(found)})" for servers, found in taken.items())
    return Measured(each["10000"] / each["1000"], rounds, behind)


# --- the promise ---

EVERY, TIMEOUT, FALL, JITTER = 0.5, 0.4, 2, 0.05  # seconds, seconds, checks, seconds
DYING = 12  # real servers in one round
DEATHS = {"killed": (signal.SIGKILL, FALL * EVERY + JITTER), "hung": (signal.SIGSTOP, FALL * EVERY + TIMEOUT + JITTER)}


@benchmark("agent/bound", over=tuple(DEATHS), goal=at_most(50, "ms"), baseline="the promise", rounds=2, quick=1)
def bound(remotes: Remotes, how: str, rounds: int) -> Measured:
    """From the death of a real server, at any moment, until the agent counts it as down: the most that it took beyond
    `fall` intervals, jitter, and where it hangs one time-out. The agent checks every 0.5 s; n deaths, 12 servers at a time.
    """
    number, promised = DEATHS[how]
    took = [one for _ in range(rounds) for one in deaths(compiled("replayd", remotes.folder), number)]
    beyond = [(one - promised) * 1000 for one in took]
    return Measured(max(beyond), len(took), f"median {median(took):.3g} s, promised {promised:.3g} s")


def deaths(replayd: str, number: signal.Signals) -> list[float]:
    """How long the agent took to notice each."""
    servers = [Popen([replayd], stdout=PIPE, text=True) for _ in range(DYING)]
    try:
        vips = [(int(one.stdout.readline()), ["127.0.0.1"]) for one in servers if one.stdout]
        check = f'interval = "{EVERY * 1000:g}ms", timeout = "{TIMEOUT * 1000:g}ms", fall = {FALL}, rise = 1'
        with observing(vips, check) as agent:
            agent.has_all("up", UP_WITHIN)
            died = []
            for one in servers:
                sleep(EVERY * random())  # noqa: S311
                died.append(monotonic())
                one.send_signal(number)
            state = agent.has_all("down", UP_WITHIN)
            asked = monotonic()
            turned = [asked - vip.servers["S_0"].since for vip in state.vips.values()]
            return [turn - death for turn, death in zip(turned, died, strict=True)]
    finally:
        for one in servers:
            one.kill()
            one.communicate()
