"""`lbkit lint`: everything that is wrong with a site file, and what is legal in it and dangerous.

An error can't work; a warning works, and hurts one day. `lbkit.site.rules` has the errors that a site can't be loaded with;
here are the warnings (`services`, `layer4`, `pair`, `transparent`), what the certificates' files say (`certificates`), what
keeps mail from being sent (`alerts`), what plugins that take events say of their settings (`receivers`), who would be
answered by SNMP (`snmp`), and what the engine of layer 7 can't do (`haproxy`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from lbkit.checks.plan import KindOf
from lbkit.lint import alerts, certificates, haproxy, layer4, pair, receivers, services, snmp, transparent
from lbkit.site.draft import Draft
from lbkit.site.findings import Finding, Problem
from lbkit.site.load import Kinds, read


def lint(
    file: str | os.PathLike[str], kinds: Kinds, now: datetime | None = None, kind_of: KindOf | None = None
) -> list[Finding]:
    """All findings, in the order of the file. `kinds`: the parameter model of each check. Raises Misuse: no file to read.

    `kind_of`: each check itself, for what engines can run of it; without, nobody asks.
    """
    reading = read(file, kinds)
    return reading.findings(*problems(reading.draft, kinds, now or datetime.now(UTC), kind_of))


def problems(draft: Draft, kinds: Kinds, now: datetime, kind_of: KindOf | None) -> Iterator[Problem]:
    """The same of the tables of a site file, without their places. `now`: UTC, timezone-aware."""
    yield from services.problems(draft, kinds)
    yield from layer4.problems(draft, kinds)
    yield from pair.problems(draft)
    yield from transparent.problems(draft)
    yield from certificates.problems(draft, now)
    yield from alerts.problems(draft)
    yield from receivers.problems(draft)
    yield from snmp.problems(draft)
    if kind_of:
        yield from haproxy.problems(draft, kind_of)
