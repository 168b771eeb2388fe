"""Tests that a pytest of their own runs, beside the others.

Most tests wait: for programs that start, for time to pass. One after the other they would take three times as long. A folder
that is run alone (`pytest tests/unit`) is run as any.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from elsewhere import TAIL, Elsewhere

_STOPS_WITHIN = 5.0  # seconds


class Beside(Elsewhere):
    """Another process. `modest`: it takes what the others leave of the CPUs, for it has nothing that must be in time."""

    _process: subprocess.Popen[str] | None = None

    def __init__(
        self, config: pytest.Config, items: list[pytest.Item], runs: Callable[[Path], bool], modest: bool
    ) -> None:
        super().__init__(config, items, runs)
        self._modest = modest

    def run(self, command: list[str], timeout: float, environment: Mapping[str, str]) -> str:
        self._config.add_cleanup(self._stop)
        self._process = subprocess.Popen(
            ["nice", "-n", "15", *command] if self._modest else command,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
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
