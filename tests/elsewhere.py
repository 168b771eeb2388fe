"""Tests that a pytest of their own runs elsewhere, all at once, while those of before them run here.

Here each of them stands under its own name with the outcome that it had there.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

REPORTS = "LBKIT_TEST_REPORTS"  # there: the file for the reports, one a line
ONE_BY_ONE = "LBKIT_TESTS_ONE_BY_ONE"  # set: nothing runs beside anything
SECONDS_A_TEST = 30.0  # of the time limit for all
HANGS_AFTER = 400.0  # seconds, more than ipvs_kernel.run waits; the stacks are dumped, and the rest is not come to
TAIL = 8000  # characters of an output that a failure shows


class Elsewhere(ABC):
    """Where tests run that mostly wait: for a machine that starts, for time to pass."""

    def __init__(self, config: pytest.Config, items: list[pytest.Item], runs: Callable[[Path], bool]) -> None:
        """Each of `items` whose file it runs is replaced by one that stands for it."""
        self._config = config
        for at, item in enumerate(items):
            if runs(item.path):
                items[at] = Stand.from_parent(item.parent, test=item, place=self)
        self._nodeids = [item.nodeid for item in items if isinstance(item, Stand) and item.place is self]
        self._ended = "it could not be started; see the exception in its thread"
        self._thread: Thread | None = None
        self._reports: dict[tuple[str, str], pytest.TestReport] = {}
        config.stash.setdefault(PLACES, []).append(self)

    @abstractmethod
    def run(self, command: list[str], timeout: float, environment: Mapping[str, str]) -> str:
        """Run it there to its end; in words how it ended, with what it wrote."""

    def can_run(self) -> bool:
        """Whether this machine has what it takes."""
        return True

    def report(self, nodeid: str, when: str) -> pytest.TestReport | None:
        """What came of one phase of a test; None: nothing, or of a test that did not come to its end."""
        return self._reports.get((nodeid, when)) if (nodeid, "teardown") in self._reports else None

    def start(self) -> None:
        """Once; where it can't run, not at all."""
        if self._thread is None and self._nodeids and self.can_run():
            self._thread = Thread(target=self._run, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until all have been run."""
        self.start()
        assert self._thread is not None
        self._thread.join()

    def why_not(self) -> str:
        """Why there is no report."""
        said, self._ended = self._ended, "see the first of these tests"
        return f"not run, or not to its end: {said}"

    def _run(self) -> None:
        hanging = f"-o faulthandler_timeout={HANGS_AFTER} -o faulthandler_exit_on_timeout=true"
        place = ("--rootdir", str(self._config.rootpath), "-c", str(self._config.inipath))
        with tempfile.NamedTemporaryFile("w+") as asked, tempfile.NamedTemporaryFile("r") as reports:
            asked.writelines(f"{nodeid}\n" for nodeid in self._nodeids)  # more than a command line takes
            asked.flush()
            command = [sys.executable, *f"-m pytest -p no:cacheprovider {hanging}".split(), *place, f"@{asked.name}"]
            environment = {REPORTS: reports.name, "PYTHONDONTWRITEBYTECODE": "1"}
            self._ended = self.run(command, HANGS_AFTER + SECONDS_A_TEST * len(self._nodeids), environment)
            for line in (line for line in reports if line.endswith("\n")):  # it may have died within one
                data = ast.literal_eval(line)  # JSON would make lists of the tuples in it
                report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
                self._reports[report.nodeid, report.when] = report


class Stand(pytest.Item):
    """Stands for a test that runs there."""

    def __init__(self, *, test: pytest.Item, place: Elsewhere, **more: Any) -> None:
        super().__init__(name=test.name, **more)
        self.place = place
        self.reportinfo = test.reportinfo

    def setup(self) -> None:
        self.place.wait()
        if self.place.report(self.nodeid, "setup") is None:
            pytest.fail(self.place.why_not(), pytrace=False)

    def runtest(self) -> None:
        """It has been run."""


class Reporter:
    """There: hands over what comes of each test, as soon as it has come."""

    def __init__(self, config: pytest.Config, file: str) -> None:
        self._config = config
        self._file = open(file, "a", buffering=1)  # noqa: SIM115  (now: some tests become another user for a while)
        config.add_cleanup(self._file.close)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(f"{data!r}\n")


PLACES = pytest.StashKey[list[Elsewhere]]()


# What follows is for a conftest.py above the folders.


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with `&`; what tests start would never end by Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if REPORTS in os.environ:
        config.pluginmanager.register(Reporter(config, os.environ[REPORTS]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    if not session.config.option.collectonly and ONE_BY_ONE not in os.environ:
        for place in session.config.stash.get(PLACES, []):
            place.start()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    own = yield
    if own.failed or not isinstance(item, Stand):
        return own
    return item.place.report(item.nodeid, call.when) or own
