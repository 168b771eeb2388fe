"""What the figures were taken on: no names of hosts, no paths."""

import os
import platform
from pathlib import Path
from typing import TypedDict


class Machine(TypedDict):
    """As it stands in each line of JSON."""

    cores: int
    cpu: str
    python: str
    kernel: str


def this_machine() -> Machine:
    """Describe the machine and the Python that this runs on."""
    return Machine(
        cores=os.cpu_count() or 1,
        cpu=_cpu_model(),
        python=platform.python_version(),
        kernel=f"{platform.system()} {platform.release()}",
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()
