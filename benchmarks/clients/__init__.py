"""Clients that check many targets at once, each in a process of its own, so that its CPU and memory can be told.

`python -m benchmarks.clients NAME` reads a job from standard input and prints what it took.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.outcome import BenchmarkError

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Job:
    """Which targets (`address:port`), how many at once, the deadline of each; `warm_up`: those checked once before.

    `check` and `options`: which of lbkit's checks, and its parameters; another client does the same in its own way.
    """

    targets: Sequence[str]
    at_once: int
    warm_up: Sequence[str]
    timeout_s: float = 30.0
    check: str = "c-echo"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """How many targets had each outcome (`up`, or why not), and what that took, imports and warm-up left out."""

    outcomes: dict[str, int]
    cpu_s: float
    wall_s: float
    peak_mb: float = 0.0


def run_client(name: str, job: Job) -> Report:
    """Run the client in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.clients", name]
    ended = subprocess.run(command, cwd=REPOSITORY, input=json.dumps(asdict(job)), capture_output=True, text=True)
    if ended.returncode != 0:
        raise BenchmarkError(f"the client {name} died: {ended.stderr.strip()[-300:]}")
    return Report(**json.loads(ended.stdout))
