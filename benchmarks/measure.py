"""How figures are taken: contenders take turns within one run, and every round gives one ratio or one difference.

Machines are noisy: a figure alone says little, but what two contenders did one right after the other can be compared.
One turn each warms up; after that nothing is dropped.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from benchmarks.outcome import BenchmarkError, Measured

Contender = Callable[[], float]
"""Takes one turn and returns what it cost."""


def take_turns(rounds: int, contenders: Mapping[str, Contender], *, warm_up: bool = True) -> dict[str, list[float]]:
    """Let the contenders take turns; the order turns around every round, so that nobody always goes first."""
    order = list(contenders)
    if warm_up:
        for name in order:
            contenders[name]()
    costs: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        for name in order:
            costs[name].append(contenders[name]())
        order.reverse()
    return costs


def ratio(
    rounds: int, over: tuple[str, Contender], under: tuple[str, Contender], unit: str = "ms", *, warm_up: bool = True
) -> Measured:
    """How many times the cost of `under` is the cost of `over`: the median over the rounds."""
    costs = take_turns(rounds, dict([over, under]), warm_up=warm_up)
    pairs = zip(costs[over[0]], costs[under[0]], strict=True)
    return Measured(median(a / b for a, b in pairs), rounds, plain_medians(costs, unit))


def difference(rounds: int, of: tuple[str, Contender], above: tuple[str, Contender]) -> Measured:
    """How much more ms `of` costs than `above`: the median over the rounds."""
    costs = take_turns(rounds, dict([of, above]))
    pairs = zip(costs[of[0]], costs[above[0]], strict=True)
    return Measured(median(a - b for a, b in pairs), rounds, plain_medians(costs, "ms"))


def plain_medians(costs: Mapping[str, Sequence[float]], unit: str) -> str:
    """The cost of each contender, in words."""
    return ", ".join(f"{name} {median(values):.4g} {unit}" for name, values in costs.items())


def wall_ms(command: Sequence[str], *, says: bytes = b"") -> Contender:
    """The wall time of a whole process, in ms, from its start to its end; it must exit with 0 and print `says`."""
    stdout = subprocess.PIPE if says else subprocess.DEVNULL

    def run() -> float:
        start = perf_counter()
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, close_fds=False
        )
        took = perf_counter() - start
        if ended.returncode != 0 or says not in (ended.stdout or b""):
            line = " ".join([Path(command[0]).name, *command[1:]])
            raise BenchmarkError(f"`{line}` exited with {ended.returncode} and printed {ended.stdout!r}")
        return took * 1000

    return run


def call_ms(call: Callable[[], bool], pause: float = 0.005) -> Contender:
    """The wall time of one call, in ms; it must return True.

    The pause before it lets a remote that serves one association at a time finish with the turn before.
    """

    def run() -> float:
        sleep(pause)
        start = perf_counter()
        up = call()
        took = perf_counter() - start
        if not up:
            raise BenchmarkError("a call that should have found the remote up did not")
        return took * 1000

    return run
