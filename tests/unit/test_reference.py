"""docs/checks.md says what the checks declare, docs/site.md what a site file may hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TOOLS = Path(__file__).parent.parent.parent / "tools"


def test_the_reference_pages_are_up_to_date():
    spec = importlib.util.spec_from_file_location("reference", TOOLS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    for path, text in reference.pages().items():
        assert path.read_text() == text, "run `make docs`"
