"""`lbkit demo`, as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

LBKIT = Path(sys.executable).with_name("lbkit")
BROKEN = "CCW_NOTIFICATION/CCW_App_Server_1=wrong-body"


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(LBKIT), *map(str, words)]
    surroundings = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=surroundings)


@contextmanager
def standing(*words: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`lbkit demo --stay --json` once it stands, and what it said."""
    command = [str(LBKIT), "demo", "--stay", "--json", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        yield process, json.loads("".join(lines))
    finally:
        process.terminate()
        process.communicate(timeout=10)


def processes_in(folder: str) -> list[str]:
    """The command lines of processes that name the folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [one for one in found if folder in one]


def test_it_tells_the_whole_story_and_all_of_it_is_as_expected() -> None:
    ran = run("demo", "--json", "--timeout", "1.5")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    story = json.loads(ran.stdout)
    faults, operations = story["faults"], story["operations"]
    assert len(faults) >= 12
    assert len(operations) >= 12
    assert all(chapter["told"] for chapter in (*faults, *operations))
    assert {one["check"] for chapter in faults for one in chapter["found"]} == {"https-get", "connect", "c-echo"}
    assert sum(one["requests"] for one in operations) > 1000
    assert processes_in("/lbkit-demo-") == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_site_that_stays_can_be_checked_by_its_file_until_it_is_ended(ending: signal.Signals) -> None:
    with standing("--fault", BROKEN) as (process, said):
        folder = Path(said["site"]).parent
        assert said["servers"]["CCW_NOTIFICATION/CCW_App_Server_1"]["name"] == "wrong-body"
        checked = run("check", "site", "--site", said["site"], "--real-only", "--json")
        assert checked.returncode == 2, checked.stderr
        found = json.loads(checked.stdout)
        process.send_signal(ending)
        _, errors = process.communicate(timeout=10)
    down = [(one["vip"], one["server"], one["reason"]) for one in found["checks"] if one["status"] == "down"]
    assert down == [("CCW_NOTIFICATION", "CCW_App_Server_1", "body")]
    assert (process.returncode, errors) == (0, "ended\n")
    assert not folder.exists()
    assert processes_in(str(folder)) == []


def test_operators_commands_work_on_a_site_that_stays() -> None:
    with standing() as (_, said):
        there = {"LBKIT_SITE": said["site"], "LBKIT_STATE": said["state"]}

        def vip() -> dict[str, Any]:
            (found,) = json.loads(run("overview", "CCW_NOTIFICATION", "--json", **there).stdout)["vips"]
            return dict(found)

        assert vip()["colour"] == "green"
        drained = run("drain", "CCW_NOTIFICATION", "CCW_App_Server_1", **there)
        assert drained.returncode == 0, drained.stderr
        assert [server["colour"] for server in vip()["servers"]] == ["blue", "green"]
        (intent,) = json.loads(run("intents", "--json", **there).stdout)["intents"]
        assert (intent["vip"], intent["server"], intent["wanted"]) == ("CCW_NOTIFICATION", "CCW_App_Server_1", "drain")
        assert run("apply", **there).returncode == 0
        assert vip()["colour"] == "yellow"


@pytest.mark.parametrize(("ending", "seconds"), [(signal.SIGINT, 0.4), (signal.SIGTERM, 0.6), (signal.SIGHUP, 0.8)])
def test_nothing_is_left_of_a_demo_that_is_ended_while_it_starts(
    tmp_path: Path, ending: signal.Signals, seconds: float
) -> None:
    folder = tmp_path / "site"
    command = [str(LBKIT), "demo", "--stay", "--folder", str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        time.sleep(seconds)
        os.killpg(process.pid, ending)  # as a terminal does
        process.wait(20)
    assert processes_in(str(folder)) == []


def test_lint_finds_no_error_in_its_site_file() -> None:
    with standing() as (_, said):
        assert run("lint", said["site"]).returncode in (0, 1)


def test_a_folder_of_the_users_is_kept_and_can_be_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        with standing("--folder", tmp_path / "new" / "site") as (process, said):
            assert said["site"] == str(tmp_path / "new" / "site" / "site.toml")
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        assert Path(said["site"]).exists()


def test_on_a_terminal_it_says_where_the_site_file_is_and_what_to_type(tmp_path: Path) -> None:
    command = [str(LBKIT), "demo", "--stay", "--folder", str(tmp_path), "--fault", BROKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        process.send_signal(signal.SIGINT)
    for expected in (
        f"Its site file: {tmp_path}/site.toml",
        "CCW_NOTIFICATION/CCW_App_Server_1",
        "down body body",
        f"  export LBKIT_SITE={tmp_path}/site.toml LBKIT_STATE={tmp_path}/state",
        " drain CCW_NOTIFICATION CCW_App_Server_1",
    ):
        assert expected in said


@pytest.mark.parametrize("name", ["site.toml", "tls/client-cert.pem"])
def test_somebodys_own_files_are_left_as_they_are(tmp_path: Path, name: str) -> None:
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("precious")
    ran = run("demo", "--stay", "--folder", tmp_path)
    assert ran.returncode == 3
    assert "no demo has written it. Give another --folder." in ran.stderr
    assert own.read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fault", BROKEN], "Give --stay too"),
        (["--folder", "."], "Give --stay too"),
        (["--stay", "--fault", "wrong-body"], "write VIP/SERVER=FAULT"),
        (["--stay", "--fault", "CCW_WEB_443/nobody=refused"], "has no server 'CCW_WEB_443/nobody'"),
        (["--stay", "--folder", "/dev/null"], "can't be written"),
        (["--stay", "--folder", f"/tmp/{'x' * 80}"], "at most 76 letters"),
        (["--stay", "--folder", "/tmp/a b"], "Give another --folder"),
    ],
)
def test_misuse_is_said_in_a_sentence(words: list[str], said: str) -> None:
    ran = run("demo", *words)
    assert ran.returncode == 3
    assert said in ran.stderr
    assert ran.stderr.startswith("lbkit: ")
    assert ran.stdout == ""


def test_the_faults_are_listed_by_kind_of_server() -> None:
    listed = json.loads(run("demo", "--faults", "--json").stdout)
    assert set(listed) == {"https", "tls", "tcp", "hl7", "dicom"}
    assert all(faults[0]["name"] == "healthy" for faults in listed.values())
    assert "wrong-body" in run("demo", "--faults").stdout
