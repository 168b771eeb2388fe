"""What the pages tell to type can be typed: every command and every option in them is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lbkit_cli.main import app

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    "README.md",
    "packaging/README.md",
    "docs/metrics.md",
    "docs/pair.md",
    "docs/layer4.md",
    "docs/layer7.md",
    "docs/alerts.md",
    "docs/snmp.md",
    "docs/support.md",
    "docs/events.md",
]


def commands(page: str) -> Iterator[list[str]]:
    """Each `lbkit …` that is set as code, without what a shell takes for itself."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", page, re.S | re.M)
    prose = re.sub(r"^```.*?^```", "", page, flags=re.S | re.M)
    lines = [*"\n".join(fenced).splitlines(), *(line[4:] for line in prose.splitlines() if line.startswith("    "))]
    found = [one for line in lines for one in re.findall(r"(?:^|[$;&:] +|-measure )lbkit +([^;|#&]+)", line)]
    for one in (*found, *re.findall(r"`lbkit\s+([^`]+)`", prose)):
        yield re.sub(r"[][]", "", re.split(r" …| [>|] ?|;", one)[0]).split()


def wrong(words: list[str]) -> str:
    """What is not so in `lbkit WORDS`, "": all of it is."""
    here: Any = typer.main.get_command(app)
    for number, word in enumerate(words):
        if word.startswith("-"):
            name = word.partition("=")[0].rstrip(",")
            if name not in ["--help", *(one for parameter in here.params for one in parameter.opts)]:
                return f"{' '.join(words[:number])} has no option {name}"
        elif hasattr(here, "get_command"):
            found = here.get_command(typer.Context(here), word)
            if found is None:
                return f"there is no command {' '.join(words[: number + 1])}"
            here = found
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one(page):
    found = [words for words in commands((ROOT / page).read_text()) if words[:2] != ["check", "banner"]]  # the example
    assert found
    assert [said for words in found if (said := wrong(words))] == []


def test_what_is_no_command_is_found():
    page = "Type `lbkit pair stauts` or\n\n    lbkit pair sync --dry; echo   # or so\n"
    assert [wrong(words) for words in commands(page)] == [
        "pair sync has no option --dry",
        "there is no command pair stauts",
    ]
