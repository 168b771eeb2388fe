"""How soon a keeper takes a real server out and in again, and what it costs."""

from collections.abc import Callable
from random import random
from time import monotonic, sleep

from benchmarks.guest.keepers import INTERVAL, KEEPERS, cpu_s, keeping
from benchmarks.guest.servers import PORT, Server, serving
from benchmarks.outcome import BenchmarkError
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Virtual

LOOK = 0.01  # seconds between two looks at the kernel's table
WITHIN = 60.0
QUIET = 15.0  # seconds over which CPU time is taken

Figures = dict[str, list[float]]


def measure(rounds: str, replayd: str) -> dict[str, Figures]:
    """Of each keeper: seconds to take out a killed server and a hung one, to take one back; CPU seconds a minute."""
    return {name: _of(name, int(rounds), replayd) for name in KEEPERS}


def _of(name: str, rounds: int, replayd: str) -> Figures:
    figures: Figures = {"killed": [], "hung": [], "back": [], "cpu": []}
    with serving(replayd) as servers, Kernel() as kernel:
        kernel.flush()
        with keeping(name) as pid:
            _wait(kernel, [(one, monotonic()) for one in servers], there=True)
            sleep(2 * INTERVAL)
            before, begin = cpu_s(pid), monotonic()
            sleep(QUIET)
            figures["cpu"].append((cpu_s(pid) - before) / (monotonic() - begin) * 60)
            for _ in range(rounds):
                _kill(kernel, servers[::2], figures)
            *others, hanging = servers
            _wait(kernel, [(hanging, _done(hanging.hang))], there=False)
            for number in range(max(1, rounds - 1)):  # the dearest
                _hang(kernel, others[number % len(others)], figures)
        kernel.flush()
    return figures


def _kill(kernel: Kernel, servers: list[Server], figures: Figures) -> None:
    """One of each VIP: four figures for the time of one."""
    sleep(random() * INTERVAL)  # noqa: S311
    figures["killed"] += _wait(kernel, [(one, _done(one.die)) for one in servers], there=False)
    figures["back"] += _wait(kernel, [(one, _done(one.rise)) for one in servers], there=True)


def _hang(kernel: Kernel, server: Server, figures: Figures) -> None:
    sleep(random() * INTERVAL)  # noqa: S311
    figures["hung"] += _wait(kernel, [(server, _done(server.hang))], there=False)
    _wait(kernel, [(server, _done(server.go_on))], there=True)


def _done(what: Callable[[], None]) -> float:
    what()
    return monotonic()


def _wait(kernel: Kernel, since: list[tuple[Server, float]], *, there: bool) -> list[float]:
    """Seconds, from the moment that is given with it, until each gets connections, or no more."""
    deadline, took = monotonic() + WITHIN, dict[str, float]()
    while monotonic() < deadline:
        table, now = kernel.services(), monotonic()
        for one, begin in since:
            seen = table.get(Virtual(one.vip, PORT))
            to = seen.destinations.get((one.address, PORT)) if seen else None
            if there is (to is not None and to.destination.weight > 0):
                took.setdefault(one.address, now - begin)
        if len(took) == len(since):
            return list(took.values())
        sleep(LOOK)
    raise BenchmarkError(f"after {WITHIN:g} s, {'in' if there else 'out'} are only: {', '.join(took)}")
