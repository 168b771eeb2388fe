"""A load balancer as packaging/README.md installs it: Debian's units and lbkit's, under systemd and a kernel with IPVS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from interop.remotes import program
from system import installed_node
from system.ipvs_kernel import PACKAGE, PROGRAM, run
from system.wheels import run as run_here
from system.wheels import unpack

GUEST = Path(__file__).with_name("installed_node.py")
PYTHON = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def said(wheels, tmp_path_factory) -> dict[str, tuple[int, str]]:
    """What each step of installed_node.py said."""
    program(PROGRAM, PACKAGE)
    program("haproxy", "haproxy")
    program("snmpd", "snmpd")
    program("systemd-analyze", "systemd")
    program(str(PYTHON), "python3")
    theirs = run_here(PYTHON, "-c", "import sys; print(*sys.version_info[:2])").stdout.split()
    if theirs != [str(part) for part in sys.version_info[:2]]:
        pytest.skip(reason=f"the dependencies here are for this Python, and {PYTHON} is {'.'.join(theirs)}")
    ours = unpack(wheels, tmp_path_factory.mktemp("ours"))
    others = Path(pytest.__file__).parents[1]
    ended = run([str(PYTHON), str(GUEST), str(ours), str(others)], systemd=True)
    assert ended.code == 0, ended.output + ended.console
    return json.loads(ended.output)


def output(said, step: str) -> str:
    """That of a step that went well."""
    code, text = said[step]
    assert code == 0, text
    return text


def test_each_command_of_the_readme_for_one_load_balancer_works(said):
    output(said, "once")
    output(said, "snmpd may ask")
    for step in installed_node.readme("One load balancer"):
        output(said, step)
    assert "site CCW" in output(said, "systemctl status lbkit-agent; lbkit agent --status")


def test_no_unit_has_failed(said):
    assert output(said, "failed units") == ""


def test_the_hardened_agent_is_refused_nothing_that_it_needs(said):
    text = output(said, "agent's log")
    assert "added 10.9.0.51:104/tcp -> 10.9.0.61:104" in text
    for word in ("denied", "not permitted", "Traceback", "Read-only"):
        assert word not in text


def test_metrics_are_served_and_hold_what_haproxy_checks(said):
    assert '{vip="WEB",server="WEB_2",health="up"} 1' in output(said, "metrics")


@pytest.mark.parametrize("version", ["SNMPv2c", "SNMPv3"])
def test_the_units_snmpd_answers_for_the_agent_also_after_a_reload(said, version):
    assert output(said, f"read by {version}").split() == ['"WEB"', '"DICOM"']


def test_snmpds_user_may_ask_the_agent_for_its_state_and_nothing_else(said):
    doors = dict(line.split(" ", 1)[::-1] for line in output(said, "doors of the agent").splitlines())
    assert doors["lbkit Debian-snmp /run/lbkit/snmp"] == "drwxr-s---"
    assert doors["lbkit lbkit /run/lbkit/agent.sock"] == "srw-rw----"
    code, text = said["snmpd asks for more"]
    assert (code, "NotDone: the agent says: this is no question" in text) == (1, True), text


def test_a_member_of_the_two_groups_who_is_not_root_drains(said):
    assert "WEB_1" in output(said, "an operator drains")


def test_the_journal_has_the_fields_of_events_from_the_agent_and_from_a_verb(said):
    (death,) = map(json.loads, output(said, "death in the journal").splitlines())
    told = {name: death[name] for name in ("LBKIT_VIP", "LBKIT_SERVER", "LBKIT_REASON", "PRIORITY", "_SYSTEMD_UNIT")}
    assert told == {
        "LBKIT_VIP": "DICOM", "LBKIT_SERVER": "DICOM_1", "LBKIT_REASON": "refused", "PRIORITY": "4",
        "_SYSTEMD_UNIT": "lbkit-agent.service",
    }  # fmt: skip
    (drained,) = map(json.loads, output(said, "audit in the journal").splitlines())
    assert (drained["LBKIT_WHO"].partition("@")[0], drained["LBKIT_WHY"]) == ("anna", "updates")


def test_systemd_starts_a_killed_agent_again_and_ipvs_stays_as_it_was(said):
    table = output(said, "table")
    assert "10.9.0.62:104" in table
    assert "10.9.0.61:104" not in table
    assert output(said, "agent is killed") == output(said, "table with the agent") == table
    assert "NRestarts=1\n" in output(said, "agent is back")


def test_a_reload_and_a_stop_of_the_unit_go_well(said):
    assert output(said, "reload") == "active\n"
    assert set(output(said, "stop").split()) == {"Result=success", "ActiveState=inactive"}
