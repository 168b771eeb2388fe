"""How long a machine stands still: real sleeps, a process that is really stopped, and what is said of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.test_cli import LBKIT, lbkit

from lbkit.durations import written
from lbkit.errors import CannotRun, Misuse
from lbkit.pair import stalls
from lbkit.pair.stalls import ENOUGH, KEPT, Record, Stall


def record(*late, measured=ENOUGH):
    made = Record("lb1", 0.0, measured, measured)
    for number, one in enumerate(late):
        made = made.with_stall(Stall(one, float(number)))
    return made


@pytest.mark.parametrize(
    ("late", "measured", "bears", "safe"),
    [
        ((), ENOUGH, "100ms", "100ms"),
        ((0.03, 0.09), ENOUGH, "100ms", "100ms"),
        ((0.1,), ENOUGH, "200ms", "200ms"),
        ((0.25, 0.21, 0.25), ENOUGH, "300ms", "300ms"),
        ((0.7,), ENOUGH, "1s", "1s"),
        ((2.5,), ENOUGH, "3s", "3s"),
        ((0.03,), ENOUGH - 1, "100ms", "1s"),
        ((2.5,), 60.0, "3s", "3s"),
    ],
)
def test_the_interval_bears_the_longest_stall_and_is_slow_until_a_day_was_measured(late, measured, bears, safe):
    found = record(*late, measured=measured)
    assert (written(found.bears), written(found.safe)) == (bears, safe)


def test_a_stall_of_a_minute_is_borne_by_nothing():
    found = record(60.0)
    assert (found.bears, found.safe) == (None, None)


@given(st.lists(st.floats(0.02, 30.0), max_size=60))
def test_two_adverts_outlast_what_is_borne_and_the_worst_are_kept(late):
    found = record(*late)
    assert [one.late for one in found.worst] == sorted(late, reverse=True)[:KEPT]
    assert found.bears is not None
    assert 2 * found.bears > found.longest
    assert found.over["1s"] == sum(one > 1 for one in late)
    assert Record.of(json.loads(json.dumps(found.as_dict()))) == found


def test_runs_add_up(tmp_path):
    assert stalls.read(tmp_path) is None
    told = []
    first = stalls.measure(0.3, tmp_path, lambda known, left: told.append(left))
    second = stalls.measure(0.3, tmp_path)
    assert second == stalls.read(tmp_path)
    assert 0.3 <= first.measured < second.measured
    assert 0.6 <= second.measured < 5
    assert second.begun == first.begun
    assert told


def test_two_do_not_measure_at_once(tmp_path):
    with stalls.disk.locked(tmp_path / "stalls.lock", 0.0), pytest.raises(CannotRun, match=r"stalls\.lock"):
        stalls.measure(0.1, tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "node": "x"}'])
def test_a_broken_record_is_a_message(tmp_path, content):
    (tmp_path / "stalls.json").write_text(content)
    with pytest.raises(Misuse, match="is no record of stalls"):
        stalls.read(tmp_path)


def test_a_folder_that_takes_no_file_is_a_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRun, match="can't be written"):
        stalls.measure(0.1, tmp_path / "file" / "state")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_stands_still_is_seen_and_its_record_outlives_its_end(tmp_path, number):
    environment = os.environ | {"LBKIT_STATE": str(tmp_path)}
    command = [LBKIT, "pair", "measure", "--for", "60s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as it:
        deadline = time.monotonic() + 20
        while not (tmp_path / "stalls.lock").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        it.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        it.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        it.send_signal(number)
        out, err = it.communicate(timeout=20)
        assert (it.returncode, "Traceback" in err) == (0, False)
    assert "stood still for" in out
    assert "until a whole day was measured" in out
    found = stalls.read(tmp_path)
    assert 0.5 < found.longest < 20
    assert abs(found.worst[0].when - time.time()) < 60
    shown = json.loads(lbkit("pair", "measure", "--show", "--json", LBKIT_STATE=str(tmp_path)).stdout)
    assert shown["worst"][0]["late"] == found.longest
    assert shown["safe_s"] >= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--show"], "nothing was measured on this node yet"), (["--for", "long"], "is no duration")],
)
def test_misuse_of_measure_is_exit_3_with_a_message(tmp_path, arguments, says):
    ran = lbkit("pair", "measure", *arguments, LBKIT_STATE=str(tmp_path))
    assert (ran.returncode, ran.stdout) == (3, "")
    assert says in ran.stderr


def test_a_clock_that_is_put_forward_is_noted(tmp_path, monkeypatch):
    """As after a pause in which this machine's clocks stood still."""
    real, started = time.time, time.monotonic()
    monkeypatch.setattr(stalls.time, "time", lambda: real() + (2.0 if time.monotonic() - started > 0.2 else 0.0))
    found = stalls.measure(0.5, tmp_path)
    assert [round(one.late, 1) for one in found.steps] == [2.0]
