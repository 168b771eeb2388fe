"""A machine of a pair: a network, a host name and files of its own, so that lbkit's own paths work in it unchanged.

Its processes are those of this machine, seen by their ids here as there; all of them end with the node.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from interop.agents import eventually
from system.namespaces import Namespace

from lbkit.pair.addresses import here_now

_OURS = Path(sys.executable).parent  # lbkit is there
PATH = f"{_OURS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOGS = "/var/log"
_ENDS_WITHIN = 10.0  # seconds
# What is written below /etc, /root and /var is gone with the node. It ends when whoever holds its stdin does, and then so
# does all that runs on its files.
_HOLDER = r"""
set -e
! [ /proc/$$/ns/mnt -ef /proc/$PPID/ns/mnt ]
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /mnt
mount -t sysfs sysfs /sys
for one in etc root var; do
    mkdir -p /mnt/$one /mnt/work-$one
    mount -t overlay overlay -o lowerdir=/$one,upperdir=/mnt/$one,workdir=/mnt/work-$one /$one
done
hostname "$1"
rm -rf /root/.bash* /root/.profile  # this machine's own: what they start would go before each answer to the other node
rm -rf /var/log /root/.ssh /etc/ssh/ssh_host_* /etc/haproxy /etc/keepalived /etc/lbkit /var/lib/lbkit
mkdir -m 700 /root/.ssh
mkdir -p /run/sshd /run/haproxy /run/lbkit /var/log /etc/haproxy /etc/keepalived /etc/lbkit/pair /var/lib/lbkit
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
echo ready
trap '' INT TERM
cat
set +e
found=1
while [ $found = 1 ]; do
    found=0
    for one in /proc/[0-9]*; do
        if [ $one != /proc/$$ ] && [ $one/ns/mnt -ef /proc/$$/ns/mnt ]; then kill -9 ${one#/proc/}; found=1; fi
    done
done 2>/dev/null
"""


class Node:
    """One, on the network of `space`."""

    def __init__(self, space: Namespace, name: str) -> None:
        self.space = space
        self.name = name
        self._begun: list[subprocess.Popen[bytes]] = []
        with space.inside():
            self._holder = subprocess.Popen(
                ["unshare", "--mount", "--uts", "sh", "-c", _HOLDER, "sh", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        if said != b"ready\n":
            self._holder.kill()
            rest = said + self._holder.communicate()[0]
            pytest.skip(reason=f"this machine makes no node: {rest.decode(errors='replace').strip()}")

    def file(self, path: str) -> Path:
        """A file of it, as this process reads and writes it."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def log(self, name: str) -> str:
        """What a process that `popen` began has written."""
        return self.file(f"{LOGS}/{name}.log").read_text(errors="replace")

    def run(
        self, command: str | Sequence[str], *, check: bool = True, timeout: float = 60.0, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, as root has its environment; one that fails fails the test unless `check` is false."""
        ran = subprocess.run(
            self._words(command),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            input=text,
            env=_ENVIRONMENT,
        )
        assert not check or ran.returncode == 0, (
            f"{self.name}: {command} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
        )
        return ran

    def popen(self, command: str | Sequence[str], log: str, **environment: str) -> subprocess.Popen[bytes]:
        """Begin a process there; what it writes is added to /var/log/LOG.log. Its id is its own."""
        with self.file(f"{LOGS}/{log}.log").open("ab") as out:
            process = subprocess.Popen(
                self._words(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_ENVIRONMENT | environment,
                start_new_session=True,
            )
        self._begun.append(process)
        return process

    def _words(self, command: str | Sequence[str]) -> list[str]:
        words = shlex.split(command) if isinstance(command, str) else command
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--uts", "--wd=/root", *words]

    def pids(self, name: str) -> list[int]:
        """Those of haproxy, keepalived, sshd, agent that run here; a parent before its child."""
        for process in self._begun:
            process.poll()  # else one that has died would seem to be there, to others too
        here = self._identity(self._holder.pid)
        return sorted(
            int(one.name)
            for one in Path("/proc").glob("[0-9]*")
            if self._identity(int(one.name)) == here and _is(one, name)
        )

    def kill(self, name: str, number: int = signal.SIGKILL) -> list[int]:
        """Signal all of these; none is left when it was SIGKILL. Which they were."""
        pids = self.pids(name)
        for pid in pids:
            signalled(pid, number)
        if number == signal.SIGKILL:
            eventually(lambda: not set(self.pids(name)) & set(pids))
        return pids

    def kill_all(self) -> None:
        """Everything that runs here dies at once, as with the machine."""
        for name in PROGRAMS:
            for pid in self.pids(name):
                signalled(pid, signal.SIGKILL)

    def addresses(self) -> set[str]:
        """Those of its interfaces now, but the loopback's; read without a process, since tests look again and again."""
        with self.space.inside():
            return set(here_now())

    def close(self) -> None:
        """The end of it, and of all that runs there."""
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        try:
            self._holder.wait(_ENDS_WITHIN)
        finally:
            self._holder.kill()
            self._holder.wait()
            assert self._holder.stdout is not None
            self._holder.stdout.close()
            for process in self._begun:
                process.kill()
                process.wait()

    @staticmethod
    def _identity(pid: int) -> int | None:
        try:
            return os.stat(f"/proc/{pid}/ns/mnt").st_ino
        except OSError:
            return None


PROGRAMS = ("keepalived", "haproxy", "agent", "sshd")
_ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def signalled(pid: int, number: int) -> None:
    """Where it is still there: sshd's children come and go."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is(process: Path, name: str) -> bool:
    """Whether that is its program; one that has died and is not waited for is not."""
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        words = (process / "cmdline").read_bytes().split(b"\0")
        comm = (process / "comm").read_text().strip()
    except OSError:
        return False
    if name == "agent":
        comm, name = ("agent", name) if comm == "lbkit" and b"agent" in words else ("", name)
    return comm == name and state != "Z"
