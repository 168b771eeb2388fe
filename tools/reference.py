"""`make docs`: docs/checks.md, from what the checks declare, and docs/site.md, from the site's model. Held by a test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lbkit.checks.kind import CheckKind, Params
from lbkit.checks.reasons import REASONS
from lbkit.checks.registry import Registry
from lbkit.durations import PATTERN, written
from lbkit.site.model import (
    AgentSettings,
    CaFamily,
    Certificate,
    FallbackPage,
    FirewallSettings,
    HaproxySettings,
    KeepalivedSettings,
    Node,
    Pair,
    Site,
    Ssh,
)
from lbkit.site.reporting import Alerts, Metrics, Recipients, Snmp, SnmpUser, TrapReceiver
from lbkit.site.services import CheckReference, Fallback, Persistence, RealServer, Termination, Vip
from lbkit.site.values import Table

DOCS = Path(__file__).parent.parent / "docs"


def pages() -> dict[Path, str]:
    """Each page with its text."""
    return {DOCS / "checks.md": checks(), DOCS / "site.md": site()}


def checks() -> str:
    """The parameters and reason codes of every check."""
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


# the tables of a site file, in the order in which they are best read, with their headers
TABLES: dict[str, type[Table]] = {
    "": Site,
    "[[vips]]": Vip,
    "[[vips.servers]]": RealServer,
    "persistence = { … }": Persistence,
    "check = { … }": CheckReference,
    "termination = { … }": Termination,
    "fallback = { … }": Fallback,
    "[ca_families.NAME]": CaFamily,
    "[certificates.NAME]": Certificate,
    "[pair]": Pair,
    "[[pair.nodes]]": Node,
    "[pair.ssh]": Ssh,
    "[haproxy]": HaproxySettings,
    "[keepalived]": KeepalivedSettings,
    "[agent]": AgentSettings,
    "[firewall]": FirewallSettings,
    "[fallback_page]": FallbackPage,
    "[alerts]": Alerts,
    "[alerts.layer_4], [alerts.layer_7], [alerts.pair]": Recipients,
    "[snmp]": Snmp,
    "[snmp.user]": SnmpUser,
    "[[snmp.traps]]": TrapReceiver,
    "[metrics]": Metrics,
}


def site() -> str:
    """The keys of a site file."""
    parts = [
        "# The site file",
        "Made by `make docs` from the model of a site; `lbkit init ccw -o site.toml` writes one to begin with, `lbkit lint` "
        "finds what is wrong with it, `lbkit schema` prints its JSON Schema for editors. Durations are text with units: d, "
        "h, m, s, ms. Relative paths are seen from the site file's folder. “Guide” is the vendor's guide to CCW.",
        *(_of_table(header, table) for header, table in TABLES.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _of_table(header: str, table: type[Table]) -> str:
    schema = table.model_json_schema()
    rows = []
    for name, field in table.model_fields.items():
        declared = schema["properties"][name]
        default = "required" if field.is_required() else _default(declared)
        rows.append((f"`{name}`", _type(declared, schema.get("$defs", {})), default, field.description or ""))
    title = f"## {', '.join(f'`{one}`' for one in header.split(', '))}" if header else "## At the top"
    return "\n\n".join([title, f"{table.__doc__}", _table(("key", "value", "default", "meaning"), rows)])


def _default(declared: dict[str, Any]) -> str:
    given = declared.get("default")
    if given in (None, [], {}, ""):
        return ""
    if isinstance(given, list):
        return ", ".join(f"`{one}`" for one in given)
    said = written(given) if PATTERN in str(declared) else str(given).lower() if isinstance(given, bool) else str(given)
    return f"`{said}`"


def _type(declared: dict[str, Any], tables: dict[str, Any]) -> str:
    """What a value is, in a word or two."""
    choices = [one for one in declared.get("anyOf", ()) if one.get("type") != "null" and "format" not in one]
    match declared:
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"anyOf": _} if choices:
            return _type(choices[0], tables)
        case {"anyOf": _}:
            return "address"
        case {"$ref": ref}:
            return "table" if tables[ref.rpartition("/")[2]]["type"] == "object" else "text"
        case {"type": "array"}:
            items = declared.get("items") or declared["prefixItems"][0]
            return f"list of {_type(items, tables)}s".replace("addresss", "addresses")
        case {"type": "object"}:
            return "tables by name"
        case {"type": "boolean"}:
            return "true or false"
        case {"maximum": 65535}:
            return "port"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"{least} to {most}"
        case {"pattern": pattern} if pattern == PATTERN:
            return "duration"
        case _:
            return "text"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
