"""A check's parameter model as command-line options: the one place where fields become options."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, get_annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

import typer

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from lbkit.checks.kind import Params

_METAVARS = {"s": "SECONDS", "B": "BYTES", "days": "DAYS"}


def options(model: type[Params]) -> list[Parameter]:
    """One option per field, the check's own before those that it inherits."""
    names: list[str] = []
    for base in model.__mro__:
        names += [n for n in get_annotations(base) if n in model.model_fields and n not in names]
    return [_option(name, model.model_fields[name]) for name in names]


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given on the command line; the rest is the model's."""
    return {name: value for name, value in values.items() if value is not None}


def _option(name: str, field: FieldInfo) -> Parameter:
    """None means "not given", so that the model alone holds defaults and rules, and words every finding."""
    flag, kind = f"--{name.replace('_', '-')}", field.annotation
    typed: Any = str
    if kind is bool:
        typed, flag = bool, f"{flag}/--no-{flag[2:]}"
    elif get_origin(kind) in (list, tuple):
        typed = list[str]
    elif get_origin(kind) is Literal:
        typed = kind
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    unit = extra.get("unit")
    default = field.get_default(call_default_factory=True)
    shown = "" if default in (None, False, [], ()) else f" [default: {_shown(default)}{f' {unit}' if unit else ''}]"
    metavar = None if typed is bool or typed is kind else _METAVARS.get(str(unit), name.rpartition("_")[2].upper())
    declared = typer.Option(flag, help=f"{field.description or ''}{shown}", show_default=False, metavar=metavar)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[typed | None, declared])


def _shown(default: object) -> str:
    if default is True:
        return "on"
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
