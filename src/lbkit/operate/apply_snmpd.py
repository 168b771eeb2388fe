"""From the site to snmpd: diff, apply. It goes last of all: where it fails, the site serves all the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lbkit.errors import EngineError, RolledBack
from lbkit.install import difference, ritual
from lbkit.install.difference import Change
from lbkit.install.files import File
from lbkit.operate.outcome import Applied, Progress
from lbkit.site.model import Site
from lbkit.snmp import asking, process, render
from lbkit.snmp.keys import Keys

MANIFEST = ".lbkit-snmpd-manifest.json"
_ANSWERS_WITHIN = 10.0  # seconds


def concerns(site: Site) -> bool:
    """Whether the site has SNMP, or had, so that snmpd still runs with it."""
    return site.snmp is not None or _manifest(site).exists()


def diff(site: Site) -> tuple[Change, ...]:
    """What `apply` would change. The file holds secrets, so that its lines are not shown. Raises Misuse, CannotRun."""
    return difference.changes(render.files(site), _manifest(site))


def begun(site: Site) -> Part | None:
    """What can be known before anything is touched: that snmpd is there, can be asked, and can be told of the site.

    None: SNMP has no part in it. Raises Misuse, CannotRun.
    """
    if not concerns(site):
        return None
    made = render.files(site)
    if site.snmp is not None:
        process.program()
        asking.program()
    return Part(site, made)


@dataclass(frozen=True, slots=True)
class Part:
    """snmpd's part of one `apply`. `made`: its file."""

    site: Site
    made: tuple[File, ...] = field(repr=False)

    def apply(self, done: Applied, progress: Progress) -> None:
        """Bring snmpd to the site. Where nothing differs, and it answers, it is not touched.

        Raises RolledBack where it does not answer as the site has it, and what it had before is in force again; EngineError
        where that could not be put back, CannotRun.
        """
        changes = difference.changes(self.made, _manifest(self.site))
        done.changes += changes
        done.steps += [change.summary for change in changes]
        if done.dry_run:
            done.steps.append("snmpd would be started anew" if changes else "snmpd: nothing differs")
            return
        try:
            done.steps.append(self._brought(progress))
        except (RolledBack, EngineError) as e:
            raise type(e)(f"{e} All else of the site is in force.") from e

    def _brought(self, progress: Progress) -> str:
        activate = _Activation(_configuration(self.site), progress)
        changed = ritual.install(
            self.made, _manifest(self.site), check=lambda: None, activate=activate, verify=self._verify
        )
        snmp = self.site.snmp
        if snmp is None:
            _manifest(self.site).unlink(missing_ok=True)
        elif not changed and not asking.answers(snmp, Keys.read(snmp)):
            activate()
            self._verify()
        return activate.done or "snmpd: nothing differs, and it answers"

    def _verify(self) -> None:
        if self.site.snmp is not None:
            asking.wait(self.site.snmp, Keys.read(self.site.snmp), _ANSWERS_WITHIN)


class _Activation:
    """snmpd takes what is on its disk; called once more when that has been put back. `done`: what it did, in words."""

    def __init__(self, configuration: Path, progress: Progress) -> None:
        self._configuration = configuration
        self._progress = progress
        self.done = ""

    def __call__(self) -> None:
        if self._configuration.exists():
            self._progress("starting snmpd anew")
            self.done = f"snmpd started anew {process.start(self._configuration)}"
        else:
            process.stop(self._configuration)
            self.done = "snmpd stopped: the site has no [snmp]"


def _configuration(site: Site) -> Path:
    return Path(site.snmp.file) if site.snmp else process.UNIT_READS


def _manifest(site: Site) -> Path:
    return _configuration(site).with_name(MANIFEST)
