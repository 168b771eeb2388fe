"""docs/checks.md says what the checks declare."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TOOLS = Path(__file__).parent.parent.parent / "tools"


def test_the_reference_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("reference", TOOLS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text() == reference.page(), "run `make docs`"
