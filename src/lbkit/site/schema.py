"""The JSON Schema of a site file (draft 2020-12), for editors. What needs two keys to be wrong is for `lbkit lint`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from lbkit.durations import PATTERN
from lbkit.site.model import Site
from lbkit.site.services import CheckReference


def schema(kinds: Mapping[str, type[BaseModel]], receivers: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """`kinds`: the parameter model of each kind of check; each gives `check = { kind = … }` its keys.

    `receivers`: that of each `[alerts.receivers.NAME]`.
    """
    whole = Site.model_json_schema()
    reference = whole["$defs"].pop("CheckReference")
    of_kinds = [_of_kind(name, model, reference) for name, model in sorted(kinds.items())]
    for one in of_kinds:
        whole["$defs"] |= one.pop("$defs")
    whole["$defs"]["CheckReference"] = {"description": CheckReference.__doc__, "oneOf": of_kinds}
    of_receivers = {name: model.model_json_schema() for name, model in sorted(receivers.items())}
    for one in of_receivers.values():
        whole["$defs"] |= one.pop("$defs", {})
    declared = whole["$defs"]["Alerts"]["properties"]["receivers"]
    del declared["patternProperties"]
    declared |= {"properties": of_receivers, "additionalProperties": False}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _of_kind(name: str, model: type[BaseModel], reference: Mapping[str, Any]) -> dict[str, Any]:
    own = model.model_json_schema()
    params = {key: _with_unit(declared) for key, declared in own["properties"].items()}
    return {
        "$defs": own.get("$defs", {}),
        "title": name,
        "description": model.__doc__ or "",
        "type": "object",
        "properties": {**reference["properties"], **params, "kind": {"const": name}},
        "required": ["kind", *own.get("required", ())],
        "additionalProperties": False,
    }


def _with_unit(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter in seconds stands in a site file as a duration."""
    if declared.get("unit") != "s":
        return dict(declared)
    kept = {key: value for key, value in declared.items() if key in ("title", "description")}
    return {**kept, "type": "string", "pattern": PATTERN, "examples": ["5s"]}
