"""Every way in which a DICOM server can fail or be odd: the verdict, the step and the reason, in time, through each door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from interop.doors import Door, probe

from lbkit.checks.many import Checker
from lbkit.checks.registry import Registry
from lbkit.checks.result import Result
from lbkit_demo.faults import FAULTS, Fault

TIMEOUT = 0.6
LATE = 0.3  # seconds after the timeout at which the longest check has ended
PROCESS_START = 0.3  # seconds more for a probe on a busy machine


@pytest.fixture(scope="module", params=FAULTS, ids=lambda fault: fault.name)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Fault, str]]:
    """A fault, and the target at which it is served."""
    fault: Fault = request.param
    with fault.serve() as (host, port):
        yield fault, f"{host}:{port}"


def test_each_fault_is_told_by_its_step_and_reason_in_time(served: tuple[Fault, str], door: Door) -> None:
    fault, target = served
    start = time.monotonic()
    said = door("c-echo", target, timeout=TIMEOUT)
    took = time.monotonic() - start
    assert said.verdict == fault.expected, said.message
    assert said.duration < TIMEOUT + LATE
    assert took < TIMEOUT + LATE + (PROCESS_START if door is probe else 0)


def test_side_by_side_no_fault_disturbs_the_verdict_on_another() -> None:
    """All of them in one Checker; the whole lasts as long as one that runs into its timeout."""
    with ExitStack() as servers:
        targets = {"{}:{}".format(*servers.enter_context(fault.serve())): fault for fault in FAULTS}
        results, seconds = asyncio.run(_check_all(list(targets)))
    found = {targets[r.target].name: (r.status, r.step, r.reason) for r in results}
    assert found == {fault.name: fault.expected for fault in FAULTS}
    assert max(result.duration for result in results) < TIMEOUT + LATE
    assert seconds < 2 * TIMEOUT


async def _check_all(targets: list[str]) -> tuple[list[Result], float]:
    check = Registry().kind("c-echo").prepare({"timeout": TIMEOUT})
    async with Checker() as checker:
        start = time.monotonic()
        results = await asyncio.gather(*(checker.start(check, check.target(target)) for target in targets))
        return results, time.monotonic() - start
