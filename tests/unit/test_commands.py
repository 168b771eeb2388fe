"""What commands print is had in time and within bounds, or why not is said."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lbkit.errors import CannotRun
from lbkit.operate.commands import LIMIT, output


def test_what_it_prints_is_what_comes_from_both_its_streams() -> None:
    assert output("sh", "-c", "echo a; echo b >&2") == b"a\nb\n"


def test_an_exit_code_that_is_no_failure_is_none() -> None:
    assert output("sh", "-c", "echo a; exit 1", fine=(0, 1)) == b"a\n"


def test_a_failure_is_said_with_its_own_words() -> None:
    with pytest.raises(CannotRun, match=r"^sh -c .* ended with 3, and said: not so$"):
        output("sh", "-c", "echo not so; exit 3")


def test_a_command_that_is_not_there_is_said() -> None:
    with pytest.raises(CannotRun, match=r"^there is no lbkit-no-such on this machine\.$"):
        output("lbkit-no-such")


def test_one_in_sbin_is_found_without_it_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert output("true") == b""


@pytest.mark.parametrize("script", ["sleep 60", "exec >&- 2>&-; sleep 60", "echo begun; sleep 60"])
def test_one_that_hangs_is_ended(script: str) -> None:
    began = time.monotonic()
    with pytest.raises(CannotRun, match=r"has not ended within 0\.3 s"):
        output("sh", "-c", f"exec 3<&0; {script}", within=0.3)
    assert time.monotonic() - began < 3


def test_one_that_prints_without_end_is_cut_and_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    printed = output("sh", "-c", f"echo $$ >{pid}; exec yes")
    assert len(printed) == LIMIT + 1
    assert not Path("/proc", pid.read_text().strip()).exists()
