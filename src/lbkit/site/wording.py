"""What pydantic finds wrong, in words for whoever writes the site file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from lbkit.site.findings import Key, Problem, written
from lbkit.site.model import CaFamily, Certificate, FallbackPage, HaproxySettings, Node, Pair, Site
from lbkit.site.reporting import Alerts, Metrics, Recipients, Snmp, SnmpUser, TrapReceiver
from lbkit.site.services import CheckReference, Fallback, Persistence, RealServer, Termination, Vip

_TABLES = (
    Alerts,
    CaFamily,
    Certificate,
    CheckReference,
    Fallback,
    FallbackPage,
    HaproxySettings,
    Metrics,
    Node,
    Pair,
    Persistence,
    RealServer,
    Recipients,
    Site,
    Snmp,
    SnmpUser,
    Termination,
    TrapReceiver,
    Vip,
)
# pydantic speaks of Python's types
_WORDS = (
    (r"^(Input|Tuple|List|Dictionary|String|Value)\b", "it"),
    (r"a valid (tuple|list)", "a list"),
    (r"a valid dictionary( or instance of \w+)?", "a table"),
    (r"a valid string", "text in quotes"),
    (r"a valid integer", "a whole number, without quotes"),
    (r"a valid boolean", "true or false, without quotes"),
    (r" after validation", ""),
)
_KEYS = sorted({name for table in _TABLES for name in table.model_fields})


def problems_of(
    errors: Sequence[ErrorDetails], document: Any, key: Key = (), keys: Iterable[str] = _KEYS, about: str = ""
) -> list[Problem]:
    """`errors` of what stands at `key`. `keys`: what could have been meant. `about`: whose they are, where that is known."""
    wrong = {error["loc"] for error in errors}
    # of a list with a wrong element pydantic says too that what is left is too short
    real = [e for e in errors if not (e["type"] == "too_short" and any(_below(e["loc"], other) for other in wrong))]
    return [_problem(error, key, about or _about(error["loc"], document), keys) for error in real]


def _below(key: Key, other: Key) -> bool:
    return len(other) > len(key) and other[: len(key)] == key


def _problem(error: ErrorDetails, key: Key, about: str, keys: Iterable[str]) -> Problem:
    place = (*key, *error["loc"])
    if place[-1:] == ("[key]",) and error["type"] == "value_error":  # it is the table's name that is wrong
        place = place[:-1]
    name = _name(place)
    said = f"{about}: " if about else ""
    match error["type"]:
        case "missing":
            return Problem("error", "missing", place, f"{said}{name} is missing. Add it.")
        case "extra_forbidden":
            close = get_close_matches(name, list(keys), 1)
            advice = f"Did you mean {close[0]}?" if close else "Take it out, or look it up in `lbkit schema`."
            return Problem("error", "unknown-key", place, f"{said}there is no key {name}. {advice}")
        case "value_error":
            what = error["msg"].removeprefix("Value error, ")
        case _:
            what = error["msg"]
            for theirs, ours in _WORDS:
                what = re.sub(theirs, ours, what)
    return Problem("error", "value", place, f"{said}{name}: {what}." if name else f"{said}{what}.")


def _name(key: Key) -> str:
    """The last key of a path, with the numbers behind it: `nodes[1]`."""
    last = max((at for at, part in enumerate(key) if isinstance(part, str)), default=0)
    return written(key[last:])


def _about(key: Key, document: Any) -> str:
    """The label of the VIP, or of its real server, that a key belongs to."""
    labels = []
    for part in key:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(document, Mapping) and isinstance(label := document.get("label"), str):
            labels.append(label[:63])
    return " / ".join(labels)
