"""`lbkit check site` on the simulated CCW site: 15 VIPs, 51 checks."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks import commands
from benchmarks.measure import plain_medians, take_turns, wall_ms
from benchmarks.outcome import BenchmarkError, Measured, at_most
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes

ENDS_WITHIN = 10  # seconds


@contextmanager
def simulated() -> Iterator[str]:
    """The path of the demo's site file, while the demo runs in a process of its own."""
    command = [commands.installed("lbkit"), "demo", "--stay", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            told = ""
            for line in demo.stdout:
                told += line
                if line.rstrip() == "}":
                    break
            if not told:
                raise BenchmarkError(f"lbkit demo did not start: {demo.communicate(timeout=ENDS_WITHIN)[1].strip()}")
            yield json.loads(told)["site"]
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.communicate(timeout=ENDS_WITHIN)


@benchmark("site/demo", goal=at_most(1500, "ms"), baseline="none", rounds=20, quick=4)
def whole_site(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The whole process of `lbkit check site` on the simulated CCW site: 15 VIPs, 51 checks, four of them not testable
    here, client certificates and DICOM servers of pynetdicom among them.
    """
    with simulated() as site:
        check = wall_ms([commands.installed("lbkit"), "check", "site", "--site", site], says=b"CCW_NOTIFICATION")
        costs = take_turns(rounds, {"lbkit check site": check, "bare": wall_ms(commands.bare_python())})
    return Measured(median(costs["lbkit check site"]), rounds, plain_medians(costs, "ms"))
