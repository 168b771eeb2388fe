"""Pairs of balancers in namespaces, which things happen to, and the door to them."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.outcome import BenchmarkError, NotInstalledError

WITHIN = 900.0  # seconds
MISSING = 77  # exit code: this machine makes no such pair

# sessions by the thousand leave no core to another pair that is measured
TURNS = (("1s", "plain"), ("100ms",), ("1s-planned",), ("200ms-planned",))

Figures = dict[str, list[float]]
"""By what happened, each time: milliseconds, seconds, or how many."""


def figures(rounds: int) -> dict[str, Figures]:
    """Of lbkit, by the interval of adverts, and of `plain`, which runs beside it; most of the time they all wait.

    :raises NotInstalledError: this machine makes no namespaces, or has no keepalived
    """
    found = _figures(rounds)
    if isinstance(found, Exception):
        raise found
    return found


@cache
def _figures(rounds: int) -> dict[str, Figures] | Exception:
    """What failed once is not tried again for each figure."""
    found: dict[str, Figures] = {}
    for together in TURNS:
        try:
            new_ones = _run(together, rounds)
        except (BenchmarkError, NotInstalledError, subprocess.TimeoutExpired) as failed:
            return failed
        for name, new in new_ones.items():
            for what, values in new.items():
                found.setdefault(name.removesuffix("-planned"), {}).setdefault(what, []).extend(values)
    return found


def _run(names: tuple[str, ...], rounds: int) -> dict[str, Figures]:
    with TemporaryDirectory(prefix="lbkit-benchmarks-") as folder:
        begun = {
            name: subprocess.Popen(
                [sys.executable, "-m", "benchmarks.pairs", name, str(rounds), f"{folder}/{name}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for name in names
        }
        try:
            for name, process in begun.items():
                said = process.communicate(timeout=WITHIN)[0]
                if process.returncode == MISSING:
                    raise NotInstalledError(said.strip().rpartition("\n")[2])
                if process.returncode:
                    raise BenchmarkError(f"pair {name}, exit code {process.returncode}: {said[-2000:]}")
        finally:
            for process in begun.values():
                process.terminate()
                process.communicate()
        return {name: json.loads(Path(folder, name).read_text()) for name in names}
