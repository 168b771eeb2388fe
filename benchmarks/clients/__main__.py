"""The process in which one client runs."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.clients import Job, Report

CheckAll = Callable[[Job], Counter[str]]


def peak_mb() -> float:
    """The peak of this program's own resident memory; what getrusage tells has the parent's in it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> None:
    """Warm up, do the job, report."""
    check_all: CheckAll = import_module(f"benchmarks.clients.with_{sys.argv[1]}").check_all
    job = Job(**json.load(sys.stdin))
    check_all(replace(job, targets=job.warm_up))  # imports, and every path taken once
    wall, cpu = perf_counter(), process_time()
    outcomes = check_all(job)
    cpu, wall = process_time() - cpu, perf_counter() - wall
    print(json.dumps(asdict(Report(dict(outcomes), cpu, wall, peak_mb()))))


main()
