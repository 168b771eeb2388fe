"""Many targets side by side, with a progress bar on a terminal and a closing line; both go to stderr."""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING

from lbkit.checks.many import run_many
from lbkit.checks.result import milliseconds

if TYPE_CHECKING:
    from rich.progress import Progress

    from lbkit.checks.kind import Check
    from lbkit.checks.result import Result
    from lbkit.checks.target import Target

AT_ONCE = 1000


def sweep(check: Check, targets: list[Target]) -> list[Result]:
    """Run one check against all targets; the results come in the order of the targets."""
    raise_file_limit()
    start = monotonic()
    found: dict[str, Result] = {}
    with progress() or nullcontext() as bar:
        task = bar.add_task(check.kind, total=len(targets), down=0) if bar else None

        async def run() -> None:
            down = 0
            async for result in run_many(((check, target) for target in targets), AT_ONCE):
                found[result.target] = result
                down += result.status == "down"
                if bar is not None and task is not None:
                    bar.update(task, advance=1, down=down)

        asyncio.run(run())
    results = [found[str(target)] for target in targets]
    up = sum(result.status == "up" for result in results)
    print(f"{up} up, {len(results) - up} down in {milliseconds(monotonic() - start)}", file=sys.stderr)
    return results


def progress() -> Progress | None:
    """A bar on stderr that counts what is down, where stderr is a terminal. Its tasks have a field `down`."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[down]} down"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def raise_file_limit() -> None:
    """As many open files as this process may have, and `AT_ONCE` checks can use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * AT_ONCE if hard == resource.RLIM_INFINITY else min(2 * AT_ONCE, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
