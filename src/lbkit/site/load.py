"""From a site file to a Site, or to every error in it at once, each with its line.

Tables that are wrong by themselves are set aside, so that what the others say together is still looked at.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from lbkit.errors import Misuse
from lbkit.site import rules
from lbkit.site.draft import Draft, draft
from lbkit.site.findings import Finding, Key, Problem, SiteInvalid, placed
from lbkit.site.model import Site
from lbkit.site.places import places
from lbkit.site.services import CheckReference
from lbkit.site.values import duration
from lbkit.site.wording import problems_of

LARGEST = 4 << 20  # bytes of a site file; the largest that was seen has 30 KiB

Kinds: TypeAlias = Mapping[str, type[BaseModel]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a site file was read as. `site`: where there is no error. `draft`: the tables that are right by themselves."""

    file: Path
    site: Site | None
    draft: Draft
    problems: tuple[Problem, ...]
    places: Mapping[Key, int]

    def findings(self, *more: Problem) -> list[Finding]:
        """All of them, in the order of the file."""
        found = [placed(problem, str(self.file), self.places) for problem in (*self.problems, *more)]
        return sorted(found, key=lambda one: (one.line, one.key, one.severity))


def load_site(file: str | os.PathLike[str], kinds: Kinds) -> Site:
    """Read a site file. `kinds`: the parameter model of each kind of check.

    Raises SiteInvalid with every error, Misuse where there is no file to be read. A kind of check that is not among
    `kinds` is no error here: `lbkit lint` finds it.
    """
    reading = read(file, kinds)
    if reading.site is None:
        raise SiteInvalid(reading.findings())
    return reading.site


def read(file: str | os.PathLike[str], kinds: Kinds, folder: Path | None = None) -> Reading:
    """Read a site file; what is wrong inside it is a problem of the Reading. Raises Misuse where it can't be read.

    `folder`: whence relative paths in it are seen, where that is not its own.
    """
    path = Path(file)
    text = _text(path)
    try:
        document = tomllib.loads(text)
    except RecursionError:
        return _unparsed(path, "it is nested too deeply")
    except ValueError as e:  # numbers of thousands of digits raise one that is no TOMLDecodeError
        return _unparsed(path, str(e))
    where = places(text)
    site, made, problems = draft(document, folder or path.parent)
    problems += [*rules.problems(made), *_of_params(made, kinds)]
    return Reading(path, None if problems else site, made, tuple(problems), where)


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe could be waited for without end
            raise Misuse(f"{path}: this is no file, but a folder, pipe or device. Name the site file with --site.")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is no path"
        raise Misuse(f"{path}: this site file can't be read: {why}. Name another with --site.") from None
    if len(data) > LARGEST:
        raise Misuse(f"{path}: this is no site file: it has more than {LARGEST >> 20} MiB. Name another with --site.")
    try:
        return data.decode().removeprefix("\ufeff")  # editors on Windows put a byte order mark there
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise Misuse(f"{path}:{line}: this is no UTF-8. Save the file as UTF-8.") from None


def _unparsed(path: Path, error: str) -> Reading:
    place = re.search(r" \(at line (\d+), column (\d+)\)$", error)
    what = error[: place.start()] if place else error.removesuffix(" (at end of document)")
    line = int(place[1]) if place else 0
    problem = Problem("error", "syntax", (), f"this is no TOML: {what}.")
    return Reading(path, None, Draft(), (problem,), {(): line})


def _of_params(made: Draft, kinds: Kinds) -> Iterator[Problem]:
    """What the kinds of check say of their parameters."""
    for number, vip in made.vips.items():
        model = kinds.get(vip.check.kind)
        if model is None:
            continue
        key: Key = ("vips", number, "check")
        # what the engine speaks to the servers, the check speaks too
        inside_tls = "tls" in model.model_fields and any(server.re_encrypt for server in vip.servers)
        given = {"tls": True, **vip.check.params} if inside_tls else vip.check.params
        wrong = dict(_wrong_durations(model, given))
        for name, what in wrong.items():
            yield Problem("error", "value", (*key, name), f"{vip.label}: {name}: {what}.")
        try:
            # strict, as the site file is all over; a TOML list is a model's tuple
            model.model_validate({n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}, strict=True)
        except ValidationError as e:
            errors = [
                one
                for one in e.errors(include_url=False, include_input=False)
                if not wrong.keys() & set(one["loc"][:1])
            ]
            yield from problems_of(errors, None, key, [*model.model_fields, *CheckReference.model_fields], vip.label)


def _wrong_durations(model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[tuple[str, ValueError]]:
    """Parameters in seconds stand in a site file as durations, which no option of a command has to be."""
    for name in given.keys() & model.model_fields.keys():
        extra = model.model_fields[name].json_schema_extra
        if isinstance(extra, dict) and extra.get("unit") == "s":
            try:
                duration(given[name])
            except ValueError as e:
                yield name, e
