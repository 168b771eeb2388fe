"""snmpd itself as a process.

It reads its file, and opens its addresses, as root when it starts: a signal to read the file again comes too late for both.
So it is started anew. Users that it has kept from before (usmUser) go meanwhile: it reads them after its file, so that an
old passphrase would hold for ever.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lbkit import disk
from lbkit.errors import CannotRun, EngineError, NotAllowed
from lbkit.snmp.programs import find

_UNIT = "snmpd.service"
_UNIT_KEEPS = Path("/var/lib/snmp/snmpd.conf")
UNIT_READS = Path("/etc/snmp/snmpd.conf")
_STARTS_WITHIN = 30.0  # seconds
_STOPS_WITHIN = 5.0
_POLL = 0.02


def program() -> str:
    """Its path. Raises CannotRun where it is not installed."""
    return find("snmpd", "snmpd")


def start(configuration: Path) -> str:
    """Start it anew with this file; how, in words. As the system's service where that reads it, else as a daemon of its own.

    Raises EngineError where it does not start, CannotRun, NotAllowed.
    """
    stop(configuration)
    if is_service(configuration):
        _forget_users(_UNIT_KEEPS)
        _let_read(configuration)
        _run(["systemctl", "start", _UNIT])
        return f"as {_UNIT}"
    kept = configuration.with_name("snmpd-kept") / "snmpd.conf"  # how often it was started: managers by v3 want to know
    _forget_users(kept)
    log = "-Lsd" if os.path.exists("/dev/log") else "-Ln"
    command = [
        program(),
        "-C",
        "-c",
        f"{configuration},{kept}",
        "-I",
        "-smux",
        log,
        "-p",
        str(_pid_file(configuration)),
    ]
    _run(command, {"SNMP_PERSISTENT_DIR": str(kept.parent)})
    return f"as a daemon, its pid in {_pid_file(configuration)}"


def stop(configuration: Path) -> None:
    """End it. Nothing where it does not run. Raises NotAllowed, EngineError where it does not end."""
    if is_service(configuration):
        _run(["systemctl", "stop", _UNIT])
        return
    pid = process_id(configuration)
    if pid is None:
        return
    deadline = time.monotonic() + _STOPS_WITHIN
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise NotAllowed(f"snmpd (pid {pid}) takes no signal from this user. Run this as root.") from None
    except ProcessLookupError:
        return
    while process_id(configuration) == pid:
        if time.monotonic() > deadline:
            raise EngineError(f"snmpd (pid {pid}) has not ended within {_STOPS_WITHIN:g} s. End it: kill -KILL {pid}")
        time.sleep(_POLL)


def process_id(configuration: Path) -> int | None:
    """Of the daemon of its own that reads this file; None: there is none."""
    with suppress(OSError, ValueError):
        pid = int(_pid_file(configuration).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if any(one.startswith(str(configuration).encode()) for one in words):
            return pid
    return None


def is_service(configuration: Path) -> bool:
    """Whether the system's service reads this file."""
    systemd = Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None
    return configuration == UNIT_READS and systemd


def _forget_users(kept: Path) -> None:
    """In what snmpd has written as it ended. It makes them again from its own file."""
    before = disk.read(kept)
    if before is None:
        return
    lines = [line for line in before.splitlines(keepends=True) if not line.startswith(b"usmUser ")]
    try:
        owner = kept.stat()
        disk.write(kept, b"".join(lines), 0o600, (owner.st_uid, owner.st_gid))
    except OSError as e:
        raise CannotRun(f"{kept} can't be written: {e.strerror}. Run this as root.") from None


def _let_read(configuration: Path) -> None:
    """To snmpd's own group, whom its folder belongs to: the file may be one that nobody had before."""
    with suppress(OSError):  # then it is root's alone, and read all the same when snmpd starts
        os.chown(configuration, -1, _UNIT_KEEPS.parent.stat().st_gid)


def _pid_file(configuration: Path) -> Path:
    return configuration.with_name(f"{configuration.name}.pid")


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """What it starts keeps neither its output nor its input."""
    try:
        ran = subprocess.run(  # noqa: S603
            command,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_STARTS_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{command[0]} has not ended within {_STARTS_WITHIN:g} s. See its log.") from None
    except OSError as e:
        raise CannotRun(f"{command[0]} can't be run: {e.strerror}. Install it.") from None
    if ran.returncode:
        raise EngineError(
            f"{' '.join(command[:3])} ended with {ran.returncode}. See its log: journalctl -t snmpd. Is an address of "
            "[snmp] not this machine's, or another program at its port?"
        )
