"""The kernel's part of transparent VIPs, as a step of HAProxy's: set before it takes its files, verified, and taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from lbkit.errors import NotDone
from lbkit.haproxy import gateway
from lbkit.haproxy.gateway import Rules
from lbkit.haproxy.transparent import FORWARDING, SH_NAME
from lbkit.install.difference import Change, Kind
from lbkit.install.files import File


def diff(files: Iterable[File], folder: Path) -> tuple[Change, ...]:
    """How the kernel differs from what the rendered `files` ask for. Raises CannotRun, EngineError."""
    wanted = Rules.of(files)
    found = wanted.differences() if _concerns(wanted, folder) else []
    kind: Kind = "not in force" if wanted.families else "still in force"
    return (Change(folder / SH_NAME, kind, notes=tuple(found)),) if found else ()


class Step:
    """Of one installation of `files` below `folder`. Where no VIP is or was transparent, it does nothing."""

    def __init__(self, files: Iterable[File], folder: Path) -> None:
        self._wanted = Rules.of(files)
        self._folder = folder
        self._is_needed = _concerns(self._wanted, folder)
        self._begun = False
        self._forwarding = {family: gateway.forwards(family) for family in FORWARDING} if self._is_needed else {}
        self.done = ""

    def check(self) -> None:
        """That the kernel can be asked, before anything is written. Raises CannotRun, EngineError."""
        if self._is_needed:
            self._wanted.differences()

    def then(self, activate: Callable[[], None]) -> Callable[[], None]:
        """The same, with the kernel brought to the files on the disk, which are those of before when it is called again.

        HAProxy has its rules before it needs them, and as long as it does.
        """

        def run() -> None:
            if Rules.on_disk(self._folder).families:
                self._bring()
                activate()
            else:
                activate()
                self._bring()

        return run

    def verified(self, verify: Callable[[], None]) -> Callable[[], None]:
        """The same, once the kernel is read back."""

        def run() -> None:
            self.verify()
            verify()

        return run

    def settle(self) -> None:
        """Where the files are right and the kernel differs, as after a boot: bring it there. Raises NotDone too."""
        if self._is_needed and not self._begun and self._wanted.differences():
            self._bring()
            self.verify()

    def verify(self) -> None:
        """Read back. Raises NotDone."""
        if not self._is_needed:
            return
        found = self._wanted.differences()
        if found:
            raise NotDone(f"the kernel was told what transparent VIPs need, and {'; '.join(found)}.")
        self.done = (
            f"transparent VIPs: the kernel brings clients' answers back to HAProxy ({self._folder / SH_NAME})"
            if self._wanted.families
            else "no VIP is transparent any more: its rules are gone from the kernel, which forwards on as it did"
        )

    def _bring(self) -> None:
        if not self._is_needed:
            return
        again, self._begun = self._begun, True
        gateway.bring(self._folder)
        if again:
            for family, was in self._forwarding.items():
                if not was and gateway.forwards(family):
                    with suppress(OSError):
                        gateway.stop_forwarding(family)


def _concerns(wanted: Rules, folder: Path) -> bool:
    return bool(wanted.families) or (folder / SH_NAME).exists()
