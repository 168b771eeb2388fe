"""The keepalived on this machine: where it is, and what it says of a configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from lbkit.errors import CannotRun, EngineError

KEEPALIVED = "LBKIT_KEEPALIVED"
_HOW = f"Install keepalived 2.2 or later (apt install keepalived), or name it in {KEEPALIVED}."
_MOST = 5  # messages
_LONGEST = 300
_INSECURE = (
    "As root it runs nothing that others may write: use a Python where each folder on the way to it is root's, such as "
    "Debian's own. "
)


def find(path: str | None = None) -> str:
    """`path`, else LBKIT_KEEPALIVED, else keepalived on PATH or in /usr/sbin. Raises CannotRun where there is none."""
    asked = path or os.environ.get(KEEPALIVED) or "keepalived"
    found = shutil.which(asked) or shutil.which(asked, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise CannotRun(f"{asked} is not on this machine, and a site with a [pair] needs it. {_HOW}")
    return found


def check(program: str, configuration: Path, timeout: float = 30.0) -> None:
    """Have keepalived read a configuration on this machine, with its interfaces and scripts. Nothing else is touched.

    It takes an empty file, and a notify script that is not there, without a word. Raises EngineError with what it says;
    CannotRun.
    """
    command = [program, "--config-test", "--all-config", "--use-file", str(configuration)]
    try:
        ran = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{program} has not ended within {timeout:g}s. Look at the load of this machine.") from None
    except OSError as e:
        raise CannotRun(f"{program} can't be run: {e.strerror}. {_HOW}") from None
    if ran.returncode:
        said = ran.stdout + ran.stderr
        shown = "; ".join(_messages(said, configuration)[:_MOST]) or f"it ends with {ran.returncode} and says nothing"
        why = _INSECURE if "due to insecure" in said else ""
        raise EngineError(f"keepalived refuses {configuration.name}: {shown}. {why}Nothing was changed.")


def _messages(said: str, configuration: Path) -> list[str]:
    """Each once; it reads the file several times. Where the file was staged is nobody's business."""
    place = re.compile(rf"\({re.escape(str(configuration))}: Line (\d+)\)")
    lines = (place.sub(r"line \1:", line.strip())[:_LONGEST] for line in said.splitlines())
    return list(dict.fromkeys(line.removesuffix(".") for line in lines if line))
