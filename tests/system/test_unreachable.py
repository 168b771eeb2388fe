"""A machine without a route, made of an empty network namespace: only there is "unreachable" certain."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def nowhere() -> list[str]:
    """The command that runs another in a network namespace with nothing in it."""
    unshare = shutil.which("unshare")
    command = (
        [unshare or "unshare", "--net"] if os.geteuid() == 0 else [unshare or "unshare", "--map-root-user", "--net"]
    )
    if unshare is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip(reason="this machine lets nobody make a network namespace (unshare --net)")
    return command


@pytest.mark.parametrize("targets", [["192.0.2.1:104"], ["192.0.2.1:104", "192.0.2.2:104"]], ids=["one", "many"])
def test_without_a_route_both_drivers_say_unreachable(nowhere: list[str], targets: list[str]):
    ran = subprocess.run(
        [*nowhere, BIN / "lbkit", "check", "c-echo", *targets], capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 2
    assert ran.stdout.count("at connect (unreachable)") == len(targets)


def test_without_a_route_the_probe_says_unreachable(nowhere: list[str]):
    words = [*nowhere, BIN / "lbkit-probe", "c-echo", "192.0.2.1", "104", "192.0.2.1", "104"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 1
    assert "down at connect (unreachable)" in ran.stdout
