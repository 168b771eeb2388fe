"""lbkit-probe as HAProxy starts it: external-check, with an environment that was wiped and outputs that may be closed."""

from __future__ import annotations

import csv
import socket
import sys
import time
from pathlib import Path

import pytest
from interop.remotes import HOST, Remote, free_port, program, serving

PROBE = Path(sys.executable).parent / "lbkit-probe"
WITHIN = 10.0  # seconds

CONFIGURATION = """
global
    external-check
    insecure-fork-wanted
    stats socket {folder}/haproxy.sock mode 600 level admin
defaults
    mode tcp
    timeout connect 2s
    timeout client 5s
    timeout server 5s
listen dicom
    bind {host}:{port}
    option external-check
    external-check command {command}
    server serves {host}:{serves} check inter 200ms
    server stopped {host}:{stopped} check inter 200ms
"""


def statistics(control: Path) -> dict[str, dict[str, str]]:
    """`show stat`, by server."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(5)
        asked.connect(str(control))
        asked.sendall(b"show stat\n")
        said = b""
        while more := asked.recv(65536):
            said += more
    return {row["svname"]: row for row in csv.DictReader(said.decode().lstrip("# ").splitlines())}


@pytest.mark.parametrize("quiet", [False, True], ids=["in sight", "with closed outputs"])
def test_haproxy_sees_by_its_external_check_which_server_is_up(tmp_path: Path, storescp: Remote, quiet: bool) -> None:
    command = tmp_path / "c-echo"
    command.write_text(f'#!/bin/sh\nexec {PROBE} c-echo "$@"\n')
    command.chmod(0o755)
    port = free_port()
    with socket.socket() as held:  # bound and not listening: nobody else takes it
        held.bind((HOST, 0))
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(
            CONFIGURATION.format(
                folder=tmp_path,
                host=HOST,
                port=port,
                command=command,
                serves=storescp.port,
                stopped=held.getsockname()[1],
            )
        )
        haproxy = [program("haproxy", "haproxy"), "-db", *(["-q"] if quiet else []), "-f", str(configuration)]
        with serving(port, *haproxy, folder=tmp_path):
            deadline = time.monotonic() + WITHIN
            while time.monotonic() < deadline:
                found = statistics(tmp_path / "haproxy.sock")
                if found["serves"]["check_status"] == "PROCOK" and found["stopped"]["status"] == "DOWN":
                    break
                time.sleep(0.1)
            assert (found["serves"]["status"], found["serves"]["check_status"]) == ("UP", "PROCOK")
            assert (found["stopped"]["status"], found["stopped"]["check_status"]) == ("DOWN", "PROCERR")
