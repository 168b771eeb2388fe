"""The detailed view of one result."""

from __future__ import annotations

import io

from rich.console import Console

from lbkit.checks.result import Result
from lbkit.checks.survey import Found
from lbkit_cli.site_table import show as show_site
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


def test_what_a_check_quotes_is_harmless_in_the_table_of_a_site(capsys):
    result = Result("banner", "h:1", "down", "greeting", "other-greeting", "says \x1b[31mhello\nthere", 0.1)
    show_site("CCW", [Found("A", "a", result)], 0.1, verbose=False)
    assert "    says ?[31mhello?there\n" in capsys.readouterr().out


def test_what_has_nothing_to_say_is_left_out():
    details = {"servers": [{"server": "d1", "mac": None, "why": ""}], "arp": []}
    out = io.StringIO()
    show(Result("direct-routing", "h:1", "up", "syn", "ok", "fine", 0.1, {}, details), Console(file=out, width=80))
    lines = [line.strip("│ \n") for line in out.getvalue().splitlines()]
    assert "servers  server d1" in lines
    assert not any(line.startswith("arp") for line in lines)
