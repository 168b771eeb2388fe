"""HAProxy itself as a process: is it there, and starting it where it is not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from lbkit.errors import CannotRun, EngineError, LbkitError, NotRunning
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.program import Program

STARTS_WITHIN = 20.0  # seconds
STOPS_WITHIN = 5.0
_RELOADS_WITHIN = 2.0
_SILENT_FOR = 0.5
_UNIT = "haproxy.service"
_UNIT_READS = Path("/etc/haproxy/haproxy.cfg")
_POLL = 0.02


def is_running(haproxy: Haproxy) -> bool:
    """Whether its master answers. Raises NotAllowed where that may not be asked.

    While it reloads it is silent for a moment: a second HAProxy would share its addresses without a word.
    """
    deadline = time.monotonic() + (_SILENT_FOR if os.path.exists(haproxy.site.haproxy.master_socket) else 0.0)
    while True:
        try:
            haproxy.master.processes()
        except NotRunning:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        else:
            return True


def start(haproxy: Haproxy, program: Program) -> str:
    """Start it with the configuration on disk, and wait until it answers; how it was started, in words.

    As the system's service where that reads this configuration, else as a daemon of its own. Raises EngineError with its
    words where it does not come up, CannotRun where its folder can't be made.
    """
    try:
        Path(haproxy.site.haproxy.runtime).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise CannotRun(
            f"{e.filename} can't be made: {e.strerror}. Make it, or name another ([haproxy] runtime)."
        ) from None
    as_service = _is_service(haproxy)
    pid_file = _pid_file(haproxy)
    command = [program.path, "-W", "-D", "-S", _master_socket(haproxy), "-p", str(pid_file)]
    command = ["systemctl", "restart", _UNIT] if as_service else [*command, "-f", str(haproxy.configuration)]
    try:
        ran = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STARTS_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{command[0]} did not start HAProxy within {STARTS_WITHIN:g} s. See its log.") from None
    if ran.returncode:
        alerts = [line for line in ran.stderr.splitlines() if "[ALERT]" in line] or ran.stderr.splitlines()
        raise EngineError(f"HAProxy does not start: {' '.join(alerts)[:2000] or 'it does not say why'}")
    _wait_until_it_answers(haproxy)
    return f"as {_UNIT}" if as_service else f"as a daemon, its pid in {pid_file}"


def stop(haproxy: Haproxy) -> None:
    """End a daemon that `start` began, and all its workers with their connections; nothing where there is none."""
    pid_file = _pid_file(haproxy)
    try:
        pid = int(pid_file.read_text())
        workers = _processes(haproxy, pid)
    except (OSError, ValueError, LbkitError):
        return
    if pid not in workers:  # a file that is left over names anybody
        return
    _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOPS_WITHIN
    while time.monotonic() < deadline and any(map(_lives, workers)):
        time.sleep(_POLL)
    for one in filter(_lives, workers):
        _signal(one, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)


def _processes(haproxy: Haproxy, master: int) -> list[int]:
    """The master and all its workers. A master that reloads answers again in a moment."""
    deadline = time.monotonic() + _RELOADS_WITHIN
    while True:
        try:
            return [one.pid for one in haproxy.master.processes()]
        except NotRunning:
            if not _lives(master) or time.monotonic() > deadline:
                raise
            time.sleep(_POLL)


def _pid_file(haproxy: Haproxy) -> Path:
    return Path(haproxy.site.haproxy.runtime, "haproxy.pid")


def _master_socket(haproxy: Haproxy) -> str:
    """For whom the admin socket is."""
    settings = haproxy.site.haproxy
    return f"{settings.master_socket},mode,660" + (f",group,{settings.group}" if settings.group else "")


def _is_service(haproxy: Haproxy) -> bool:
    return (
        haproxy.configuration == _UNIT_READS
        and Path("/run/systemd/system").is_dir()
        and shutil.which("systemctl") is not None
    )


def _wait_until_it_answers(haproxy: Haproxy) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            haproxy.master.processes()
            haproxy.runtime.info()
            return
        except NotRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
