"""Every check of a site, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lbkit.checks.many import Checker
from lbkit.checks.plan import CANNOT_RUN, Planned
from lbkit.checks.result import Result
from lbkit.errors import CannotRun


@dataclass(frozen=True, slots=True)
class Found:
    """What one check of a site found. `server` None: of the VIP itself."""

    vip: str
    server: str | None
    result: Result

    def as_dict(self) -> dict[str, Any]:
        """The object that `lbkit check site --json` prints; the keys are stable."""
        return {"vip": self.vip, "server": self.server, **self.result.as_dict()}


async def survey(planned: Sequence[Planned], at_once: int = 1000) -> AsyncIterator[tuple[int, Found]]:
    """Run them all, equal ones once; yields each one's number in `planned` with what was found, as it is found."""
    ended: asyncio.Queue[tuple[int, asyncio.Future[Result]]] = asyncio.Queue()
    async with Checker(at_once) as checker:
        for number, one in enumerate(planned):
            if one.check is None:
                yield number, _found(one, not_testable(one, one.reason, one.message))
                continue
            future = checker.start(one.check, one.target)
            future.add_done_callback(lambda future, number=number: ended.put_nowait((number, future)))  # type: ignore[misc]
        for _ in range(sum(one.check is not None for one in planned)):
            number, future = await ended.get()
            one = planned[number]
            try:
                yield number, _found(one, future.result())
            except CannotRun as e:
                yield number, _found(one, not_testable(one, CANNOT_RUN, str(e)))


# exit codes, the worst first: down, could not be run, up with a warning, up (or not testable here)
SEVERITY = (2, 3, 1, 0)


def code_of(result: Result) -> int:
    """The exit code that one result alone comes to."""
    return 3 if result.reason == CANNOT_RUN else result.exit_code


def exit_code(results: Iterable[Result]) -> int:
    """The worst of all."""
    return min(map(code_of, results), key=SEVERITY.index, default=0)


def counts(found: Sequence[Found]) -> dict[str, int]:
    """How many are up, down, not testable, and up with warnings."""
    statuses = [one.result.status for one in found]
    warned = sum(one.result.exit_code == 1 for one in found)
    return {
        "up": statuses.count("up"),
        "down": statuses.count("down"),
        "not_testable": statuses.count("not-testable"),
        "warnings": warned,
    }


def not_testable(one: Planned, reason: str, message: str) -> Result:
    """The place of a check that could not be run."""
    return Result(one.kind, str(one.target), "not-testable", "", reason, message, 0.0)


def _found(one: Planned, result: Result) -> Found:
    return Found(one.vip, one.server, result)
