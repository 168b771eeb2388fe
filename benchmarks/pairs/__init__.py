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

Figures = dict[str, list[float]]
"""By what happened, each time: milliseconds, seconds, or how many."""


@cache
def figures(rounds: int) -> dict[str, Figures]:
    """Of each pair, by its name; most of the time they wait, so two run at a time, and plain keepalived beside lbkit.

    :raises NotInstalledError: this machine makes no namespaces, or has no keepalived
    """
    found: dict[str, Figures] = {}
    for both in (("1s", "plain"), ("100ms",), ("200ms",)):
        found |= _run(both, rounds)
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
