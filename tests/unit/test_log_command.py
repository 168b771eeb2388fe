"""`lbkit log`: who did what, when, why and from where, as an operator reads it and as a program does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from unit.site_text import server, site, vip
from unit.test_cli import LBKIT, lbkit
from unit.test_operator_commands_misuse import completed
from unit.test_pair_commands import ran

from lbkit.state import log
from lbkit.state.events import Event
from lbkit.state.log import EventLog
from lbkit_cli.log import _follow

__all__ = ["ran"]

NOW, HOUR = time.time(), 3600.0  # of when the tests are found; they may be run half an hour later
EVENTS = [
    Event("configuration-applied", "generation 1 is in force", when=NOW - 120 * HOUR, who="anna@lb1", origin="tty1"),
    Event("server-down", "one of WEB is down", when=NOW - 60 * HOUR, vip="WEB", server="one", step="connect",
          reason="refused"),
    Event("vip-down", "WEB is down", when=NOW - HOUR, vip="WEB"),
    Event("intent-set", "two of HL7 is drained", when=NOW - HOUR / 2, vip="HL7", server="two", address="192.0.2.2",
          who="bob@lb1", origin="ssh 192.0.2.7", why="patches\x1b[2J"),
]  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """A log of these four, as environment; a site is nowhere to be seen."""
    EventLog(tmp_path).append(EVENTS)
    return {"LBKIT_STATE": str(tmp_path), "LBKIT_SITE": str(tmp_path / "none.toml"), "TZ": "Europe/Berlin"}


@pytest.fixture
def shown(place, ran):
    """The events that it shows with these arguments."""

    def show(*arguments):
        code, out, said = ran(place, "log", *arguments, "--json")
        assert (code, said) == (0, "")
        return [Event.of(json.loads(line)) for line in out.splitlines()]

    return show


def test_each_event_is_one_line_in_local_time_the_newest_last(place, monkeypatch):
    ran = lbkit("log", **place)
    assert (ran.returncode, ran.stderr) == (0, "")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    at = [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.when)) for one in EVENTS]
    monkeypatch.undo()
    time.tzset()
    assert ran.stdout.splitlines() == [
        f"{at[0]} info configuration-applied: generation 1 is in force (by anna@lb1 from tty1)",
        f"{at[1]} warning server-down: one of WEB is down",
        f"{at[2]} alarm vip-down: WEB is down",
        f"{at[3]} info intent-set: two of HL7 is drained (by bob@lb1 from ssh 192.0.2.7: patches?[2J)",
    ]


def test_warnings_are_yellow_and_alarms_red_at_a_terminal_that_shows_colours(place):
    coloured = lbkit("log", FORCE_COLOR="1", COLUMNS="20", **place).stdout.splitlines()
    assert ["\x1b[33m" in line for line in coloured] == [False, True, False, False]
    assert ["\x1b[31m" in line for line in coloured] == [False, False, True, False]
    assert "\x1b" not in lbkit("log", FORCE_COLOR="1", NO_COLOR="1", **place).stdout


def test_json_is_one_event_a_line_with_all_that_is_known(shown):
    assert shown() == EVENTS


@pytest.mark.parametrize(
    ("arguments", "which"),
    [
        (["--since", "2h"], [2, 3]),
        (["--since", "3d18h"], [1, 2, 3]),
        (["--since", time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW - 0.75 * HOUR))], [3]),
        (["--since", time.strftime("%H:%M:%S", time.localtime(NOW - 0.75 * HOUR))], [3]),
        (["--since", time.strftime("%H:%M", time.localtime(NOW + 0.75 * HOUR))], [2, 3]),  # yesterday's
        (["--since", "2001-01-01"], [0, 1, 2, 3]),
        (["--vip", "WEB"], [1, 2]),
        (["--vip", "WEB", "--server", "one"], [1]),
        (["--server", "two"], [3]),
        (["--server", "192.0.2.2"], [3]),
        (["--kind", "vip-down"], [2]),
        (["--level", "warning"], [1, 2]),
        (["--level", "alarm"], [2]),
        (["-n", "1"], [3]),
        (["-n", "1", "--vip", "WEB"], [2]),
        (["-n", "2", "--since", "5d12h"], [2, 3]),
        (["--vip", "NONE"], []),
    ],
)
def test_what_is_asked_for_is_shown(shown, arguments, which):
    assert shown(*arguments) == [EVENTS[number] for number in which]


def test_fifty_are_shown_unless_a_number_or_a_time_is_given(shown, tmp_path):
    EventLog(tmp_path).append([Event("test", str(number), when=NOW) for number in range(60)])
    assert len(shown()) == 50
    assert len(shown("-n", "55")) == 55
    assert len(shown("--since", "2d13h")) == 63


def test_json_says_how_much_each_matters(place, ran):
    _, out, _ = ran(place, "log", "--json")
    assert [json.loads(line)["level"] for line in out.splitlines()] == ["info", "warning", "alarm", "info"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--vip", "WEBB"], 3, "no VIP of site test is labelled 'WEBB'. Did you mean WEB?"),
        (["--vip", "WEBB", "--json"], 3, "Did you mean WEB?"),
        (["--vip", "WEBB", "--follow"], 3, "Did you mean WEB?"),
        (["--server", "onee"], 3, "has a real server 'onee'. Did you mean one?"),
        (["--vip", "WEB", "--server", "onee"], 3, "WEB has no real server 'onee'. Did you mean one?"),
        (["--vip", "QUIET"], 0, ""),
        (["--vip", "HL7", "--since", "1m"], 0, ""),  # of before, when the site had it
        (["--server", "two", "--since", "1m"], 0, ""),
        (["--server", "192.0.2.1", "--since", "1m"], 0, ""),
    ],
)
def test_a_label_that_neither_the_site_nor_the_log_has_is_a_slip_and_not_nothing(
    place, ran, tmp_path, arguments, code, says
):
    one = server("one", "192.0.2.1:80")
    (tmp_path / "none.toml").write_text(site(vip("WEB", "192.0.2.9:80", one), vip("QUIET", "192.0.2.8:80", one)))
    found, out, said = ran(place, "log", *arguments)
    assert (found, out) == (code, "" if code else "nothing of that is in the log\n")
    assert says in said


def test_where_nothing_has_happened_it_says_so(ran, tmp_path):
    assert ran({"LBKIT_STATE": str(tmp_path)}, "log") == (0, "nothing of that is in the log\n", "")
    assert ran({"LBKIT_STATE": str(tmp_path)}, "log", "--json") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "yesterday"], "--since 'yesterday' is no time. Give a span, such as 2h or 30m, or a time"),
        (["--since", "25:00"], "is no time"),
        (["--since", "0001-01-01"], "is no time"),
        (["--kind", "server-sad"], "--kind 'server-sad': there is no such kind of event. Give one of server-down,"),
        (["--level", "panic"], "panic"),
        (["-n", "0"], "'-n'"),
    ],
)
def test_misuse_is_exit_3_with_a_message_and_nothing_on_stdout(place, ran, arguments, says):
    code, out, said = ran(place, "log", *arguments)
    assert (code, out) == (3, "")
    assert says in said


def test_a_log_out_of_reach_is_exit_3_with_a_message(ran, tmp_path):
    (tmp_path / "events").write_text("")
    code, out, said = ran({"LBKIT_STATE": str(tmp_path)}, "log")
    assert (code, out) == (3, "")
    assert said.startswith(f"lbkit: the log of events in {tmp_path}/events can't be read: Not a directory")


def test_who_follows_gets_what_comes_until_ctrl_c(place, tmp_path):
    command = ["env", "--default-signal=INT", LBKIT, "log", "-n", "1", "--follow", "--json", "--level", "warning"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | place
    ) as it:
        assert Event.of(json.loads(it.stdout.readline())) == EVENTS[2]
        more = [Event(kind, "now", when=NOW) for kind in ("test", "failover", "server-up", "peer-lost")]
        for one in more:
            EventLog(tmp_path).append([one])
        assert [Event.of(json.loads(it.stdout.readline())) for _ in range(2)] == [more[1], more[3]]
        it.send_signal(signal.SIGINT)
        try:
            assert (it.wait(10), it.stdout.read(), it.stderr.read()) == (0, "", "")
        finally:
            it.kill()


def test_who_follows_so_slowly_that_events_are_gone_is_told_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(log, "SEGMENT", 200)
    monkeypatch.setattr(log, "KEPT", 3)
    events = EventLog(tmp_path)
    for number in range(20):
        events.append([Event("test", str(number), when=NOW)])

    def until_the_last(event):
        if event.text == "19":
            raise KeyboardInterrupt
        return True

    _follow(events, log.Place(), until_the_last, as_json=False)
    assert capsys.readouterr().err.endswith("files of the log are gone, with events in them that were not shown yet\n")


def test_kinds_vips_and_real_servers_are_completed(place, tmp_path):
    assert completed("lbkit log --kind server-", place) == ["server-down", "server-up"]
    assert completed("lbkit log --vip ", place) == []
    (tmp_path / "none.toml").write_text(site(vip("WEB", "192.0.2.9:80", server("one", "192.0.2.1:80"))))
    assert completed("lbkit log --vip W", place) == ["WEB"]
    assert completed("lbkit log --vip WEB --server ", place) == ["one"]
