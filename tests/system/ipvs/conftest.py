"""The tests of this folder run under a kernel that has IPVS: all that were selected, in one boot, by a pytest in there.

Where User Mode Linux is missing they are skipped. In the kernel itself
(`python tests/system/ipvs_kernel.py .venv/bin/pytest tests/system/ipvs`) they run as any test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from elsewhere import TAIL, Elsewhere
from hypothesis import settings
from interop.remotes import program
from system.ipvs_kernel import PACKAGE, PROGRAM, run
from system.ipvs_kernel_init import INSIDE

MODULES = (
    *("iptable_filter", "iptable_mangle", "iptable_raw", "ip6table_mangle"),
    *("xt_mark", "xt_tcpudp", "xt_conntrack", "xt_CT", "sch_netem"),
)


class Guest(Elsewhere):
    """That kernel."""

    def can_run(self) -> bool:
        return shutil.which(PROGRAM) is not None

    def wait(self) -> None:
        program(PROGRAM, PACKAGE)
        super().wait()

    def run(self, command: list[str], timeout: float, environment: Mapping[str, str]) -> str:
        ended = run(command, timeout=timeout, modules=MODULES, environment=environment)
        how = {None: "the kernel died, or did not come up", 124: "its time ran out"}.get(
            ended.code, f"exit code {ended.code}"
        )
        return f"{how}\n{ended.output[-TAIL:]}\n--- console\n{ended.console[-TAIL:]}"


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get(INSIDE):
        settings.register_profile("slow", database=None, deadline=None)
        settings.load_profile("slow")


@pytest.hookimpl(trylast=True)  # when all that is deselected is gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not os.environ.get(INSIDE):
        Guest(config, items, lambda file: file.parent == Path(__file__).parent)
