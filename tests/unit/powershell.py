"""PowerShell as its grammar for tree-sitter reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from interop.remotes import REQUIRE


def problems(script: str) -> list[str]:
    """Where it is no PowerShell."""
    return [
        f"line {node.start_point[0] + 1}: {node.text.decode()[:80]!r}"
        for node in _nodes(_tree(script))
        if node.is_error or node.is_missing
    ]


def literals(script: str) -> list[str]:
    """What its strings in single quotes stand for, in order."""
    found = (node.text.decode() for node in _nodes(_tree(script)) if node.type == "verbatim_string_characters")
    return [text[1:-1].replace("''", "'") for text in found]


def _tree(script: str) -> Any:
    try:
        import tree_sitter_powershell
        from tree_sitter import Language, Parser
    except ImportError:
        missing = "tree-sitter and tree-sitter-powershell are not installed (pip, by these names)"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(missing)
        pytest.skip(reason=missing)
    return Parser(Language(tree_sitter_powershell.language())).parse(script.encode()).root_node


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from _nodes(child)
