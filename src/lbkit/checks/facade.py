"""`check`, `acheck` and `check_many`: checks by name, for programs that embed lbkit. Only the last two import asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import cache
from typing import Any

from lbkit.checks.registry import Registry
from lbkit.checks.result import Result


@cache
def _registry() -> Registry:
    return Registry()


def check(name: str, target: str, **params: Any) -> Result:
    """Run one check and block until its verdict: `check("c-echo", "192.32.40.210:104", timeout=2)`.

    Raises UnknownCheck, PluginBroken, Misuse (parameters, target) and CannotRun; never for what the remote does.
    """
    ready = _registry().kind(name).prepare(params)
    return ready.run(ready.target(target))


async def acheck(name: str, target: str, **params: Any) -> Result:
    """The same for asyncio; raises the same."""
    from lbkit.checks.many import Checker

    ready = _registry().kind(name).prepare(params)
    async with Checker() as checker:
        return await checker.start(ready, ready.target(target))


async def check_many(name: str, targets: Iterable[str], *, at_once: int = 1000, **params: Any) -> AsyncIterator[Result]:
    """Check many targets side by side, at most `at_once` at a time; results come as they are found.

    A target that is given twice is checked once and yielded twice. Raises as `check` does, before the first is run.
    """
    from lbkit.checks.many import run_many

    ready = _registry().kind(name).prepare(params)
    parsed = [(ready, ready.target(target)) for target in targets]
    async for result in run_many(parsed, at_once):
        yield result
