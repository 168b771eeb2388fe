"""Benchmarks that run in a kernel with IPVS, and the door to them."""

import json
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from system.ipvs_kernel import PROGRAM, run

from benchmarks.outcome import BenchmarkError
from benchmarks.remotes import program

WITHIN = 900.0  # seconds


def in_kernel(work: str, *words: str) -> Any:
    """What `python -m benchmarks.guest WORK FILE WORD…` has written to FILE, as JSON, in a kernel of its own.

    :raises NotInstalledError: there is no User Mode Linux
    """
    program(PROGRAM)
    with NamedTemporaryFile("r", prefix="lbkit-benchmarks-") as result:
        ended = run([sys.executable, "-m", "benchmarks.guest", work, result.name, *words], timeout=WITHIN)
        if ended.code != 0:
            said = ended.console if ended.code is None else ended.output
            raise BenchmarkError(f"in the other kernel, exit code {ended.code}: {said[-2000:]}")
        return json.loads(Path(result.name).read_text())
