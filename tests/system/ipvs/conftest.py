"""The tests of this folder run under a kernel that has IPVS: all that were selected, in one boot, by a pytest in there.

Here each of them stands under its own name with the outcome that it had there. Where User Mode Linux is missing they are
skipped. In the kernel itself (`python tests/system/ipvs_kernel.py .venv/bin/pytest tests/system/ipvs`) they run as any test.
"""

from __future__ import annotations

import ast
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import settings
from interop.remotes import program
from system.ipvs_kernel import PACKAGE, PROGRAM, Ended, run
from system.ipvs_kernel_init import INSIDE

HERE = Path(__file__).parent
MODULES = ("iptable_filter", "iptable_mangle", "ip6table_mangle", "xt_mark", "xt_tcpudp", "sch_netem")
REPORTS = "LBKIT_IPVS_REPORTS"  # in the kernel: the file for the reports, one a line
SECONDS_A_TEST = 30.0  # of the time limit for all
HANGS_AFTER = 120.0  # seconds; the stacks are dumped, and the rest is not come to
TAIL = 8000  # characters of an output that a failure shows


class Guest:
    """The kernel in which these tests are run, all at once, while those of before them run here: most of these wait."""

    def __init__(self, config: pytest.Config, nodeids: list[str]) -> None:
        self._config = config
        self._nodeids = nodeids
        self._ended: Ended | None = None
        self._thread: Thread | None = None
        self._reports: dict[tuple[str, str], pytest.TestReport] = {}

    def report(self, nodeid: str, when: str) -> pytest.TestReport | None:
        """What came of one phase of a test; None: nothing, or of a test that did not come to its end."""
        return self._reports.get((nodeid, when)) if (nodeid, "teardown") in self._reports else None

    def start(self) -> None:
        """Once; where there is no such kernel, not at all."""
        if self._thread is None and self._nodeids and shutil.which(PROGRAM):
            self._thread = Thread(target=self._run, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until all have been run."""
        program(PROGRAM, PACKAGE)
        self.start()
        assert self._thread is not None
        self._thread.join()

    def _run(self) -> None:
        hanging = f"-o faulthandler_timeout={HANGS_AFTER} -o faulthandler_exit_on_timeout=true"
        place = ("--rootdir", str(self._config.rootpath), "-c", str(self._config.inipath))
        command = [sys.executable, *f"-m pytest -p no:cacheprovider {hanging}".split(), *place, *self._nodeids]
        with tempfile.NamedTemporaryFile("r") as reports:
            self._ended = run(
                command,
                timeout=HANGS_AFTER + SECONDS_A_TEST * len(self._nodeids),
                modules=MODULES,
                environment={REPORTS: reports.name, "PYTHONDONTWRITEBYTECODE": "1"},
            )
            for line in (line for line in reports if line.endswith("\n")):  # a kernel may die within one
                data = ast.literal_eval(line)  # JSON would make lists of the tuples in it
                report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
                self._reports[report.nodeid, report.when] = report

    def why_not(self) -> str:
        """Why there is no report."""
        ended = self._ended
        if ended is None:
            return "the kernel could not be started; see the exception in its thread"
        how = {None: "the kernel died, or did not come up", 124: "its time ran out"}.get(
            ended.code, f"exit code {ended.code}"
        )
        return f"not run, or not to its end: {how}\n{ended.output[-TAIL:]}\n--- console\n{ended.console[-TAIL:]}"


class InGuest(pytest.Item):
    """Stands for a test that runs there."""

    def __init__(self, *, test: pytest.Item, **more: Any) -> None:
        super().__init__(name=test.name, **more)
        self.reportinfo = test.reportinfo

    def setup(self) -> None:
        guest = self.config.stash[GUEST]
        guest.wait()
        if guest.report(self.nodeid, "setup") is None:
            pytest.fail(guest.why_not(), pytrace=False)

    def runtest(self) -> None:
        """It has been run."""


class Reporter:
    """There: hands over what comes of each test, as soon as it has come."""

    def __init__(self, config: pytest.Config, file: str) -> None:
        self._config = config
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with open(self._file, "a") as reports:
            reports.write(f"{data!r}\n")


GUEST = pytest.StashKey[Guest]()


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get(INSIDE):
        settings.register_profile("slow", database=None, deadline=None)
        settings.load_profile("slow")
    if REPORTS in os.environ:
        config.pluginmanager.register(Reporter(config, os.environ[REPORTS]))


@pytest.hookimpl(trylast=True)  # when all that is deselected is gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get(INSIDE):
        return
    for at, item in enumerate(items):
        if HERE in item.path.parents:
            items[at] = InGuest.from_parent(item.parent, test=item)
    config.stash[GUEST] = Guest(config, [item.nodeid for item in items if isinstance(item, InGuest)])


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    if GUEST in session.config.stash and not session.config.option.collectonly:
        session.config.stash[GUEST].start()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    own = yield
    if own.failed or not isinstance(item, InGuest):
        return own
    return item.config.stash[GUEST].report(item.nodeid, call.when) or own
