"""Programs run as a user runs them, and the wheels that they come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MEMBERS = (
    ".",
    "cli",
    "plugins/dicom_echo",
    "plugins/https_get",
    "plugins/mtls",
    "plugins/direct_routing",
    "plugins/webhook",
    "plugins/demo",
)


def run(
    *command: object, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=cwd, env=env, check=False)


def build(project: Path, folder: Path) -> None:
    """Build the wheel of a project into a folder."""
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=project)
    assert built.returncode == 0, built.stderr


def install(home: Path, wheels: list[Path]) -> None:
    """Install these wheels and nothing else into the venv at `home`."""
    done = run(home / "bin/python3", "-m", "pip", "install", "-q", "--no-index", "--no-deps", *wheels)
    assert done.returncode == 0, done.stderr


def unpack(wheels: list[Path], folder: Path) -> Path:
    """What they hold, as it is when it is installed; the folder."""
    done = run(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", folder, *wheels)
    assert done.returncode == 0, done.stderr
    return folder
