"""What one run found, in the forms in which it is shown to machines and on one line."""

import json

import pytest

from lbkit.checks.result import Result, milliseconds


def result(status="down", **changes):
    given = {
        "check": "c-echo",
        "target": "192.0.2.1:104",
        "status": status,
        "step": "echo",
        "reason": "ok" if status == "up" else "echo-status",
        "message": "answers C-ECHO with Success" if status == "up" else "answers with status 0110H",
        "duration": 0.0123456789,
        "steps": {"connect": 0.001, "associate": 0.0012345678, "echo": 0.01},
        "details": {"status": "0000H"},
    }
    return Result(**(given | changes))


def test_the_json_object_has_exactly_the_keys_that_scripts_rely_on():
    found = json.loads(result().as_json())
    assert list(found) == ["check", "target", "status", "step", "reason", "message", "duration_s", "steps", "details"]
    assert found == {
        "check": "c-echo",
        "target": "192.0.2.1:104",
        "status": "down",
        "step": "echo",
        "reason": "echo-status",
        "message": "answers with status 0110H",
        "duration_s": 0.012346,
        "steps": {"connect": 0.001, "associate": 0.001235, "echo": 0.01},
        "details": {"status": "0000H"},
    }


def test_the_json_object_stands_on_one_line():
    assert "\n" not in result(message="“disk\nfull”").as_json()
    assert "“" in result(message="“disk full”").as_json()


def test_the_line_of_what_is_up_says_how_long_it_took():
    assert result("up").line() == "up c-echo 192.0.2.1:104 12.3 ms: answers C-ECHO with Success"


def test_the_line_of_what_is_down_says_where_and_why():
    expected = "down c-echo 192.0.2.1:104 at echo (echo-status) 12.3 ms: answers with status 0110H"
    assert result().line() == expected


def test_the_line_ends_with_warnings_and_notes():
    beside = {"notes": ["no answer to the release"], "warnings": ["the certificate expires in 3 days"]}
    line = result("up", details=beside).line()
    assert line.endswith("Success [the certificate expires in 3 days; no answer to the release]")


@pytest.mark.parametrize(
    ("status", "details", "code"),
    [
        ("up", {}, 0),
        ("up", {"notes": ["odd"]}, 0),
        ("up", {"warnings": []}, 0),
        ("up", {"warnings": ["expires"]}, 1),
        ("down", {}, 2),
        ("down", {"warnings": ["expires"]}, 2),
    ],
)
def test_the_exit_code_is_0_up_1_with_a_warning_2_down(status, details, code):
    assert result(status, details=details).exit_code == code


def test_a_nagios_line_is_a_status_a_text_and_times():
    expected = (
        "C-ECHO CRITICAL - 192.0.2.1:104 answers with status 0110H | "
        "time=0.012346s;;;0 connect=0.001000s;;;0 associate=0.001235s;;;0 echo=0.010000s;;;0"
    )
    assert result().as_nagios() == expected


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"status": "up"}, "OK"), ({"status": "up", "details": {"warnings": ["expires"]}}, "WARNING"), ({}, "CRITICAL")],
)
def test_a_nagios_line_begins_with_the_word_of_its_exit_code(changes, word):
    assert result(**changes).as_nagios().startswith(f"C-ECHO {word} - ")


def test_a_nagios_line_has_one_bar_however_the_message_reads():
    line = result(message="it answers | 'x'=1").as_nagios()
    assert line.count("|") == 1
    assert "it answers / 'x'=1" in line


def test_a_nagios_warning_says_what_it_warns_of():
    line = result("up", details={"warnings": ["the certificate expires in 3 days"]}).as_nagios()
    assert "the certificate expires in 3 days" in line


def test_no_control_character_that_a_check_quotes_of_a_remote_reaches_a_terminal():
    odd = result("up", message="it says \x1b[31m\r\n\x9b\u202e", details={"notes": ["a\0b"], "warnings": ["c\nd"]})
    assert odd.line().isprintable()
    assert odd.as_nagios().isprintable()
    assert "it says ?[31m????" in odd.line()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.00 ms"), (0.000844, "0.84 ms"), (0.0123, "12.3 ms"), (0.5, "500.0 ms"), (1, "1.00 s"), (2.006, "2.01 s")],
)
def test_a_duration_reads_in_milliseconds_then_seconds(seconds, shown):
    assert milliseconds(seconds) == shown
