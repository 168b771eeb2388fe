"""One file with what somebody needs who is to help: site, configurations, states, logs and versions; no secret is in it."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from lbkit import disk
from lbkit.checks.registry import Registry
from lbkit.errors import CannotRun, LbkitError, Misuse
from lbkit.operate.commands import LIMIT
from lbkit.operate.redaction import Redaction
from lbkit.operate.site_secrets import secrets_of
from lbkit.operate.support_parts import Content, Node, Part, parts

WITHIN = 10.0  # seconds for each part
_README = """\
A support bundle of lbkit {lbkit}, from node {node}, {when}. manifest.json lists its parts.

Secrets were taken out: [REMOVED: NAME] stands where one was. Not in it, for it may tell of patients: keys of persistence
tables (clients' addresses), HAProxy's line for each connection, and its `show errors`, which quotes requests and answers.
What is in it all the same: addresses of the site, and who of the staff did what (events.jsonl, journal/). Read it before
you send it.
"""


@dataclass(frozen=True, slots=True)
class Gathered:
    """One part. `size`: bytes of its file. `cut`: it had more than 10 MiB, and its end is missing. `error`: why it is not
    there, "": it is.
    """

    name: str
    size: int
    cut: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class SupportBundle:
    """What was written to `file`. `unread`: files that may hold a secret which so could not be looked for."""

    file: Path
    parts: tuple[Gathered, ...]
    unread: tuple[str, ...]

    @property
    def failed(self) -> tuple[Gathered, ...]:
        """The parts that are not in it."""
        return tuple(one for one in self.parts if one.error)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {"file": str(self.file), "parts": [asdict(one) for one in self.parts], "unread": list(self.unread)}


def support_bundle(
    site_file: Path,
    to: Path,
    since: float,
    registry: Registry,
    state: Path | None = None,
    *,
    force: bool = False,
    progress: Callable[[str], None] = lambda name: None,
) -> SupportBundle:
    """Write one of this node to `to`, which nobody else may read. Nothing on the node is changed.

    `since`: of events and logs, seconds since the epoch. A part that can't be had is left out, and said. `progress` is told
    each part before it is gathered. Raises Misuse where `to` is there already, unless it is a file and `force`; CannotRun
    where it can't be written.
    """
    if to.exists() and not force:
        raise Misuse(f"{to} is there already, and stays as it is. Give another name with -o, or --force.")
    if to.exists() and not to.is_file():  # a device would be a file from then on
        raise Misuse(f"{to} is no file, and stays as it is. Give another name with -o.")
    if not os.access(to.absolute().parent, os.W_OK):
        raise CannotRun(
            f"{to} can't be written: {to.absolute().parent} is no folder that you may write to. Give another with -o."
        )
    node = Node(site_file, registry, state)
    secrets = secrets_of(site_file, [Path(node.haproxy.folder, "tls")])
    redaction = secrets.redaction()
    packed = _Packed(f"lbkit-support-{socket.gethostname()}-{time.strftime('%Y%m%d-%H%M%S')}")
    found = tuple(_gathered(part, redaction, packed, progress) for part in parts(node, since))
    unread = tuple(redaction.clean(one) for one in secrets.unread)
    _add_summary(packed, found, unread, since)
    try:
        disk.write(to, packed.finished(), 0o600)
    except OSError as e:
        raise CannotRun(
            f"{to} can't be written: {e.strerror}. {disk.way_out(e, 'Give another place with -o.')}"
        ) from None
    return SupportBundle(to, found, unread)


class _Packed:
    """A tar.gz in the making, all of it below `folder`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._content = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._content, mode="w:gz", compresslevel=6)  # noqa: SIM115
        self._now = int(time.time())

    def add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(f"{self._folder}/{name}")
        entry.size, entry.mode, entry.mtime = len(content), 0o600, self._now
        self._tar.addfile(entry, io.BytesIO(content))

    def finished(self) -> bytes:
        self._tar.close()
        return self._content.getvalue()


def _gathered(part: Part, redaction: Redaction, packed: _Packed, progress: Callable[[str], None]) -> Gathered:
    progress(part.name)
    try:
        content, cut = _bytes(_within(part.gather), redaction)
    except LbkitError as e:
        error = redaction.clean(str(e))
        packed.add(f"{part.name}.error", f"{error}\n".encode(errors="surrogateescape"))
        return Gathered(part.name, 0, error=error)
    packed.add(part.name, content)
    return Gathered(part.name, len(content), cut)


def _within(gather: Callable[[], Content]) -> Content:
    """What it gives within WITHIN seconds. One that hangs is left behind in its thread. Raises LbkitError."""
    done: SimpleQueue[Content | LbkitError] = SimpleQueue()

    def run() -> None:
        try:
            done.put(gather())
        except LbkitError as e:
            done.put(e)
        except Exception as e:  # one part's fault must not cost the others
            done.put(CannotRun(f"a fault of lbkit: {type(e).__name__}: {e}"))

    threading.Thread(target=run, daemon=True).start()
    try:
        given = done.get(timeout=WITHIN)
    except Empty:
        raise CannotRun(f"not gathered within {WITHIN:g} s: something that it asks hangs.") from None
    if isinstance(given, LbkitError):
        raise given
    return given


def _bytes(content: Content, redaction: Redaction) -> tuple[bytes, bool]:
    """Without secrets, and whether it was cut: between lines, so that no half of a secret is at the end."""
    if isinstance(content, dict | list):
        content = json.dumps(redaction.clean_document(content), ensure_ascii=False, indent=1, default=str) + "\n"
        given = content.encode(errors="surrogateescape")
        return (given, False) if len(given) <= LIMIT else (_cut(given), True)
    given = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    cut = len(given) > LIMIT
    text = (_cut(given) if cut else given).decode(errors="surrogateescape")
    return redaction.clean(text).encode(errors="surrogateescape"), cut


def _cut(given: bytes) -> bytes:
    return given[:LIMIT].rpartition(b"\n")[0] + b"\n"


def _add_summary(packed: _Packed, found: Iterable[Gathered], unread: tuple[str, ...], since: float) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    facts = {"lbkit": version("lbkit-core"), "node": socket.gethostname(), "when": now}
    lines = [_README.format_map(facts)]
    if failed := [one for one in found if one.error]:
        lines += ["Not to be had:", *(f"  {one.name}: {one.error}" for one in failed), ""]
    if unread:
        lines += ["Not read, so that a secret in these could not be looked for:", *(f"  {one}" for one in unread), ""]
    packed.add("README.txt", "\n".join(lines).encode(errors="surrogateescape"))
    document = {**facts, "since": since, "parts": [asdict(one) for one in found], "unread": unread}
    packed.add("manifest.json", json.dumps(document, indent=1).encode() + b"\n")
