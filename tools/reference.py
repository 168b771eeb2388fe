"""`make docs`: docs/checks.md, made from what the checks declare. A test holds the page to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lbkit.checks.kind import CheckKind, Params
from lbkit.checks.reasons import REASONS
from lbkit.checks.registry import Registry

PAGE = Path(__file__).parent.parent / "docs" / "checks.md"


def page() -> str:
    """The whole page."""
    registry = Registry()
    parts = [
        "# The checks",
        "Made by `make docs` from what each check declares: its parameters are the options of `lbkit check NAME` and of "
        "`lbkit-probe NAME`; its reason codes are stable.",
        "## Reasons that every check shares",
        _table(("reason", "meaning"), REASONS.items()),
        *(_kind(registry.kind(name)) for name in registry.names()),
    ]
    return "\n\n".join(parts) + "\n"


def _kind(kind: CheckKind[Params]) -> str:
    rows = []
    for name, field in kind.params.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        default = "" if field.default in (None, ()) else f"`{field.default}` {extra.get('unit', '')}".strip()
        rows.append((f"`--{name.replace('_', '-')}`", field.description or "", default))
    parts = [f"## {kind.name}", f"{kind.params.__doc__}", _table(("parameter", "meaning", "default"), rows)]
    if kind.reasons:
        parts.append(_table(("reason", "meaning"), kind.reasons.items()))
    return "\n\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
