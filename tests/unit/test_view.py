"""The detailed view of one result."""

from __future__ import annotations

import io

from rich.console import Console

from lbkit.checks.result import Result
from lbkit_cli.view import show


def test_a_list_of_tables_has_a_line_for_each_and_one_of_words_has_one():
    details = {
        "notes": ["one", "two"],
        "certificates": [{"whose": "remote", "days": 1}, {"whose": "client", "days": 2}],
    }
    out = io.StringIO()
    show(Result("mtls", "h:1", "up", "tls", "ok", "fine", 0.1, {"tls": 0.1}, details), Console(file=out, width=80))
    lines = [line.strip("│ \n") for line in out.getvalue().splitlines()]
    assert "notes         one; two" in lines
    assert lines[lines.index("certificates  whose remote, days 1") + 1] == "whose client, days 2"
