"""Checks by name and sites by file, for programs that embed lbkit. Only what is asynchronous imports asyncio."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from lbkit.checks.registry import Registry
from lbkit.checks.result import Result

if TYPE_CHECKING:
    from lbkit.checks.survey import Found
    from lbkit.site.model import Site


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


def load_site(file: str | os.PathLike[str] | None = None) -> Site:
    """Read a site file: `file`, or `LBKIT_SITE`, `./site.toml`, `/etc/lbkit/site.toml`, whichever is there first.

    Raises SiteInvalid (a Misuse) with every error in it, and Misuse where there is none.
    """
    from lbkit.site.found import site_file
    from lbkit.site.load import load_site as load

    return load(site_file(file), _registry().models())


async def check_site(
    site: Site, vips: Collection[str] = (), *, real: bool = True, virtual: bool = True
) -> AsyncIterator[Found]:
    """Check the real servers of these VIPs (none given: of all) and the VIPs themselves, side by side, equal checks once.

    What can't be run is found too, as "not-testable". Raises Misuse for a VIP that the site does not have.
    """
    from lbkit.checks.plan import plan
    from lbkit.checks.survey import survey

    async for _, found in survey(plan(site, _registry().kind, vips, real=real, virtual=virtual)):
        yield found
