"""The kernel's packet filter: what it has of one of our tables, against what a file says; all through `nft`.

Both are shown as nft lists them: the file is loaded in an empty network namespace for that, so no text is compared that
another version of nft would write otherwise.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from lbkit.errors import CannotRun, EngineError, NotAllowed

TIMEOUT = 10.0  # seconds for one run of nft
_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
_MOST = 2000  # characters of what nft says
_NO_SUCH = "No such file or directory"


class Table:
    """One table, of family inet. All methods raise CannotRun (no nft), NotAllowed (no CAP_NET_ADMIN) and EngineError."""

    def __init__(self, name: str) -> None:
        self.name = name

    def in_force(self) -> str:
        """As the kernel has it now, without counters; "": it has none."""
        ran = _run([_program("nft", "nftables"), "-s", "list", "table", "inet", self.name])
        if ran.returncode and _NO_SUCH not in ran.stderr:
            raise _refused(ran)
        return ran.stdout

    def would_be(self, text: str) -> str:
        """As the kernel would have it once `text` is loaded; "" where `text` is."""
        if not text:
            return ""
        inside = f'nft -f - && exec nft -s list table inet "{self.name}"'
        ran = _run([_program("unshare", "util-linux"), "--net", "sh", "-c", inside], text)
        if ran.returncode:
            raise _refused(ran)
        return ran.stdout

    def load(self, text: str) -> None:
        """Have the kernel take it, all or nothing; "": remove the table."""
        text = text or f"table inet {self.name}\ndelete table inet {self.name}\n"
        ran = _run([_program("nft", "nftables"), "-f", "-"], text)
        if ran.returncode:
            raise _refused(ran)


def _program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if not found:
        raise CannotRun(f"there is no {name} on this machine. Install the package {package}.")
    return found


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:{_SBIN}", "LC_ALL": "C"}
    try:
        return subprocess.run(  # noqa: S603  (no shell but for a line of our own)
            command, input=text, capture_output=True, timeout=TIMEOUT, text=True, errors="replace", env=env
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{command[0]} has not ended within {TIMEOUT:g}s. Look at the load of this machine.") from None
    except OSError as e:
        raise CannotRun(f"{command[0]} can't be run: {e.strerror}. Install the package nftables.") from None


def _refused(ran: subprocess.CompletedProcess[str]) -> EngineError:
    said = " ".join(ran.stderr.split())[:_MOST] or f"it ends with {ran.returncode} and says nothing"
    if "Operation not permitted" in said or "must be root" in said:
        return NotAllowed("nft may not be used by this user. Run this as root (CAP_NET_ADMIN).")
    return EngineError(f"nft says: {said}. Has this kernel nftables (modprobe nf_tables)?")
