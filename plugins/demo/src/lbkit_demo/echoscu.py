"""What dcmtk's `echoscu` says of a server: the tool that many health checks of today are built on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from os import get_exec_path, pathsep
from pathlib import Path
from typing import NamedTuple

TIMEOUTS = ("-to", "2", "-ta", "2", "-td", "2")
TITLES = ("-aet", "LOADBALANCER", "-aec", "LB-SCP")
KILLED_AFTER = 4.0  # seconds: no timeout of its own is an overall deadline


class Said(NamedTuple):
    """The exit code (None: it had to be killed), and what it wrote."""

    exit: int | None
    said: str

    @property
    def up(self) -> bool:
        """What a script that runs it takes it for."""
        return self.exit == 0


def installed() -> str | None:
    """Where it is, if it is installed; not pynetdicom's tool of the same name, which stands beside this Python."""
    beside = Path(sys.executable).parent
    folders = [folder for folder in get_exec_path() if Path(folder) != beside]
    return shutil.which("echoscu", path=pathsep.join(folders))


def ask(program: str, address: tuple[str, int]) -> Said:
    """Run it once."""
    host, port = address
    command = [program, *TIMEOUTS, *TITLES, host, str(port)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=KILLED_AFTER, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Said(None, f"nothing within {KILLED_AFTER:g} s; killed")
    lines = (run.stdout + run.stderr).splitlines()
    return Said(run.returncode, " ".join(line.removeprefix("F: ").removeprefix("E: ").strip() for line in lines))
