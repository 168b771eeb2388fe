"""Real remotes, each a process of its own on a free port of 127.0.0.1, stopped by its own process id."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HOST = "127.0.0.1"
REQUIRE = "LBKIT_REQUIRE_REMOTES"  # "1": a remote that is not installed fails the tests that need it
START_WITHIN = 20.0  # seconds
STOP_WITHIN = 5.0
_OURS = (
    range(15_000, 23_500) if os.environ.get("LBKIT_TEST_REPORTS") else range(23_500, 32_000)
)  # see tests/elsewhere.py
_PORTS = iter(random.sample(_OURS, len(_OURS)))


@dataclass(frozen=True)
class Remote:
    """A server that runs, and what it is known to say of itself."""

    name: str
    port: int
    version: str  # how its implementation version name begins
    class_uid: str  # how its implementation class UID begins
    max_pdu: int
    called: str = "LB-SCP"

    @property
    def target(self) -> str:
        return f"{HOST}:{self.port}"


def program(name: str, package: str) -> str:
    """The path of a program of a Debian package.

    The folder of this Python is left out: pynetdicom installs an echoscu and a storescp of its own there.
    """
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/sbin"]
    path = os.pathsep.join(folder for folder in folders if Path(folder) != Path(sys.executable).parent)
    found = shutil.which(name, path=path)
    if found is None:
        missing = f"{name} is not installed (Debian package {package})"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(missing)
        pytest.skip(reason=missing)
    return found


@contextmanager
def serving(port: int, *command: str, folder: Path) -> Iterator[int]:
    """Run a server while the block runs; gives its port once it accepts connections."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_until_it_accepts(process, port, folder)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_accepts(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    log = (folder / "log").read_text(errors="replace")[-2000:]
    pytest.fail(f"{process.args!r} does not accept connections (exit code {process.returncode}): {log}")


def free_port() -> int:
    """Each once, and none that the kernel gives to clients: on a busy machine they take it before the server does."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server((HOST, port)):
            return port
    pytest.fail("no port is free")


@contextmanager
def dcmtk(program_name: str, folder: Path, *options: str) -> Iterator[Remote]:
    """storescp, which serves whoever comes, or dcmqrscp with an archive that is called LB-SCP."""
    port = free_port()
    command = [program(program_name, "dcmtk"), *options]
    if program_name == "dcmqrscp":
        command += ["--config", str(_dcmqrscp_configuration(folder))]
    with serving(port, *command, str(port), folder=folder):
        yield Remote(program_name, port, "OFFIS_DCMTK_", "1.2.276.0.7230010.3.", 16384)


def _dcmqrscp_configuration(folder: Path) -> Path:
    archive, file = folder / "archive", folder / "dcmqrscp.cfg"
    archive.mkdir()
    file.write_text(
        "MaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nLB-SCP {archive} RW (9, 1024mb) ANY\nAETable END\n"
    )
    return file


@contextmanager
def orthanc(folder: Path, **configuration: Any) -> Iterator[Remote]:
    """Orthanc, called ORTHANC, without its web server."""
    port = free_port()
    storage = str(folder / "storage")
    file = folder / "orthanc.json"
    settings = {
        "Name": "LBKIT-TESTS", "StorageDirectory": storage, "IndexDirectory": storage, "Plugins": [],
        "HttpServerEnabled": False, "DicomServerEnabled": True, "DicomAet": "ORTHANC", "DicomPort": port,
    }  # fmt: skip
    file.write_text(json.dumps(settings | configuration))
    with serving(port, program("Orthanc", "orthanc"), str(file), folder=folder):
        yield Remote("orthanc", port, "OFFIS_DCMTK_", "1.2.276.0.7230010.3.", 16384, called="ORTHANC")


@contextmanager
def pynetdicom_scp(folder: Path) -> Iterator[Remote]:
    """pynetdicom's own storescp."""
    port = free_port()
    command = [sys.executable, "-m", "pynetdicom", "storescp", "--ignore", "-aet", "LB-SCP", "-ba", HOST, str(port)]
    with serving(port, *command, folder=folder):
        yield Remote("pynetdicom", port, "PYNETDICOM_", "1.2.826.0.1.3680043.9.3811.", 16382)
