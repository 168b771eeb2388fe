"""Intents: what operators asked for, by VIP and real server, and the file in which it outlives everything else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from lbkit import disk
from lbkit.errors import Misuse
from lbkit.state.folder import made, out_of_reach, state_folder

Wanted = Literal["online", "drain", "halt"]

VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHAT = "intents"
_YEAR_3000 = 32_503_680_000.0
_TEXT = 1000  # characters, for each of the texts of an intent


@dataclass(frozen=True, slots=True)
class Intent:
    """What an operator asked for one real server of one VIP. Raises Misuse for values that can't be.

    `weight`: another than the site's. `sticky`: a drain that also moves those whose persistence names the server.
    `when`, `until`: seconds since the epoch, kept to the millisecond.
    """

    vip: str
    server: str
    wanted: Wanted
    weight: int | None = None
    sticky: bool = False
    who: str = ""
    when: float = 0.0
    why: str = ""
    until: float | None = None

    def __post_init__(self) -> None:
        for name in ("vip", "server", "who", "why"):
            _demand(name, getattr(self, name), _is_text, f"a text of at most {_TEXT} characters")
        for name in ("vip", "server"):
            _demand(name, getattr(self, name), bool, "a label")
        _demand("wanted", self.wanted, _is_wanted, "online, drain or halt")
        _demand("weight", self.weight, _is_weight, "a number from 0 to 256")
        _demand("sticky", self.sticky, lambda value: type(value) is bool, "true or false")
        for name in ("when", "until"):
            value = getattr(self, name)
            if name == "until" and value is None:
                continue
            _demand(name, value, _is_time, "a time between 1970 and 3000")
            object.__setattr__(self, name, round(float(value), 3))

    def is_over(self, now: float) -> bool:
        """Whether its time is up: from then on the real server is wanted online, with the site's weight."""
        return self.until is not None and now >= self.until

    def as_dict(self) -> dict[str, Any]:
        """Itself for JSON: times as ISO 8601 in UTC."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"when": _written(self.when), "until": None if self.until is None else _written(self.until)}

    @classmethod
    def of(cls, values: object) -> Intent:
        """The intent that `as_dict` gave. Raises Misuse for anything else, and for a key that no intent has."""
        if not isinstance(values, Mapping):
            raise Misuse("an intent is an object with vip, server and wanted.")
        unknown = [key for key in values if key not in _KEYS]
        missing = [key for key in ("vip", "server", "wanted") if key not in values]
        if unknown or missing:
            wrong = f"has a key {unknown[0]!r:.60}" if unknown else f"has no key {missing[0]!r}"
            raise Misuse(f"an intent {wrong}; its keys are {', '.join(_KEYS)}.")
        given: dict[str, Any] = {key: _seconds(key, value) if key in _TIMES else value for key, value in values.items()}
        return cls(**given)


_Kept: TypeAlias = dict[tuple[str, str], Intent]

_KEYS = tuple(field.name for field in fields(Intent))
_TIMES = ("when", "until")


@dataclass(frozen=True, slots=True)
class Merged:
    """`taken`: of the other node's intents, those that are the last word here now. `lost`: what was that before them."""

    taken: tuple[Intent, ...] = ()
    lost: tuple[Intent, ...] = ()


def _demand(name: str, value: object, is_right: Callable[[Any], bool], what: str) -> None:
    if not is_right(value):
        raise Misuse(f"{name} of an intent is {value!r:.60}; give {what}.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT


def _is_wanted(value: Any) -> bool:
    return isinstance(value, str) and value in get_args(Wanted)


def _is_weight(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= 256)


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _YEAR_3000


def _written(moment: float) -> str:
    exact = _EPOCH + timedelta(milliseconds=round(moment * 1000))  # fromtimestamp loses the last digit of late years
    return exact.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(name: str, value: object) -> float | None:
    if value is None and name == "until":
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Misuse(f"{name} of an intent is {value!r:.60}; give a time such as 2026-03-01T12:00:00Z.")
    return moment.timestamp()


class Intents:
    """The store of intents of this node: `intents.json` in `folder`, in $LBKIT_STATE, or in /var/lib/lbkit.

    Each real server of a VIP has one, the newest. A change is made under a lock, for which it waits `timeout` seconds, and
    in one step; a reader needs no lock. Everything raises Misuse or CannotRun where the file is broken, from a newer lbkit,
    or out of reach: a broken store is never taken for an empty one.
    """

    def __init__(self, folder: Path | None = None, timeout: float = 5.0) -> None:
        self._folder = state_folder(folder)
        self._timeout = timeout
        self.path = self._folder / "intents.json"

    @property
    def generation(self) -> int:
        """Counts up with every change; 0 before the first."""
        return self._read()[0]

    def all(self, now: float | None = None) -> tuple[Intent, ...]:
        """Those that are in force (not over), `online` ones too, by VIP and real server."""
        moment = time.time() if now is None else now
        return tuple(intent for intent in self._read()[1].values() if not intent.is_over(moment))

    def ended(self, now: float) -> tuple[Intent, ...]:
        """Those whose time is up: whoever applies intents takes them for `online`, with the site's weight."""
        return tuple(intent for intent in self._read()[1].values() if intent.is_over(now))

    def last_words(self) -> tuple[Intent, ...]:
        """All, in force or over, by VIP and real server: what the nodes of a pair give each other."""
        return tuple(self._read()[1].values())

    def of(self, vip: str, server: str) -> Intent | None:
        """The last word on a real server of a VIP, in force or over; None where nobody ever asked for anything."""
        return self._read()[1].get((vip, server))

    def record(self, *intents: Intent) -> None:
        """Put all of these in the place of what was asked before, in one step."""
        if not intents:
            return
        with self._changing() as kept:
            kept.update({(intent.vip, intent.server): intent for intent in intents})

    def restore(self, before: Mapping[tuple[str, str], Intent | None]) -> None:
        """Put back what was the last word on each of these; None: there was none."""
        with self._changing() as kept:
            for key, intent in before.items():
                kept.pop(key, None)
                if intent is not None:
                    kept[key] = intent

    def merge(self, others: Iterable[Intent]) -> Merged:
        """Take those of the other node that are newer than the last word here. Nothing is written where none is.

        Of two of one moment both nodes choose the same. What was taken back is an intent too (`online`), so that nothing
        comes back that way; a verb that fails takes its intents back under `alone`, under which they are given away too.
        """
        known = self._read()[1]
        newer = [one for one in others if _outdoes(one, known.get((one.vip, one.server)))]
        if not newer:
            return Merged()
        taken, lost = [], []
        with self._changing() as kept:
            for one in newer:
                before = kept.get((one.vip, one.server))
                if _outdoes(one, before):
                    kept[one.vip, one.server] = one
                    taken.append(one)
                    lost += [before] if before else []
        return Merged(tuple(taken), tuple(lost))

    def forget(self, known: Iterable[tuple[str, str]]) -> tuple[Intent, ...]:
        """Drop the intents for what is not among `known`, the site's VIPs and real servers; returns the dropped."""
        stays = set(known)
        if all(key in stays for key in self._read()[1]):
            return ()
        with self._changing() as kept:
            return tuple(kept.pop(key) for key in [key for key in kept if key not in stays])

    @contextmanager
    def alone(self, timeout: float = 20.0) -> Iterator[None]:
        """While the block runs no other process is in such a block: what was looked at still holds when it is acted on.

        `timeout`: seconds to wait for the other one, which may be a reload of a worker that was started just now.
        """
        group = self._made()
        with disk.locked(self.path.with_name("verbs.lock"), timeout, 0o660, group):
            yield

    @contextmanager
    def _changing(self) -> Iterator[_Kept]:
        """The intents, to be changed in place; written as the block ends well."""
        group = self._made()
        with disk.locked(self.path.with_name("intents.lock"), self._timeout, 0o660, group):
            generation, kept = self._read()
            yield kept
            document = {
                "version": VERSION,
                "generation": generation + 1,
                "intents": [kept[key].as_dict() for key in sorted(kept)],
            }
            content = json.dumps(document, indent=1).encode() + b"\n"
            if len(content) > disk.LIMIT:
                raise Misuse(f"{self.path} would have more than {disk.LIMIT >> 20} MiB. Forget some intents.")
            try:
                disk.write(self.path, content, 0o660, (-1, group))
            except OSError as e:
                raise out_of_reach(_WHAT, self._folder, e) from None

    def _made(self) -> int:
        try:
            return made(self._folder)
        except OSError as e:
            raise out_of_reach(_WHAT, self._folder, e) from None

    def _read(self) -> tuple[int, _Kept]:
        content = disk.read(self.path)
        if content is None:
            return 0, {}
        try:
            return _parsed(content)
        except (Misuse, RecursionError) as e:
            raise Misuse(f"{self.path} can't be used: {e} Nothing was changed.") from None


def _outdoes(one: Intent, other: Intent | None) -> bool:
    """The newer; of one moment, the one that takes more away from clients."""
    return other is None or _rank(one) > _rank(other)


def _rank(intent: Intent) -> tuple[float, int, str]:
    return intent.when, get_args(Wanted).index(intent.wanted), json.dumps(intent.as_dict(), sort_keys=True)


def _parsed(content: bytes) -> tuple[int, _Kept]:
    advice = "Mend it, or move it away: then no intent is in force."
    try:
        document = json.loads(content)
    except ValueError as e:
        raise Misuse(f"it is no JSON ({e!s:.80}). {advice}") from None
    version = document.get("version") if isinstance(document, dict) else None
    if type(version) is int and version > VERSION:
        raise Misuse(f"a newer lbkit wrote it (version {version}; this one knows {VERSION}). Use that lbkit.")
    if type(version) is not int or version != VERSION or set(document) != {"version", "generation", "intents"}:
        raise Misuse(f"it is no store of intents of version {VERSION}. {advice}")
    generation, listed = document["generation"], document["intents"]
    if type(generation) is not int or generation < 0 or not isinstance(listed, list):
        raise Misuse(f"generation is to be a number and intents an array. {advice}")
    try:
        intents = [Intent.of(values) for values in listed]
    except Misuse as e:
        raise Misuse(f"{e} {advice}") from None
    kept = {(intent.vip, intent.server): intent for intent in intents}
    if len(kept) < len(intents):
        raise Misuse(f"it has two intents for one real server of one VIP. {advice}")
    return generation, kept
