"""The other kernel that tests run under: what its command does comes back, whatever becomes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from interop.remotes import program
from system.ipvs_kernel import PACKAGE, PROGRAM, run

HERE = Path(__file__).parent
TESTS = """
import time
from pathlib import Path
import pytest

@pytest.fixture
def broken():
    raise OSError("no fixture")

@pytest.fixture
def broken_after():
    yield
    raise OSError("no end")

def test_passes():
    assert Path("/proc/net/ip_vs").exists()

def test_fails():
    print("said before")
    assert 1 == 2, "in there"

def test_has_no_fixture(broken):
    pass

def test_does_not_end_well(broken_after):
    pass

@pytest.mark.xfail(reason="known")
def test_is_known_to_fail():
    assert False

@pytest.mark.parametrize("way", ["a b::", "ü["])
def test_skips(way):
    pytest.skip(reason="not today")

def test_kills_the_kernel():
    Path("/proc/sysrq-trigger").write_text("c")

def test_is_never_come_to():
    pass
"""


@pytest.fixture(autouse=True)
def another_kernel() -> None:
    program(PROGRAM, PACKAGE)


def test_a_command_has_ipvs_and_its_output_and_exit_code_come_back(tmp_path):
    ended = run(["sh", "-c", "cat /proc/net/ip_vs; echo $X >&2; echo kept >$FILE; exit 7"],
                environment={"X": "given", "FILE": str(tmp_path / "file")})  # fmt: skip
    assert ended.code == 7
    assert "IP Virtual Server version" in ended.output
    assert "given" in ended.output
    assert (tmp_path / "file").read_text() == "kept\n"


def test_a_command_that_hangs_is_stopped_and_what_it_said_is_there():
    ended = run(["sh", "-c", "echo begins; sleep 100"], timeout=1)
    assert (ended.code, ended.output) == (124, "begins\n")


def test_a_kernel_that_dies_leaves_its_console():
    ended = run(["sh", "-c", "echo begins; echo c >/proc/sysrq-trigger; sleep 9"])
    assert (ended.code, ended.output) == (None, "begins\n")
    assert "Kernel panic" in ended.console


@pytest.fixture
def folder(tmp_path) -> Path:
    """A project whose only tests are those above, run as those in ipvs/ are."""
    (tmp_path / "inner").mkdir()
    shutil.copy(HERE / "ipvs/conftest.py", tmp_path / "inner")
    hooks = "pytest_configure, pytest_runtest_makereport, pytest_runtestloop"
    (tmp_path / "conftest.py").write_text(f"from elsewhere import {hooks}  # as ../conftest.py does\n")
    (tmp_path / "inner/test_there.py").write_text(TESTS)
    (tmp_path / "test_after.py").write_text("def test_on_this_side(tmp_path): pass\n")
    options = f"[pytest]\npythonpath = {HERE.parent}\naddopts = --import-mode=importlib\nfilterwarnings = error\n"
    (tmp_path / "pytest.ini").write_text(options)
    return tmp_path


IN_CI = ("CI", "BUILD_NUMBER")  # pytest's summary has whole messages then, and no line for each test


def outcomes(folder: Path, *options: str, **environment: str) -> tuple[dict[str, str], str]:
    """Of each test by its name, and all that was printed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--tb=short", *options]
    own = {name: value for name, value in os.environ.items() if name not in IN_CI}
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
                         env={**own, **environment})  # fmt: skip
    summary = ran.stdout.partition("short test summary info")[2].splitlines()[1:-1]
    found: dict[str, str] = {}
    for line in summary:
        outcome, _, rest = line.partition(" ")
        name = rest.partition("::")[2].partition(" - ")[0] or rest
        found[name] = f"{found[name]} {outcome}" if name in found else outcome
    return found, ran.stdout


def test_each_test_has_the_outcome_that_it_had_there(folder):
    found, printed = outcomes(folder)
    assert found == {
        "test_passes": "PASSED",
        "test_fails": "FAILED",
        "test_has_no_fixture": "ERROR",
        "test_does_not_end_well": "PASSED ERROR",
        "test_is_known_to_fail": "XFAIL",
        "[2] inner/test_there.py:34: not today": "SKIPPED",
        "test_kills_the_kernel": "ERROR",
        "test_is_never_come_to": "ERROR",
        "test_on_this_side": "PASSED",
    }
    for said in ("in there", "said before", "no fixture", "no end", "Kernel panic"):
        assert said in printed


def test_only_those_that_are_selected_are_run_there(folder):
    assert outcomes(folder, "-k", "passes or after")[0] == {"test_passes": "PASSED", "test_on_this_side": "PASSED"}


@pytest.mark.parametrize(("required", "outcome"), [("0", "SKIPPED"), ("1", "ERROR")])
def test_without_user_mode_linux_they_are_skipped_or_fail_where_that_is_asked_for(folder, required, outcome):
    path = {"PATH": str(folder / "empty"), "LBKIT_REQUIRE_REMOTES": required}
    found, printed = outcomes(folder, "-k", "passes", **path)
    assert set(found.values()) == {outcome}
    assert "linux.uml is not installed (Debian package user-mode-linux)" in printed
