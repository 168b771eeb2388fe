"""The three doors to a check: the blocking driver, the asyncio driver, and `lbkit-probe` in an empty environment.

`door("c-echo", target, aec="LB-SCP")`: the same of each.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import lbkit
from lbkit.checks.result import Result

PROBE = Path(sys.executable).with_name("lbkit-probe")
# Where the verdict on each check falls when it is up; the probe names no step then.
LAST_STEPS = {"c-echo": "echo", "https-get": "body", "mtls": "client-certificate"}
LINE = re.compile(
    r"(?P<check>\S+) (?P<where>\S+) (up|down at (?P<step>[\w-]+) \((?P<reason>[\w-]+)\)) (?P<ms>[\d.]+) ms: "
    r"(?P<message>.*)\n"
)


class Said(NamedTuple):
    """A verdict, as every door gives it. `details`: what the probe leaves out."""

    status: str
    step: str
    reason: str
    message: str
    duration: float
    details: dict[str, Any]

    @property
    def verdict(self) -> tuple[str, str, str]:
        return self.status, self.step, self.reason


Door: TypeAlias = Callable[..., Said]


def blocking(check: str, target: str, **options: Any) -> Said:
    return _said(lbkit.check(check, target, **options))


def in_asyncio(check: str, target: str, **options: Any) -> Said:
    return _said(asyncio.run(lbkit.acheck(check, target, **options)))


def probe(check: str, target: str, **options: Any) -> Said:
    host, port = target.split(":")
    words = [word for name, value in options.items() for word in _option(name, value)]
    command = [str(PROBE), check, "NOT_USED", "0", host, port, *words]
    limit = options.get("timeout", 5.0) + 5.0
    run = subprocess.run(command, env={}, capture_output=True, text=True, timeout=limit, check=False)
    line = LINE.fullmatch(run.stdout)
    assert line, f"exit code {run.returncode}: {run.stdout}{run.stderr}"
    assert line["check"] == check
    assert run.returncode == (1 if line["step"] else 0), run
    assert run.stderr == ""
    status = "down" if line["step"] else "up"
    seconds = float(line["ms"]) / 1000
    return Said(status, line["step"] or LAST_STEPS[check], line["reason"] or "ok", line["message"], seconds, {})


def _option(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    return [word for one in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(one))]


def _said(result: Result) -> Said:
    return Said(result.status, result.step, result.reason, result.message, result.duration, result.details)


DOORS: dict[str, Door] = {"blocking": blocking, "asyncio": in_asyncio, "probe": probe}
