"""A site that came from elsewhere is tried on this node before anything of it is in its place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from lbkit import lint
from lbkit.checks.plan import KindOf
from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, LbkitError, Misuse
from lbkit.install.files import stage
from lbkit.operate import apply, bundle
from lbkit.operate.bundle import Bundle
from lbkit.operate.outcome import Applied
from lbkit.site.load import read
from lbkit.site.model import Site
from lbkit.state.folder import state_folder

Model = TypeVar("Model", bound=BaseModel)


def rehearse(given: Bundle, site_file: Path, kind_of: KindOf, state: Path | None = None) -> Applied:
    """What `lbkit apply` would do with a site that is at `site_file`.

    It is staged in a folder that nobody else may enter, read, linted, rendered, and shown to the engines' own checkers.
    Raises Misuse for whatever is wrong with it, CannotRun where it can't be tried (a full disk); nothing is changed then.
    """
    files = given.installed(site_file)
    with _folder(state) as root:
        stage(files, Path("/"), root)
        folder = site_file.absolute().parent
        where = {str(folder / one.given): f"{root}{bundle.place(site_file, one.given)}" for one in given.files}
        try:
            site = _read(Path(f"{root}{files[-1].path}"), folder, where, kind_of)
            return apply.apply(site, kind_of, dry_run=True, state=state)
        except LbkitError as e:
            if str(root) not in str(e):
                raise
            raise (type(e) if type(e).__init__ is LbkitError.__init__ else Misuse)(
                str(e).replace(str(root), "")
            ) from None


def _read(staged: Path, folder: Path, where: Mapping[str, str], kind_of: KindOf) -> Site:
    models = Registry().models()
    reading = read(staged, models, folder)
    draft = replace(
        reading.draft,
        vips={number: _of_vip(vip, where) for number, vip in reading.draft.vips.items()},
        ca_families={name: _moved(one, where) for name, one in reading.draft.ca_families.items()},
        certificates={name: _moved(one, where) for name, one in reading.draft.certificates.items()},
        fallback_page=reading.draft.fallback_page and _moved(reading.draft.fallback_page, where),
    )
    found = reading.findings(*lint.problems(draft, models, datetime.now(UTC), kind_of))
    wrong = [str(one) for one in found if one.severity == "error"]
    if reading.site is None or wrong:
        raise Misuse("\n".join(wrong))
    moved = {"vips": tuple(draft.vips.values())} | {
        name: getattr(draft, name) for name in ("ca_families", "certificates", "fallback_page")
    }
    return reading.site.model_copy(update=moved)


def _of_vip(vip: Model, where: Mapping[str, str]) -> Model:
    return vip.model_copy(update={"check": _moved(vip.check, where)})  # type: ignore[attr-defined]


def _moved(table: Model, where: Mapping[str, str]) -> Model:
    """With its files where they are staged."""
    return table.model_copy(
        update={name: where[value] for name, value in table if isinstance(value, str) and value in where}
    )


@contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    """Of one name, so that what a crash leaves there goes with the next one. The caller holds a lock."""
    root = state_folder(state) / "rehearsal"
    with suppress(FileNotFoundError):
        shutil.rmtree(root)
    try:
        root.mkdir(parents=True, mode=0o700)
    except OSError as e:
        raise CannotRun(f"{root} can't be made: {e.strerror}. Run this as root.") from None
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
