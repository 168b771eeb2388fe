"""Where programs are: installed on the machine, or compiled here from the C sources beside this file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.outcome import BenchmarkError, NotInstalledError

SYSTEM_FOLDERS = ["/usr/sbin", "/usr/local/sbin"]  # Orthanc is installed here, out of a user's PATH


def program(*names: str) -> str:
    """The path of the first of these programs that is installed.

    Not in the folder of this Python: pynetdicom puts an echoscu and a storescp of its own there.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep) + SYSTEM_FOLDERS
    path = os.pathsep.join(folder for folder in folders if Path(folder) != Path(sys.executable).parent)
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise NotInstalledError(f"{' or '.join(names)} is not installed")


def compiled(name: str, folder: Path) -> str:
    """The path of `name`, compiled into `folder` from `name`.c beside this file."""
    binary = folder / name
    if not binary.exists():
        source = Path(__file__).with_name(f"{name}.c")
        made = subprocess.run(
            [program("gcc", "cc"), "-O2", "-o", str(binary), str(source)], capture_output=True, text=True
        )
        if made.returncode != 0:
            raise BenchmarkError(f"{source.name} does not compile: {made.stderr.strip()}")
    return str(binary)
