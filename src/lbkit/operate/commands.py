"""What a command of this machine prints: bounded in time and in bytes, whatever it does."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Collection

from lbkit.errors import CannotRun

LIMIT = 10 << 20  # bytes
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"  # not on the PATH of everybody who may ask
_QUOTED = 200  # characters of what a command says that failed


def output(*command: str, within: float = 9.0, fine: Collection[int] = (0,)) -> bytes:
    """What it prints on stdout and stderr, at most LIMIT bytes and one. `within`: seconds. `fine`: no failing exit codes.

    Raises CannotRun where it is not there, does not end in time, or fails.
    """
    program = shutil.which(command[0]) or shutil.which(command[0], path=_SBIN)
    if program is None:
        raise CannotRun(f"there is no {command[0]} on this machine.")
    try:
        process = subprocess.Popen(  # noqa: S603  (no shell)
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as e:
        raise CannotRun(f"{program} can't be run: {e.strerror}.") from None
    try:
        printed, ended = _read(process, within)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    if len(printed) <= LIMIT:
        if not ended:
            raise CannotRun(f"{' '.join(command)} has not ended within {within:g} s.")
        if process.returncode not in fine:
            said = printed.decode(errors="replace").strip()[:_QUOTED] or "nothing"
            raise CannotRun(f"{' '.join(command)} ended with {process.returncode}, and said: {said}")
    return printed


def _read(process: subprocess.Popen[bytes], within: float) -> tuple[bytes, bool]:
    """What it printed, and whether it has ended by itself."""
    deadline = time.monotonic() + within
    parts: list[bytes] = []
    size, fd = 0, process.stdout.fileno() if process.stdout else -1
    while size <= LIMIT:
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b"".join(parts), False
        part = os.read(fd, min(1 << 16, LIMIT + 1 - size))
        if not part:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return b"".join(parts), False
            return b"".join(parts), True
        parts.append(part)
        size += len(part)
    return b"".join(parts), False
