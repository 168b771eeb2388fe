"""The Prometheus text format: pinned once, and read back by Prometheus's own client library."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from lbkit.checks.exposition import exposition
from lbkit.checks.result import Result


def result(status="up", target="192.0.2.1:104", **changes):
    found = {
        "check": "c-echo",
        "target": target,
        "status": status,
        "step": "echo",
        "reason": "ok" if status == "up" else "echo-status",
        "message": "what it said",
        "duration": 0.25,
        "steps": {"connect": 0.125, "echo": 0.0625},
    }
    return Result(**(found | changes))


def samples(text):
    """{(metric, labels): value} as Prometheus's client reads it; no series may come twice."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        for sample in family.samples:
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in found
            found[series] = sample.value
    return found


def values(text, metric):
    return [value for (name, _), value in samples(text).items() if name == metric]


def test_the_text_of_one_up_and_one_down_is_pinned():
    warned = result(details={"warnings": ["the certificate expires in 3 days"], "notes": ["odd"]})
    rows = [({"vip": "CCG"}, warned), ({"vip": "CCG"}, result("down", target="192.0.2.2:104", duration=1e-05))]
    one = 'check="c-echo",target="192.0.2.1:104",vip="CCG"'
    other = 'check="c-echo",target="192.0.2.2:104",vip="CCG"'
    assert exposition(rows) == (
        "# HELP lbkit_check_up Whether the check found the target up (1) or down (0).\n"
        "# TYPE lbkit_check_up gauge\n"
        f"lbkit_check_up{{{one}}} 1\n"
        f"lbkit_check_up{{{other}}} 0\n"
        "# HELP lbkit_check_warnings How many warnings the check gave.\n"
        "# TYPE lbkit_check_warnings gauge\n"
        f"lbkit_check_warnings{{{one}}} 1\n"
        f"lbkit_check_warnings{{{other}}} 0\n"
        "# HELP lbkit_check_duration_seconds How long the check took.\n"
        "# TYPE lbkit_check_duration_seconds gauge\n"
        f"lbkit_check_duration_seconds{{{one}}} 0.25\n"
        f"lbkit_check_duration_seconds{{{other}}} 1e-05\n"
        "# HELP lbkit_check_step_duration_seconds How long each step of the check took.\n"
        "# TYPE lbkit_check_step_duration_seconds gauge\n"
        f'lbkit_check_step_duration_seconds{{{one},step="connect"}} 0.125\n'
        f'lbkit_check_step_duration_seconds{{{one},step="echo"}} 0.0625\n'
        f'lbkit_check_step_duration_seconds{{{other},step="connect"}} 0.125\n'
        f'lbkit_check_step_duration_seconds{{{other},step="echo"}} 0.0625\n'
        "# HELP lbkit_check_failure 1 for each target that is down, with the step that failed and the reason code.\n"
        "# TYPE lbkit_check_failure gauge\n"
        f'lbkit_check_failure{{{other},step="echo",reason="echo-status"}} 1\n'
    )


def test_without_results_there_is_no_text():
    assert exposition([]) == ""


def test_a_metric_without_samples_is_not_announced():
    assert "lbkit_check_failure" not in exposition([({}, result())])


def test_nothing_that_a_remote_said_comes_in():
    said = result("down", message="SAID", details={"warnings": ["SAID"], "notes": ["SAID"], "banner": "SAID"})
    assert "SAID" not in exposition([({}, said)])


def test_of_equal_labels_the_first_counts_in_whatever_order_the_labels_stand():
    first, second = {"vip": "A", "server": "B"}, {"server": "B", "vip": "A"}
    text = exposition([(first, result(duration=1)), (second, result("down", duration=2, steps={"dns": 1}))])
    assert values(text, "lbkit_check_up") == [1]
    assert values(text, "lbkit_check_duration_seconds") == [1]
    assert "dns" not in text
    assert "lbkit_check_failure" not in text


def test_one_target_of_two_vips_is_two_series():
    text = exposition([({"vip": "A"}, result()), ({"vip": "B"}, result("down"))])
    assert values(text, "lbkit_check_up") == [1, 0]


def test_what_is_not_testable_is_neither_up_nor_down_and_has_its_reason():
    one = result("not-testable")
    one.reason, one.steps = "not-testable-here", {}
    samples = [line for line in exposition([({}, one)]).splitlines() if not line.startswith("#")]
    assert samples == [
        f'lbkit_check_not_testable{{check="{one.check}",target="{one.target}",reason="not-testable-here"}} 1'
    ]


@pytest.mark.parametrize(
    "odd", ['"', "\\", "\n", '\\"', "\\n", "a\\\nb", "}", ",", "=", "#", "{", " ", "é\r\x85\u2028"]
)
def test_a_label_reads_back_as_it_was(odd):
    text = exposition([({"server": f"x{odd}y"}, result())])
    assert ("server", f"x{odd}y") in next(labels for name, labels in samples(text) if name == "lbkit_check_up")
    assert text.count("\n") == len(text.split("\n")) - 1 == 3 + 3 + 3 + 4


LABELS = st.dictionaries(st.sampled_from(["vip", "server", "node"]), st.text("aé\\\"\n,=}{ '#", min_size=1, max_size=4))
SECONDS = st.floats(0, 3600)
STEPS = st.dictionaries(st.sampled_from(["dns", "connect", "tls", "echo"]), SECONDS)


@given(
    st.lists(
        st.tuples(
            LABELS,
            st.builds(
                result,
                st.sampled_from(["up", "down"]),
                st.sampled_from(["192.0.2.1:104", "[2001:db8::1]:104"]),
                duration=SECONDS,
                steps=STEPS,
            ),
        ),
        max_size=5,
    )
)
def test_every_first_result_of_its_labels_reads_back_to_six_digits(rows):
    wanted = {}
    seen = set()
    for labels, found in rows:
        series = frozenset({"check": "c-echo", "target": found.target, **labels}.items())
        if series in seen:
            continue
        seen.add(series)
        wanted["lbkit_check_up", series] = int(found.status == "up")
        wanted["lbkit_check_warnings", series] = 0
        wanted["lbkit_check_duration_seconds", series] = found.duration
        for step, seconds in found.steps.items():
            wanted["lbkit_check_step_duration_seconds", series | {("step", step)}] = seconds
        if found.status == "down":
            wanted["lbkit_check_failure", series | {("step", "echo"), ("reason", "echo-status")}] = 1
    assert samples(exposition(rows)) == pytest.approx(wanted, rel=1e-5)


def test_the_command_line_prints_it_and_the_exit_code_stays_that_of_the_worst(listener):
    remote = listener(lambda client: client.recv(1))
    gone = listener(lambda client: None)
    gone.close()
    lbkit = Path(sys.executable).parent / "lbkit"
    ran = subprocess.run(
        [lbkit, "check", "connect", remote.target, gone.target, "--format", "prometheus"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 2
    found = samples(ran.stdout)
    assert found["lbkit_check_up", frozenset({"check": "connect", "target": remote.target}.items())] == 1
    down = {"check": "connect", "target": gone.target, "step": "connect", "reason": "refused"}
    assert found["lbkit_check_failure", frozenset(down.items())] == 1
