"""Network namespaces that nothing but this process holds: they are gone with it, and all that is in them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.remotes import program

_NEWNET = 0x40000000  # CLONE_NEWNET
_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """One; its loopback is up. `file`: what `ip link` takes for it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.file = f"/proc/{os.getpid()}/fd/{fd}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets and processes of this thread are made there; they stay when the block has ended."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self._fd)
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)

    def run(self, *commands: str) -> None:
        """Each of them, as root has its PATH; one that fails fails the test."""
        for command in commands:
            ran = self.tried(*command.split())
            assert ran.returncode == 0, f"{command}: {ran.stderr}"

    def tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One of them, whatever comes of it."""
        env = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
        with self.inside():
            return subprocess.run(words, capture_output=True, text=True, timeout=10, check=False, env=env)

    def set(self, name: str, value: str) -> None:
        """A setting of its own below /proc/sys/net."""
        with self.inside():
            Path("/proc/sys/net", name).write_text(value)

    def close(self) -> None:
        os.close(self._fd)


def _enter(fd: int) -> None:
    if _LIBC.setns(fd, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def namespaces(number: int) -> Iterator[list[Namespace]]:
    """New ones, empty but for loopback; where this machine lets nobody make them, the test is skipped."""
    program("ip", "iproute2")
    if os.geteuid() != 0:
        pytest.skip(reason="needs root: real network namespaces with HAProxy in them")
    made: list[Namespace] = []
    try:
        for _ in range(number):
            made.append(_new())
            made[-1].run("ip link set lo up")
        yield made
    finally:
        for one in made:
            one.close()


def _new() -> Namespace:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _LIBC.unshare(_NEWNET):
            pytest.skip(reason=f"this machine makes no network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            return Namespace(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        finally:
            _enter(before)
    finally:
        os.close(before)
