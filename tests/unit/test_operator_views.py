"""What the operator's commands print, from outcomes made by hand."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from lbkit.errors import Misuse
from lbkit.operate.certs import CertView
from lbkit.operate.outcome import Done
from lbkit.operate.wait import Left
from lbkit_cli.certs import exit_code
from lbkit_cli.moments import moment, span
from lbkit_cli.verb_options import duration, tell
from lbkit_cli.waiting import in_words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"), (0, "0s"), (0.9, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (3600, "1h"), (3601, "1h"),
        (3660, "1h 1m"), (86400 * 2 + 3600 * 3 + 59, "2d 3h"),
    ],
)  # fmt: skip
def test_a_span_has_its_two_largest_units(seconds, text):
    assert span(seconds) == text


def test_a_moment_of_another_day_has_its_date():
    noon = datetime(2026, 3, 1, 12, 5).astimezone().timestamp()
    assert moment(noon, noon + 3600) == "12:05"
    assert moment(noon, noon + 86400) == "2026-03-01 12:05"


def test_a_duration_that_is_none_is_misuse_by_the_name_of_its_option():
    assert duration("--for", "1h30m") == 5400
    with pytest.raises(Misuse, match=r"--for: 'soon' is no duration"):
        duration("--for", "soon")


def test_a_wait_tells_what_is_left_and_not_what_is_gone():
    left = [Left("A", "s1", 12, 3, 0), Left("B", "s1", 0, 0, 0)]
    assert in_words(left, 5.4, 600) == f"5s of 10m: {left[0]}"


def test_steps_are_told_on_stdout_and_warnings_after_them_on_stderr(capsys):
    tell([Done("A", "s1", "drain", steps=["one", "two"], warnings=["beware"]), Done("B", None, "pin", steps=["three"])])
    said = capsys.readouterr()
    assert said.out == "drain A / s1: one\ndrain A / s1: two\npin B: three\n"
    assert said.err == "warning: A / s1: beware\n"


def test_a_dry_run_says_would(capsys):
    tell([Done("A", "s1", "drain", True, ["one"])])
    assert capsys.readouterr().out == "would drain A / s1: one\n"


def test_what_an_engine_said_is_harmless_on_a_terminal(capsys):
    tell([Done("A", "s1", "drain", steps=["\x1b[2J"], warnings=["\x1b[2J"])])
    assert "\x1b" not in "".join(capsys.readouterr())


def test_json_has_everything_and_nothing_goes_to_stderr(capsys):
    done = [Done("A", "s1", "drain", True, ["one"], ["beware"], 3, 4)]
    tell(done, as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"done": [done[0].as_dict()]}
    assert said.err == ""


def certificate(days, state="in force", used_by=("A",)):
    end = datetime.now(UTC) + timedelta(days=days)
    return CertView("own", "certificate", "CN=x", end, days, used_by, "x.pem", state)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], 0),
        ([certificate(400)], 0),
        ([certificate(29)], 1),
        ([certificate(400, "differs")], 1),
        ([certificate(400, "not asked")], 1),
        ([certificate(400, "not loaded", ())], 0),
        ([certificate(29), certificate(-0.5)], 2),
    ],
)
def test_certificates_give_the_exit_code(found, code):
    assert exit_code(found) == code


def test_times_are_local(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        noon = datetime(2026, 3, 1, 12, 5, tzinfo=UTC).timestamp()
        assert moment(noon, noon) == "07:05"
    finally:
        monkeypatch.undo()
        time.tzset()
