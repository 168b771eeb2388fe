"""What the pages lead to is there, and docs/events.md has every kind of event."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from lbkit.state.events import LEVELS, EventKind

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("packaging/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_leads_to_is_there(page):
    text = page.read_text()
    led = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    named = re.findall(r"`((?:packaging|docs|src|examples|plugins)/[\w./-]+)`", text)
    missing = [one for one in led if not (page.parent / one).exists()]
    assert not missing + [one for one in named if not (ROOT / one).exists()]


def test_the_page_of_events_has_every_kind_with_its_level():
    _, told, _ = re.split(r"<!-- /?events -->", (ROOT / "docs/events.md").read_text())
    rows = re.findall(r"^\| (`.*?) \| (\w+) \|", told, re.M)
    found = {kind: level for kinds, level in rows for kind in re.findall(r"`([\w-]+)`", kinds)}
    assert found == {kind: LEVELS.get(kind, "info") for kind in get_args(EventKind)}
