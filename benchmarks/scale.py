"""Thousands of targets from one process: CPU, memory, and the end of a sweep over targets that stay silent."""

import json
import subprocess
from ipaddress import IPv4Address
from statistics import median

from benchmarks.clients import Job, Report, run_client
from benchmarks.measure import Contender, ratio
from benchmarks.outcome import BenchmarkError, Measured, at_least, at_most
from benchmarks.pdus import ASSOCIATE_RQ, ECHO_RQ
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes

CHECKS = 4_000  # in one turn of a client
CHECKS_OF_PYNETDICOM = 1_000  # its turns are long
FIRST, PER_BLOCK, BLOCK = IPv4Address("127.0.0.1"), 250, 256  # replayc counts its targets in the same way

WARM_UP = 50

SWEEP_TIMEOUT_S = 2.0
SWEEP = ("replayd",) * 7 + ("silent",) * 2 + ("refused",)  # one target of each, in turn
SWEEP_OUTCOMES = {"up": 700, "timed-out": 200, "refused": 100}


def addresses(count: int) -> list[str]:
    """This many loopback addresses."""
    return [str(FIRST + number // PER_BLOCK * BLOCK + number % PER_BLOCK) for number in range(count)]


def job(remotes: Remotes, count: int, at_once: int) -> Job:
    """Checks of this many replayd targets."""
    targets = [f"{address}:{remotes.port('replayd')}" for address in addresses(count)]
    return Job(targets, at_once, warm_up=targets[:WARM_UP])


def cpu_us(client: str, job: Job) -> Contender:
    """CPU time of the client process for each check, in µs; every target must be up."""

    def run() -> float:
        report = run_client(client, job)
        expect(report, {"up": len(job.targets)})
        return report.cpu_s / len(job.targets) * 1e6

    return run


def cpu_us_in_c(remotes: Remotes, at_once: int) -> Contender:
    """The same for replayc."""
    pdus = [ASSOCIATE_RQ.hex(), ECHO_RQ.hex()]
    command = [remotes.replayc(), str(remotes.port("replayd")), str(CHECKS), str(at_once), *pdus]

    def run() -> float:
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode != 0:
            raise BenchmarkError(f"replayc died: {ended.stderr.strip()}")
        report = json.loads(ended.stdout)
        if report["up"] != CHECKS:
            raise BenchmarkError(f"replayc found {report['up']} of {CHECKS} targets up")
        return float(report["cpu_s"]) / CHECKS * 1e6

    return run


def expect(report: Report, outcomes: dict[str, int]) -> None:
    """A report counts only when every check said what it should."""
    if report.outcomes != outcomes:
        raise BenchmarkError(f"expected {outcomes}, got {report.outcomes}")


def lbkit(remotes: Remotes, at_once: str) -> tuple[str, Contender]:
    """One side of all comparisons here."""
    return "lbkit", cpu_us("lbkit", job(remotes, CHECKS, int(at_once)))


@benchmark(
    "scale/c", over=("100", "1000"),
    goal=at_most(1.6, "times"), baseline="the C client replayc", rounds=15, quick=3,
)  # fmt: skip
def against_c(remotes: Remotes, at_once: str, rounds: int) -> Measured:
    """CPU time of the client process for each check, 100 and 1,000 at once, every target at an address of its own,
    against `replayc`, a client in C that replays bytes: the physical limit.
    """
    return ratio(
        rounds, over=lbkit(remotes, at_once), under=("C", cpu_us_in_c(remotes, int(at_once))), unit="µs", warm_up=False
    )


@benchmark(
    "scale/asyncio", over=("100", "1000"),
    goal=at_most(0.45, "times"), baseline="a plain asyncio.Protocol", rounds=9, quick=2,
)  # fmt: skip
def against_asyncio(remotes: Remotes, at_once: str, rounds: int) -> Measured:
    """The same against an `asyncio.Protocol` that replays the same bytes."""
    asyncio = cpu_us("asyncio", job(remotes, CHECKS, int(at_once)))
    return ratio(rounds, over=lbkit(remotes, at_once), under=("asyncio", asyncio), unit="µs", warm_up=False)


@benchmark(
    "scale/pynetdicom", over=("100", "1000"),
    goal=at_least(35, "times less"), baseline="pynetdicom's AE.associate", rounds=3, quick=1,
)  # fmt: skip
def against_pynetdicom(remotes: Remotes, at_once: str, rounds: int) -> Measured:
    """The same against `AE.associate` in as many threads; its side has 1,000 checks in each turn, lbkit's 4,000."""
    pynetdicom = cpu_us("pynetdicom", job(remotes, CHECKS_OF_PYNETDICOM, int(at_once)))
    return ratio(rounds, over=("pynetdicom", pynetdicom), under=lbkit(remotes, at_once), unit="µs", warm_up=False)


@benchmark("memory", goal=at_most(150, "MB"), baseline="none", rounds=5, quick=1)
def memory(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The peak of the resident memory of a process that checks 10,000 targets in one call, 1,000 at once."""

    def peak_mb() -> float:
        report = run_client("lbkit", job(remotes, 10_000, at_once=1_000))
        expect(report, {"up": 10_000})
        return report.peak_mb

    peaks = [peak_mb() for _ in range(rounds)]
    return Measured(median(peaks), rounds, f"highest {max(peaks):.4g} MB")


@benchmark("sweep", goal=at_most(SWEEP_TIMEOUT_S + 0.15, "s"), baseline="the time-out of 2 s", rounds=7, quick=1)
def sweep(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The time of one call over 1,000 targets with a time-out of 2 s: 70 % are up, 20 % stay silent, 10 % refuse."""
    count = sum(SWEEP_OUTCOMES.values())
    ports = [remotes.port(name) for name in SWEEP]
    mixed = [f"{address}:{ports[number % len(ports)]}" for number, address in enumerate(addresses(count))]
    work = Job(mixed, at_once=count, timeout_s=SWEEP_TIMEOUT_S, warm_up=job(remotes, WARM_UP, WARM_UP).targets)

    def wall_s() -> float:
        report = run_client("lbkit", work)
        expect(report, SWEEP_OUTCOMES)
        return report.wall_s

    walls = [wall_s() for _ in range(rounds)]
    return Measured(median(walls), rounds, f"lbkit {median(walls):.4g} s, longest {max(walls):.4g} s")
