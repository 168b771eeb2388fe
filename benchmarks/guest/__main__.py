"""`python -m benchmarks.guest WORK FILE WORD…`, as root in a kernel with IPVS: measures, and writes JSON to FILE."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.guest import operation, reaction, sync

WORK: dict[str, Callable[..., Any]] = {
    "operation": operation.measure,
    "reaction": reaction.measure,
    "sync": sync.measure,
}

if __name__ == "__main__":
    work, file, *words = sys.argv[1:]
    Path(file).write_text(json.dumps(WORK[work](*words)))
