"""A pair for the tests of a module, whole again before each of them.

Among other tests those of this folder are run by a pytest beside: they wait for VRRP most of the time, and so do not make
the whole longer. Alone (`pytest tests/system/pair`) they run as any test.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from system.elsewhere import REPORTS, TAIL, Elsewhere
from system.pair.cluster import Cluster, cluster

_HERE = Path(__file__).parent
_STOPS_WITHIN = 5.0  # seconds


class Beside(Elsewhere):
    """Another process."""

    _process: subprocess.Popen[str] | None = None

    def run(self, command: list[str], timeout: float, environment: Mapping[str, str]) -> str:
        self._config.add_cleanup(self._stop)
        self._process = subprocess.Popen(
            command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said = self._process.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            said = f"its time ran out\n{self._process.communicate()[0]}"
        return f"exit code {self._process.returncode}\n{said[-TAIL:]}"

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_STOPS_WITHIN)


@pytest.hookimpl(trylast=True)  # when all that is deselected is gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if REPORTS not in os.environ and any(_HERE not in item.path.parents for item in items):
        items.sort(key=lambda item: _HERE in item.path.parents)  # last, when they have been run
        Beside(config, items, _HERE)


@pytest.fixture(scope="module")
def running_pair() -> Iterator[Cluster]:
    """As it is after a boot, at 1 s adverts."""
    with cluster() as made:
        yield made


@pytest.fixture
def pair(running_pair: Cluster) -> Iterator[Cluster]:
    """One master, both nodes fit, all cables in; which node is the master is open."""
    running_pair.restore()
    yield running_pair
    print(running_pair.logs())  # pytest shows it where the test has failed
