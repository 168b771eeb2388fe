"""When a chapter of the demo's story is told right."""

from dataclasses import replace

import pytest

from lbkit.checks.result import Result
from lbkit.checks.survey import Found
from lbkit_demo.faults import by_name
from lbkit_demo.kinds import KINDS, fault_of
from lbkit_demo.story import PLOT, Chapter

FAULT = by_name("silent-at-echo")


def found(status="down", step="echo", reason="timed-out"):
    return Found("CCW_DICOM_1115", "DICOM_Server_2", Result("c-echo", "192.0.2.1:1115", status, step, reason, "", 0.0))


UP = found("up", "echo", "ok")
TOLD = Chapter(["CCW_DICOM_1115/DICOM_Server_2"], FAULT, [found()], [], None, [UP, found("not-testable", "", "")])


def test_it_is_told_when_the_fault_is_found_alone_and_seen_mended():
    assert TOLD.told


@pytest.mark.parametrize(
    "wrong",
    [
        {"found": [UP]},
        {"found": [found(step="associate")]},
        {"found": [found(reason="closed")]},
        {"found": [found(), UP]},
        {"found": []},
        {"others": [found()]},
        {"mended": [UP, found()]},
    ],
)
def test_it_is_not_told_when_anything_is_otherwise(wrong):
    assert not replace(TOLD, **wrong).told


def test_the_plot_breaks_every_kind_of_vip_in_at_least_a_dozen_ways():
    assert len(PLOT) >= 12
    assert len({server.partition("/")[0] for server, _ in PLOT}) >= 9


def test_every_kind_of_server_names_each_of_its_faults_once_and_the_healthy_one_first():
    for kind, faults in KINDS.items():
        names = [fault.name for fault in faults]
        assert len(set(names)) == len(names)
        assert names[0] == "healthy"
        assert all(fault_of(kind, name).name == name for name in names)
        assert faults[0].expected.status == "up"
