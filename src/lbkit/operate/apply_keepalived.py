"""From the site to keepalived: diff, apply. It goes last, so that HAProxy and IPVS serve an address before it is here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from lbkit.errors import NotAnswering, NotDone
from lbkit.install import difference, files, ritual
from lbkit.install.difference import Change
from lbkit.install.files import File
from lbkit.operate.outcome import Applied, Progress
from lbkit.pair import addresses, process, program, render, settings, track, vrrp
from lbkit.pair.vrrp import Vrrp
from lbkit.site.model import Site

MANIFEST = ".lbkit-keepalived.json"
_TAKES_WITHIN = 10.0  # seconds, until a reload is seen
_SETTLES = 2.0
_POLL = 0.05


def concerns(site: Site) -> bool:
    """Whether the site has a pair, or had, so that keepalived still runs with it.

    Not where its nodes are addresses of the loopback interface: a demonstration on one machine, with nobody to move to.
    """
    if site.pair is None:
        return manifest(site).exists()
    return not any(ip_address(node.address).is_loopback for node in site.pair.nodes)


def manifest(site: Site) -> Path:
    """Where it stands what lbkit installed of keepalived's files."""
    return Path(site.keepalived.folder, MANIFEST)


def diff(site: Site, node: str | None = None, state: Path | None = None) -> tuple[Change, ...]:
    """What `apply` would change: keepalived.conf, and kernel settings. Raises Misuse, CannotRun."""
    return (*_of_the_kernel(site), *difference.changes(render.render(site, node, state), manifest(site)))


def begun(site: Site, node: str | None, state: Path | None, done: Applied) -> Part | None:
    """keepalived's own word on its file, and what the kernel has to allow before HAProxy is brought to the site.

    None: keepalived has no part in the site. Raises Misuse, CannotRun, NotDone, EngineError with what keepalived says,
    NotAnswering where it is frozen; nothing is written then.
    """
    if not concerns(site):
        return None
    before = vrrp.look(site) if site.pair else Vrrp("dead")
    if before.state == "frozen":
        raise NotAnswering(
            f"keepalived (pid {before.pid}) is there and does nothing: it can't take a configuration. Was it stopped "
            f"(kill -CONT {before.pid})? Else end it: kill -KILL {before.pid}. Nothing was changed."
        )
    made = render.render(site, node, state)
    if made:
        with TemporaryDirectory(prefix="lbkit-") as place:
            files.stage(made, Path(site.keepalived.folder), Path(place))
            program.check(program.find(), Path(place, render.NAME))
    if done.dry_run:
        done.changes += tuple(_of_the_kernel(site))
        done.steps += [change.summary for change in _of_the_kernel(site)]
    else:
        done.steps += settings.set_all(site)
    return Part(site, node, state, made, before)


@dataclass(frozen=True, slots=True)
class Part:
    """keepalived's part of one `apply`. `made`: its files. `before`: what it was like."""

    site: Site
    node: str | None
    state: Path | None
    made: tuple[File, ...]
    before: Vrrp

    def apply(self, done: Applied, progress: Progress) -> None:
        """Bring keepalived to the site. Where nothing differs it is not touched.

        Raises RolledBack where it did not take its file, and what was there before is in force again;
        EngineError and CannotRun where it could not be started then.
        """
        changes = difference.changes(self.made, manifest(self.site))
        done.changes += changes
        done.steps += [change.summary for change in changes]
        if done.dry_run:
            done.steps.append(self._would(bool(changes)))
            return
        activate = _Activation(self.site, self.state, progress)
        if self.site.pair:
            process.make_folders(self.site, self.state)
        changed = ritual.install(
            self.made, manifest(self.site), check=lambda: None, activate=activate, verify=self._verify
        )
        if self.site.pair is None:
            self._forget(activate.done, done)
            return
        if not changed and self._wrong(vrrp.look(self.site)):
            activate()
            self._verify()
        done.steps.append(activate.done or "keepalived: nothing differs, and it was not touched")
        seen = vrrp.look(self.site)
        done.steps.append(
            f"read back: keepalived is {seen.role}, priority {seen.priority}, addresses {len(seen.knows)}"
        )

    def _verify(self) -> None:
        """It runs, with this site's addresses and priority; and who was master is it still. Raises NotDone."""
        if self.site.pair is None:
            return
        before = self.before
        begun = time.monotonic()
        while True:
            seen = vrrp.look(self.site)
            wrong = self._wrong(seen)
            waited = time.monotonic() - begun
            if wrong and waited > _TAKES_WITHIN:
                raise NotDone(f"keepalived was given {process.configuration(self.site)}, and {wrong}. See its log.")
            if not wrong and (seen.since != before.since or waited > _SETTLES):  # it has read the file
                break
            time.sleep(_POLL)
        lost = seen.role != "master" or (seen.pid == before.pid and seen.became_master != before.became_master)
        if before.role == "master" and before.base == seen.base and lost:
            raise NotDone(f"this node was master, and became {seen.role} when keepalived read its file. See its log.")

    def _wrong(self, seen: Vrrp) -> str:
        """How keepalived differs from the site, or ""."""
        if seen.state != "running":
            return f"it is {seen.state}"
        if seen.role == "unknown":
            return "it has no role"
        base = track.base(self.site, self.node)
        if seen.base != base:
            return f"its priority is {seen.base}, not {base}"
        wanted = set(addresses.floating(self.site))
        differ = sorted(wanted ^ set(seen.addresses if seen.role == "master" else seen.knows))
        return f"it {'lacks' if differ[0] in wanted else 'still has'} {differ[0]}" if differ else ""

    def _forget(self, did: str, done: Applied) -> None:
        """The site has no pair any more: who looks for what is installed finds nothing."""
        manifest(self.site).unlink(missing_ok=True)
        done.steps.append(did or "keepalived did not run")
        done.warnings.append("the site has no pair any more: nothing puts the VIPs' addresses on this machine.")

    def _would(self, changed: bool) -> str:
        running = vrrp.process_id(self.site) is not None
        if self.site.pair is None:
            return (
                "keepalived would be stopped: the site has no pair any more" if running else "keepalived does not run"
            )
        if not running:
            return "keepalived would be started: it does not run"
        return "keepalived would be reloaded" if changed else "keepalived: nothing differs; it would not be touched"


class _Activation:
    """keepalived takes what is on its disk; called once more when that has been put back. `done`: what it did, in words."""

    def __init__(self, site: Site, state: Path | None, progress: Progress) -> None:
        self._site = site
        self._state = state
        self._progress = progress
        self.done = ""

    def __call__(self) -> None:
        there = process.configuration(self._site).exists()
        running = vrrp.process_id(self._site) is not None
        if running and not there:
            process.stop(self._site)
            self.done = "keepalived stopped"
        elif running:
            self._progress("keepalived reads its file")
            process.reload(self._site)
            self.done = "keepalived reloaded"
        elif there:
            self._progress("starting keepalived")
            self.done = f"keepalived started {process.start(self._site, program.find(), self._state)}"


def _of_the_kernel(site: Site) -> list[Change]:
    return [
        Change(path, "changed", (f"--- a{path}", f"+++ b{path}", f"-{now}", f"+{wanted}"))
        for path, (now, wanted) in settings.differing(site).items()
    ]
