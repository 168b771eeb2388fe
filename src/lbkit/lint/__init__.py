"""`lbkit lint`: everything that is wrong with a site file, and what is legal in it and dangerous.

An error can't work; a warning works, and hurts one day. `lbkit.site.rules` has the errors that a site can't be loaded with;
here are the warnings (`services`) and what the certificates' files say (`certificates`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from lbkit.lint import certificates, services
from lbkit.site.draft import Draft
from lbkit.site.findings import Finding, Problem
from lbkit.site.load import Kinds, read


def lint(file: str | os.PathLike[str], kinds: Kinds, now: datetime | None = None) -> list[Finding]:
    """All findings, in the order of the file. `kinds`: the parameter model of each check. Raises Misuse: no file to read."""
    reading = read(file, kinds)
    return reading.findings(*_problems(reading.draft, kinds, now or datetime.now(UTC)))


def _problems(draft: Draft, kinds: Kinds, now: datetime) -> Iterator[Problem]:
    yield from services.problems(draft, kinds)
    yield from certificates.problems(draft, now)
