"""keepalived itself as a process: starting it, having it read its file again, and ending it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from lbkit.errors import CannotRun, EngineError, NotAllowed, NotRunning
from lbkit.pair import track, vrrp
from lbkit.pair.render import NAME
from lbkit.site.model import Site

STARTS_WITHIN = 15.0  # seconds
STOPS_WITHIN = 5.0
_UNIT = "keepalived.service"
_UNIT_READS = Path("/etc/keepalived/keepalived.conf")
_OF_THE_UNIT = ("/run/vrrp.pid", "/run/checkers.pid")
_POLL = 0.05


def configuration(site: Site) -> Path:
    """The file that it reads."""
    return Path(site.keepalived.folder, NAME)


def start(site: Site, program: str, state: Path | None = None) -> str:
    """Start it with the configuration on disk, and wait until it has a role; how it was started, in words.

    As the system's service where that reads this configuration, else as a daemon of its own. `state`: the folder of intents.
    Raises EngineError where it does not come up, CannotRun where a folder can't be made.
    """
    make_folders(site, state)
    _forget_stale(site)
    as_service = is_service(site)
    command = ["systemctl", "restart", _UNIT] if as_service else [program, "--vrrp", *_places(site), *_logs()]
    environment = os.environ | {"TMPDIR": str(vrrp.json_folder(site))}
    try:
        ran = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a daemon keeps what it is given
            timeout=STARTS_WITHIN,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{command[0]} did not start keepalived within {STARTS_WITHIN:g} s. See its log.") from None
    except OSError as e:
        raise CannotRun(f"{command[0]} can't be run: {e.strerror}. Install it.") from None
    if ran.returncode:
        raise EngineError(f"keepalived does not start: {command[0]} ended with {ran.returncode}. {_log(as_service)}")
    _wait_for_a_role(site, as_service)
    return f"as {_UNIT}" if as_service else f"as a daemon, its pid in {site.keepalived.pid_file}"


def reload(site: Site) -> None:
    """Have it read its file again: it keeps its role and its addresses. When it has done so it does not say.

    Raises NotRunning, NotAllowed.
    """
    pid = vrrp.process_id(site)
    if pid is None:
        raise NotRunning(f"keepalived does not run: {site.keepalived.pid_file} names none. Start it: lbkit apply")
    _signal(pid, signal.SIGHUP)


def stop(site: Site) -> None:
    """End it; it takes its addresses off this machine and tells the other node. Nothing where it does not run.

    Raises NotAllowed, EngineError where it does not end.
    """
    pid = vrrp.process_id(site)
    if pid is None:
        return
    if is_service(site):
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["systemctl", "stop", _UNIT], timeout=STOPS_WITHIN, check=False)  # noqa: S603, S607
    deadline = time.monotonic() + STOPS_WITHIN
    told = False
    while vrrp.process_id(site) == pid:
        if not told:
            told = True
            _signal(pid, signal.SIGTERM)
        if time.monotonic() > deadline:
            raise EngineError(f"keepalived (pid {pid}) has not ended within {STOPS_WITHIN:g} s. See its log.")
        time.sleep(_POLL)


def is_service(site: Site) -> bool:
    """Whether the system's service reads this site's configuration."""
    return (
        configuration(site) == _UNIT_READS
        and Path("/run/systemd/system").is_dir()
        and shutil.which("systemctl") is not None
    )


def make_folders(site: Site, state: Path | None = None) -> None:
    """Those that it needs. A tracked file may be missing and counts as 0; without its folder keepalived ignores it for good.

    Raises CannotRun.
    """
    try:
        if not is_service(site):  # which has one of its own
            vrrp.json_folder(site).mkdir(parents=True, exist_ok=True)
        for name in track.TRACKED:
            track.path_of(site, name, state).parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise CannotRun(f"{e.filename} can't be made: {e.strerror}. Make it, or run this as root.") from None


def _places(site: Site) -> list[str]:
    runtime = Path(site.keepalived.runtime)
    pids = {"--pid": site.keepalived.pid_file, "--vrrp_pid": str(runtime / "vrrp.pid")}
    pids["--checkers_pid"] = str(runtime / "checkers.pid")
    return ["--use-file", str(configuration(site)), *(f"{name}={path}" for name, path in pids.items())]


def _logs() -> list[str]:
    """Where nobody takes its log it goes to the console, line by line, and VRRP waits for it. No detail: a line for each
    gratuitous ARP would be written.
    """
    return [] if os.path.exists("/dev/log") else ["--no-syslog"]


def _forget_stale(site: Site) -> None:
    """Where a pid file names any process, a dead one too that nobody has waited for, keepalived says that it runs already,
    and ends with success.
    """
    own = [Path(site.keepalived.runtime, name) for name in ("vrrp.pid", "checkers.pid")]
    for place in (Path(site.keepalived.pid_file), *(map(Path, _OF_THE_UNIT) if is_service(site) else own)):
        with suppress(OSError, ValueError):
            if not vrrp.lives(int(place.read_text())):
                place.unlink(missing_ok=True)


def _wait_for_a_role(site: Site, as_service: bool) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        seen = vrrp.look(site)
        if seen.state == "running" and seen.role != "unknown":
            return
        if time.monotonic() > deadline:
            raise EngineError(
                f"keepalived was started, and is {seen.state} {STARTS_WITHIN:g} s later, without a role. {_log(as_service)}"
            )
        time.sleep(_POLL)


def _log(as_service: bool) -> str:
    return f"See its log: journalctl -u {_UNIT}" if as_service else "See its log: journalctl -t Keepalived_vrrp"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise NotAllowed(f"keepalived (pid {pid}) takes no signal from this user. Run this as root.") from None
