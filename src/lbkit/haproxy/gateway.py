"""The kernel's part of transparent VIPs (`lbkit.haproxy.transparent`): what it has in force, and how it is brought there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.errors import CannotRun, EngineError, NotAllowed
from lbkit.haproxy.transparent import FORWARDING, MARK, NFT_NAME, SH_NAME, TABLE, TABLE_NAME
from lbkit.install.files import File
from lbkit.install.nftables import Table

_FAMILIES = tuple(FORWARDING)
_TIMEOUT = 10.0  # seconds for one command
_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the two files ask for. `nft`: the one's text, "": none is there. `families`: as `ip` takes them."""

    nft: str = ""
    families: tuple[str, ...] = ()

    @classmethod
    def of(cls, files: Iterable[File]) -> Rules:
        """Those of rendered files."""
        by_name = {file.path.name: file.content.decode() for file in files if file.path.name in (NFT_NAME, SH_NAME)}
        return cls(by_name.get(NFT_NAME, ""), _families(by_name.get(SH_NAME, "")))

    @classmethod
    def on_disk(cls, folder: Path) -> Rules:
        """Those of the files that are installed. Raises CannotRun."""
        nft, script = ((disk.read(folder / name) or b"").decode(errors="replace") for name in (NFT_NAME, SH_NAME))
        return cls(nft, _families(script))

    def differences(self) -> list[str]:
        """How the kernel differs, in words. Raises CannotRun, EngineError."""
        filter_ = Table(TABLE_NAME)
        now, wanted = filter_.in_force(), filter_.would_be(self.nft)
        found = []
        if now != wanted:
            state = "is missing" if not now else "is another" if wanted else "is still there"
            found.append(f"the nftables table inet {TABLE_NAME} {state}")
        for family in _FAMILIES:
            found += self._of_family(family)
        return found

    def _of_family(self, family: str) -> Iterator[str]:
        is_wanted = family in self.families
        state = "is missing" if is_wanted else "is still there"
        if _has_rule(family) != is_wanted:
            yield f"ip {family} rule fwmark {MARK} lookup {TABLE} {state}"
        if _has_route(family) != is_wanted:
            yield f"ip {family} route local default dev lo table {TABLE} {state}"
        if is_wanted and not forwards(family):
            yield f"{_setting(family)} is 0"


def bring(folder: Path) -> None:
    """The kernel to what the files there ask for; what they no longer ask for goes. Forwarding is never switched off.

    Raises CannotRun, NotAllowed, EngineError with what the commands say.
    """
    wanted = Rules.on_disk(folder)
    if wanted.families:
        _done("sh", str(folder / SH_NAME))
    else:
        Table(TABLE_NAME).load("")
    for family in _FAMILIES:
        if family in wanted.families:
            continue
        if _has_rule(family):
            _done("ip", family, "rule", "del", "fwmark", MARK, "lookup", TABLE)
        if _has_route(family):
            _done("ip", family, "route", "del", "local", "default", "dev", "lo", "table", TABLE)


def forwards(family: str) -> bool:
    """Whether this machine is a gateway now; False where it does not know the family."""
    try:
        return FORWARDING[family].read_text().strip() != "0"
    except OSError:
        return False


def stop_forwarding(family: str) -> None:
    """As it was before. Raises OSError."""
    FORWARDING[family].write_text("0\n")


def _families(script: str) -> tuple[str, ...]:
    return tuple(one for one in _FAMILIES if re.search(rf"^ip {one} route replace ", script, re.MULTILINE))


def _setting(family: str) -> str:
    return ".".join(FORWARDING[family].parts[3:])


def _has_rule(family: str) -> bool:
    return any(
        int(one.get("fwmark", "0"), 0) == int(MARK, 0) and one.get("table") == TABLE for one in _shown(family, "rule")
    )


def _has_route(family: str) -> bool:
    routes = _shown(family, "route", "table", TABLE)
    return any(one.get("type") == "local" and one.get("dst") == "default" for one in routes)


def _shown(family: str, what: str, *more: str) -> list[dict[str, Any]]:
    ran = _ran("ip", "-json", family, what, "show", *more)
    if ran.returncode:
        return []  # no such table, or a family that this kernel has not
    try:
        return list(json.loads(ran.stdout or "[]"))
    except ValueError:
        raise EngineError(f"`ip -json {family} {what} show` writes no JSON. Is iproute2 too old (4.20 does)?") from None


def _done(*command: str) -> None:
    ran = _ran(*command)
    if ran.returncode:
        said = " ".join(ran.stderr.split())[:1000] or f"it ends with {ran.returncode} and says nothing"
        if "not permitted" in said or "ermission denied" in said or "must be root" in said:
            raise NotAllowed(f"{' '.join(command)}: {said}. Run this as root (CAP_NET_ADMIN).")
        raise EngineError(f"{' '.join(command)}: {said}. Has this kernel nftables and policy routing?")


def _ran(*command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:{_SBIN}", "LC_ALL": "C"}
    program = shutil.which(command[0], path=env["PATH"])
    if program is None:
        raise CannotRun(f"there is no {command[0]} on this machine. Install the package iproute2.")
    try:
        return subprocess.run(  # noqa: S603  (no shell but for our own script)
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            text=True,
            errors="replace",
            env=env,
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{command[0]} has not ended within {_TIMEOUT:g}s. Look at the load of this machine.") from None
    except OSError as e:
        raise CannotRun(f"{command[0]} can't be run: {e.strerror}. Install the package iproute2.") from None
