"""Events: what has happened to a site, in one shape, whoever has seen it or done it.

Any process records one (`lbkit.state.log`); the agent alone follows the log, and hands each on: mail, traps, plugins.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from lbkit.errors import Misuse

Level = Literal["info", "warning", "alarm"]
EventKind = Literal[
    # found by checks
    "server-down",
    "server-up",
    "vip-degraded",
    "vip-down",
    "vip-recovered",
    # asked for by operators
    "intent-set",
    "intent-taken-back",
    "intent-expired",
    "table-cleared",
    "table-pinned",
    "maintenance-begun",
    "maintenance-ended",
    "failover-asked",
    "node-let-in",
    "node-left",
    "node-replaced",
    # the pair
    "failover",
    "peer-lost",
    "peer-found",
    "split-brain",
    "split-brain-ended",
    # the engines and their configuration
    "drift-found",
    "drift-repaired",
    "configuration-applied",
    "configuration-rolled-back",
    "reloaded",
    "site-synced",
    "certificates-rotated",
    "certificate-expiring",
    # of alerts themselves
    "test",
    "events-lost",
]
LEVELS: Mapping[EventKind, Level] = {
    "server-down": "warning",
    "vip-degraded": "warning",
    "vip-down": "alarm",
    "failover": "alarm",
    "peer-lost": "alarm",
    "split-brain": "alarm",
    "drift-found": "warning",
    "configuration-rolled-back": "warning",
    "certificate-expiring": "warning",
    "events-lost": "warning",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = 2000  # characters of each text
_MOST = 32  # details


@dataclass(frozen=True, slots=True)
class Event:
    """One. `when`: seconds since the epoch, kept to the millisecond. `node`: where it was seen or done.

    `text`: one sentence, for a person. `vip`, `server`: the labels it is about, "" for none; `address`: the real server's
    own, so that what happens to one machine in many VIPs is seen to be one thing. `step`, `reason`: of the check. `who`,
    `why`, `origin`: the operator, the reason given, and from where (`ssh 192.0.2.7`, `tty1`). `details`: more, by name.
    `ident`: its own for ever. Raises Misuse for values that can't be.
    """

    kind: EventKind
    text: str
    node: str = ""
    when: float = 0.0
    vip: str = ""
    server: str = ""
    address: str = ""
    step: str = ""
    reason: str = ""
    who: str = ""
    why: str = ""
    origin: str = ""
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    ident: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise Misuse(f"{self.kind!r:.60} is no kind of event. Is this lbkit older than the one that wrote it?")
        for name in _TEXTS:
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > _TEXT:
                raise Misuse(f"{name} of an event is {value!r:.60}; give a text of at most {_TEXT} characters.")
        if not _IDENT.fullmatch(self.ident):  # it goes into headers, and into the names of mails
            raise Misuse(f"ident of an event is {self.ident!r:.60}; give at most 200 letters, digits, dots and dashes.")
        if type(self.when) not in (int, float) or not 0 <= self.when < _LATEST:
            raise Misuse(f"when of an event is {self.when!r:.60}; give seconds since the epoch.")
        if len(self.details) > _MOST or not all(_is_detail(*one) for one in self.details.items()):
            raise Misuse(f"details of an event are at most {_MOST} texts, numbers, true or false, by name.")
        object.__setattr__(self, "when", round(float(self.when), 3))

    @property
    def level(self) -> Level:
        """How much it matters."""
        return LEVELS.get(self.kind, "info")

    @property
    def about(self) -> str:
        """`VIP/server`, `VIP`, or "": the site or the node as a whole."""
        return f"{self.vip}/{self.server}" if self.server else self.vip

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable, and empty ones are left out. The time as ISO 8601 in UTC."""
        values = {"kind": self.kind, "level": self.level} | {one.name: getattr(self, one.name) for one in fields(self)}
        values |= {"when": moment(self.when), "details": dict(self.details)}
        return {name: value for name, value in values.items() if value not in ("", {}) or name == "text"}

    @classmethod
    def of(cls, values: object) -> Event:
        """What `as_dict` gave; keys that it does not know are left out. Raises Misuse for anything else."""
        try:
            given = {one.name: values[one.name] for one in fields(cls) if one.name in values}  # type: ignore[index, operator]
            given["when"] = (datetime.fromisoformat(given["when"]) - _EPOCH).total_seconds()
            return cls(**given)
        except (TypeError, KeyError, ValueError, AttributeError):
            raise Misuse(f"this is no event: {values!r:.60}") from None


_KINDS = frozenset(get_args(EventKind))
_TEXTS = ("text", "node", "vip", "server", "address", "step", "reason", "who", "why", "origin", "ident")
_IDENT = re.compile(r"[A-Za-z0-9._-]{1,200}")
_LATEST = 32_503_680_000  # the year 3000
_LARGEST = 1 << 63  # of numbers


def moment(when: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    exact = _EPOCH + timedelta(milliseconds=round(when * 1000))
    return exact.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_detail(name: object, value: object) -> bool:
    if type(name) is not str or len(name) > _TEXT:
        return False
    if type(value) is str:
        return len(value) <= _TEXT
    return isinstance(value, int | float) and abs(value) < _LARGEST  # NaN is not
