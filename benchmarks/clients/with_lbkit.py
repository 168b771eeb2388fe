"""lbkit's way: `check_many`."""

import asyncio
from collections import Counter

from benchmarks.clients import Job
from lbkit import check_many


async def check_all_targets(job: Job) -> Counter[str]:
    """Read the results as they come."""
    outcomes: Counter[str] = Counter()
    checks = check_many(job.check, job.targets, at_once=job.at_once, timeout=job.timeout_s, **job.options)
    async for result in checks:
        outcomes[result.status if result.status == "up" else result.reason] += 1
    return outcomes


def check_all(job: Job) -> Counter[str]:
    """Check every target and count the outcomes."""
    return asyncio.run(check_all_targets(job))
