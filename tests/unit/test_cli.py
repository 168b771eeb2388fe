"""The command line as a user meets it, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import command
import pytest

from lbkit.state.events import Event
from lbkit.state.log import record

LBKIT = Path(sys.executable).parent / "lbkit"
KEYS = ["check", "target", "status", "step", "reason", "message", "duration_s", "steps", "details"]


def lbkit(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return command.lbkit(*arguments, stdin=stdin, timeout=30, environment={"COLUMNS": "100", **environment})


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program itself, where it is about what Python finds and what a shell gets."""
    env = os.environ | environment
    return subprocess.run([LBKIT, *arguments], capture_output=True, text=True, timeout=30, env=env, check=False)


@pytest.fixture
def open_port(listener) -> str:
    return listener(lambda client: client.recv(1)).target


@pytest.fixture
def closed_port() -> Iterator[str]:
    with socket.socket() as held:  # bound, so that nobody else takes it, and not listening
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_up_is_exit_0_and_one_line_on_stdout(open_port):
    ran = lbkit("check", "connect", open_port)
    assert ran.returncode == 0
    assert ran.stdout.startswith(f"up connect {open_port} ")
    assert ran.stdout.count("\n") == 1
    assert ran.stderr == ""


def test_connect_is_up_at_the_step_it_was_asked_for(open_port):
    found = json.loads(lbkit("check", "connect", open_port, "--json").stdout)
    assert (found["step"], found["reason"], found["message"]) == ("connect", "ok", "takes connections")


def test_down_is_exit_2_and_names_step_and_reason(closed_port):
    ran = lbkit("check", "connect", closed_port)
    assert ran.returncode == 2
    assert " at connect (refused) " in ran.stdout


def test_the_worst_of_several_targets_gives_the_exit_code_in_the_order_of_the_targets(open_port, closed_port):
    ran = lbkit("check", "connect", closed_port, open_port)
    assert ran.returncode == 2
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["down", "up"]
    assert "1 up, 1 down" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "connect", "127.0.0.1"], "no port is given"),
        (["check", "connect", "127.0.0.1:0"], "A port is a number"),
        (["check", "connect", "a b:1"], "no host name"),
        (["check", "no-such-check", "h"], "no check is called 'no-such-check'. There are: "),
        (["check", "", "h"], "no check is called ''. There are: "),
        (["check", "connect", "h:1", "--timeout", "soon"], "timeout"),
        (["check", "connect", "h:1", "--timeout", "-1"], "timeout"),
        (["check", "connect", "h:1", "--no-such-option"], "No such option"),
        (["check", "connect"], "Missing argument"),
        (["check", "connect", "h:1", "--json", "--format", "nagios"], "contradict"),
        (["check", "connect", "h:1", "--format", "xml"], "xml"),
        (["check", "connect", "h:1", "--ca-file", "ca.pem"], "without tls"),
        (["check", "connect", "h:1", "--tls", "--ca-file", "no-such-file.pem"], "no-such-file.pem can't be read"),
        (["check", "c-echo", "h", "--aet", "a-title-that-is-too-long"], "at most 16"),
        (["check", "c-echo", "h", "--accept-status", "12"], "four hexadecimal digits"),
        (["no-such-command"], "No such command"),
        (["explain", "connect", "h:1"], "connect"),
    ],
)
def test_misuse_is_exit_3_with_a_message_and_no_traceback(arguments, says):
    ran = lbkit(*arguments)
    assert ran.returncode == 3
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_json_of_one_target_is_an_object_with_the_documented_keys(closed_port):
    found = json.loads(lbkit("check", "connect", closed_port, "--json").stdout)
    assert list(found) == KEYS
    assert (found["status"], found["step"], found["reason"]) == ("down", "connect", "refused")


def test_json_of_several_targets_is_an_array(open_port, closed_port):
    found = json.loads(lbkit("check", "connect", open_port, closed_port, "--json").stdout)
    assert [(list(one), one["status"]) for one in found] == [(KEYS, "up"), (KEYS, "down")]


def test_targets_come_from_stdin_without_blank_lines_and_comments(open_port):
    ran = lbkit("check", "connect", "-", "--json", stdin=f"# the first room\n\n{open_port}  # its door\n")
    assert ran.returncode == 0
    assert [one["target"] for one in json.loads(ran.stdout)] == [open_port]


def test_a_wrong_line_of_stdin_is_named_and_nothing_is_run(open_port):
    ran = lbkit("check", "connect", "-", stdin=f"{open_port}\nno port here\n")
    assert ran.returncode == 3
    assert "line 2 of stdin" in ran.stderr
    assert ran.stdout == ""


def test_stdin_without_a_target_is_misuse():
    assert lbkit("check", "connect", "-", stdin="\n").returncode == 3


def test_nagios_line_has_status_and_performance_data(closed_port):
    ran = lbkit("check", "connect", closed_port, "--format", "nagios")
    assert ran.returncode == 2
    assert re.fullmatch(r"CONNECT CRITICAL - [^|]+ \| time=\d+\.\d+s;;;0 connect=\d+\.\d+s;;;0\n", ran.stdout)


def test_verbose_shows_each_step_and_no_colour_where_there_is_no_terminal(closed_port):
    ran = lbkit("check", "connect", closed_port, "-v")
    assert "at connect: refused" in ran.stdout
    assert "altogether" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_no_color_is_honoured_even_where_colour_is_forced(closed_port):
    assert "\x1b[31m" not in lbkit("check", "connect", closed_port, "-v", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_a_file_without_a_certificate_is_misuse_in_words_and_not_in_openssls(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    ran = lbkit("check", "connect", "h:1", "--tls", "--cert-file", str(empty))
    assert ran.returncode == 3
    assert f"--cert-file: {empty} is empty. Write it anew." in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["check", "connect"],
        ["check", "c-echo"],
        ["check", "https-get"],
        ["check", "mtls"],
        ["check", "site"],
        ["explain", "c-echo"],
        ["init"],
        ["lint"],
        ["overview"],
        ["why"],
        ["drain"],
        ["halt"],
        ["online"],
        ["weight"],
        ["intents"],
        ["show-table"],
        ["clear-table"],
        ["pin"],
        ["failover"],
        ["failback"],
        ["pair", "status"],
        ["pair", "setup"],
        ["pair", "measure"],
        ["pair", "sync"],
        ["pair", "leave"],
        ["pair", "replace-node"],
        ["pair", "maintenance"],
        ["render", "haproxy"],
        ["render", "ipvs"],
        ["render", "keepalived"],
        ["render", "nftables"],
        ["render", "real-server"],
        ["diff"],
        ["apply"],
        ["reload"],
        ["backup"],
        ["restore"],
        ["support-bundle"],
        ["agent"],
        ["certs", "list"],
        ["certs", "rotate"],
        ["alert", "test"],
        ["doctor"],
        ["plugins"],
        ["demo"],
    ],
)
def test_every_command_has_help_with_an_example_and_json(command):
    ran = lbkit(*command, "--help")
    assert ran.returncode == 0
    assert re.search(rf"Examples?: .*lbkit {' '.join(command)}", ran.stdout)
    assert "--json" in ran.stdout


def test_plugins_lists_each_check_with_its_distribution():
    found = json.loads(lbkit("plugins", "--json").stdout)
    assert {(one["name"], one["distribution"]) for one in found} >= {
        ("connect", "lbkit-core"),
        ("c-echo", "lbkit-dicom-echo"),
    }
    assert all(one["error"] is None for one in found)


def test_plugins_lists_each_receiver_with_its_settings():
    (found,) = [one for one in json.loads(lbkit("plugins", "--json").stdout) if one["name"] == "webhook"]
    assert (found["distribution"], found["checks"], found["error"]) == ("lbkit-webhook", [], None)
    assert set(found["receiver"]["settings"]) >= {"url", "secret_file", "level"}
    said = lbkit("plugins", "-v").stdout
    assert re.search(r"^webhook +lbkit-webhook \S+  receiver: Every event as JSON", said, re.MULTILINE)
    assert "    secret_file  " in said


def test_plugins_in_detail_documents_every_reason_code():
    said = lbkit("plugins", "-v").stdout
    assert all(f" {code} " in said for code in ("refused", "timed-out", "rejected-transient", "echo-status"))


def test_a_disabled_plugin_is_not_there():
    ran = lbkit("check", "c-echo", "h", LBKIT_DISABLE_PLUGINS="c-echo")
    assert ran.returncode == 3
    assert "the check c-echo is left out by LBKIT_DISABLE_PLUGINS" in ran.stderr


def test_doctor_says_what_is_found_and_is_content_without_engines():
    ran = lbkit("doctor", "--json", PATH="/nonexistent")
    assert ran.returncode == 0
    states = {one["name"]: one["state"] for one in json.loads(ran.stdout)}
    assert states["python"] == states["lbkit"] == states["foreign lbkit"] == "ok"


def test_doctor_notices_a_foreign_lbkit(tmp_path):
    info = tmp_path / "lbkit-3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lbkit\nVersion: 3.0\n")
    ran = started("doctor", PYTHONPATH=str(tmp_path))
    assert ran.returncode == 1
    assert "unrelated distribution lbkit 3.0" in ran.stdout


@pytest.mark.parametrize("words", [["plugins", "--json"], ["schema"]])
def test_a_full_disk_behind_stdout_is_a_sentence_and_exit_3(words):
    with open("/dev/full", "w") as full:
        ran = subprocess.run([LBKIT, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (3, 1), ran.stderr
    assert ran.stderr.startswith("lbkit: what it says can't be written: No space left on device. ")


def test_what_a_terminal_has_no_letters_for_is_shown_all_the_same(tmp_path):
    record(Event("intent-set", "drained", who="anna@lb1", why="Wartung “neu”: Müller"), state=tmp_path)
    command = [LBKIT, "log", "--since", "1h"]
    environment = {**os.environ, "LBKIT_STATE": str(tmp_path), "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run(command, capture_output=True, encoding="latin-1", timeout=30, env=environment, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("(by anna@lb1: Wartung ?neu?: Müller)\n")


@pytest.mark.parametrize("words", [["plugins", "--json"], ["schema"]])
def test_a_reader_that_is_gone_makes_no_noise(words):
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w") as gone:
        ran = subprocess.run([LBKIT, *words], stdout=gone, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_completion_of_check_names(tmp_path):
    ran = started(_LBKIT_COMPLETE="complete_bash", COMP_WORDS="lbkit check c", COMP_CWORD="2")
    assert ran.stdout.split() == ["c-echo", "connect"]


def test_version_is_printed():
    assert re.fullmatch(r"lbkit \d+\.\d+\.\d+\n", lbkit("--version").stdout)


def test_options_are_named_after_what_they_take():
    text = lbkit("check", "https-get", "--help").stdout
    assert "--max-body BYTES" in text
    assert "--timeout SECONDS" in text
