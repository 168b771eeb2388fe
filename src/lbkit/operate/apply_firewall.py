"""From the site to the firewall of this node: diff, apply, and back where what is applied after it fails."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lbkit import disk
from lbkit.errors import EngineError, LbkitError, NotDone, Refused
from lbkit.firewall import listening, ruleset, session
from lbkit.firewall.openings import Opening, own, untracked, virtual
from lbkit.install import difference, ritual
from lbkit.install.difference import Change
from lbkit.install.files import File
from lbkit.install.nftables import Table
from lbkit.operate.outcome import Applied, Progress
from lbkit.site.model import Site
from lbkit.state.node import node_of, peer_of

MANIFEST = ".lbkit-firewall-manifest.json"
_TABLE = Table(ruleset.TABLE)


def concerns(site: Site) -> bool:
    """Whether the site wants a firewall, or wanted one, so that it is still there."""
    return site.firewall.enabled or _manifest(site).exists()


def diff(site: Site, node: str | None = None) -> tuple[Change, ...]:
    """What `apply` would change: the file, the kernel's table, and which open ports that closes. Raises LbkitError."""
    files = ruleset.file(site, node)
    changes = difference.changes(files, _manifest(site))
    now, wanted = _TABLE.in_force(), _TABLE.would_be(_text(files))
    if now == wanted:
        return changes
    notes = tuple(_closed(site, node)) if site.firewall.enabled else ()
    if changes:
        return (replace(changes[0], notes=(*changes[0].notes, *notes)), *changes[1:])
    lines = tuple(difflib.unified_diff(now.splitlines(), wanted.splitlines(), "a/nftables", "b/nftables", lineterm=""))
    return (Change(Path(site.firewall.file), "not in force" if wanted else "still in force", lines, notes),)


@contextmanager
def applied(
    site: Site, node: str | None, done: Applied, progress: Progress, *, force: bool, wanted: bool
) -> Iterator[None]:
    """The firewall is right while the block runs, which brings the engines to the site; as it was before if that raises.

    Raises Refused where it would cut the ssh session that this runs in, unless `force`; before anything is done. RolledBack
    as `lbkit.install.ritual.install`. `wanted`: False: whoever asked wants only other parts.
    """
    if not wanted or not concerns(site):
        yield
        return
    if site.firewall.enabled and not force:
        _refuse_to_cut(site, node)
    changes = diff(site, node)
    done.changes += changes
    done.steps += [change.summary for change in changes]
    if done.dry_run or not changes:
        yield
        return
    progress("loading the firewall")
    before = disk.read(Path(site.firewall.file))
    _install(site, ruleset.file(site, node))
    done.steps.append(
        "firewall: in force, and read back" if site.firewall.enabled else "firewall: taken out of the kernel"
    )
    try:
        yield
    except BaseException as e:
        _back(site, before, e)
        raise


def _install(site: Site, files: tuple[File, ...]) -> None:
    place, text = Path(site.firewall.file), _text(files)

    def verify() -> None:
        if _TABLE.in_force() != _TABLE.would_be(text):
            raise NotDone(f"nftables was given {place}, and has another table {ruleset.TABLE}. What else writes it?")

    def activate() -> None:
        _TABLE.load((disk.read(place) or b"").decode(errors="replace"))

    if not ritual.install(files, _manifest(site), check=lambda: _checked(text), activate=activate, verify=verify):
        activate()
        verify()


def _back(site: Site, before: bytes | None, first: BaseException) -> None:
    try:
        _install(site, () if before is None else (File(Path(site.firewall.file), before),))
    except LbkitError as e:
        raise EngineError(f"{first} The firewall could not be put back as it was: {e}") from first


def _checked(text: str) -> None:
    """By nft itself, in a namespace of its own."""
    _TABLE.would_be(text)


def _refuse_to_cut(site: Site, node: str | None) -> None:
    here = session.this_one()
    if here is None or session.is_let_in(here, _openings(site, node)):
        return
    raise Refused(
        f"this firewall would cut the ssh session that this runs in: from {here.client} to port {here.port}. Let it in "
        "([firewall] management, ssh_port), or use --force. Nothing was changed."
    )


def _closed(site: Site, node: str | None) -> list[str]:
    peer = peer_of(site, node)
    return list(listening.closed(listening.now(), _openings(site, node), peer.address if peer else None))


def _openings(site: Site, node: str | None) -> list[Opening]:
    return [*untracked(site), *virtual(site), *own(site, node_of(site, node), peer_of(site, node))]


def _text(files: tuple[File, ...]) -> str:
    return files[0].content.decode() if files else ""


def _manifest(site: Site) -> Path:
    return Path(site.firewall.file).with_name(MANIFEST)
