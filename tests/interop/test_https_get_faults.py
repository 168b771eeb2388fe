"""Every way in which a web server can fail: verdict, step and reason, in time, in TLS and without, through each door."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias

import pytest
from interop.doors import Door
from interop.http_faults import FAULTS, Fault

from lbkit.checks.many import Checker
from lbkit.checks.registry import Registry
from lbkit.checks.result import Result
from lbkit.testing import Listener, Script, ThrowawayCA

Listen: TypeAlias = Callable[[Script], Listener]

TIMEOUT = 0.6
LATE = 0.5  # seconds after the timeout at which the longest check has ended on a busy machine


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_told_by_its_step_and_reason_in_time(fault: Fault, listener: Listen, door: Door) -> None:
    said = door("https-get", listener(fault.play).target, tls=False, timeout=TIMEOUT)
    assert said.verdict == fault.expected, said.message
    assert said.duration < TIMEOUT + LATE


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_told_the_same_inside_tls(
    fault: Fault, listener: Listen, throwaway_ca: ThrowawayCA, door: Door
) -> None:
    context = throwaway_ca.server_context()

    def play(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secured:
            fault.play(secured)

    said = door("https-get", listener(play).target, ca_file=throwaway_ca.ca_file, timeout=TIMEOUT)
    assert said.verdict == fault.expected, said.message
    assert said.duration < TIMEOUT + LATE


def test_side_by_side_no_fault_disturbs_the_verdict_on_another() -> None:
    """All of them in one Checker."""
    with ExitStack() as servers:
        targets = {servers.enter_context(Listener(fault.play)).target: fault for fault in FAULTS}
        results = asyncio.run(_check_all(list(targets)))
    found = {targets[r.target].name: (r.status, r.step, r.reason) for r in results}
    assert found == {fault.name: fault.expected for fault in FAULTS}


async def _check_all(targets: list[str]) -> list[Result]:
    check = Registry().kind("https-get").prepare({"timeout": TIMEOUT, "tls": False})
    async with Checker() as checker:
        return await asyncio.gather(*(checker.start(check, check.target(target)) for target in targets))
