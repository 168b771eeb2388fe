#!/usr/bin/env python3
"""A command as root under a second Linux kernel that has IPVS: `python tests/system/ipvs_kernel.py COMMAND [ARGUMENT]…`

It boots Debian's User Mode Linux as an ordinary process in about 2.5 s, needs no root, and has this machine's files (it can
write them). Its own are /dev, /proc, /sys, /run with TMPDIR, and the network: nothing but what the command makes. It has one
slow CPU: a Python starts in 0.2 s.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "linux.uml"
PACKAGE = "user-mode-linux"
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "lblc", "lblcr")
MODULES = ("ip_vs", *(f"ip_vs_{name}" for name in SCHEDULERS), "veth", "bridge", "dummy")
BOOT_WITHIN = 60.0  # seconds
END_WITHIN = 15.0  # after its time has run out, and to power off
_INIT, _SYSTEMD = (Path(__file__).with_name(f"ipvs_kernel_{name}.py") for name in ("init", "systemd"))
_NO_ASLR = 0x40000  # ADDR_NO_RANDOMIZE: User Mode Linux wants its addresses to be free
_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Ended:
    """`code`: the command's exit code, 128 + the signal that killed it, 124 where its time ran out; None: the kernel died
    before it, or never came up. `output`: what the command wrote, to either stream. `console`: what the kernel wrote.
    """

    code: int | None
    output: str
    console: str


def run(
    command: Sequence[str],
    *,
    timeout: float = 300.0,
    modules: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    memory: int = 768,
    follow: Callable[[bytes], object] = len,
    systemd: bool = False,
) -> Ended:
    """Boot, run the command in this folder and environment (and `environment`), wait until it has ended.

    `timeout`: seconds, of the command alone. `modules`: kernel modules beside MODULES, such as xt_mark. `memory`: MiB.
    `follow` is given the output piece by piece while it comes. `systemd`: it is process 1, the command a unit of it,
    and what is written to this machine's files is gone with the kernel. Raises FileNotFoundError without User Mode Linux.
    """
    kernel = shutil.which(PROGRAM)
    if kernel is None:
        raise FileNotFoundError(f"{PROGRAM} is not installed (Debian package {PACKAGE})")
    state = Path(tempfile.mkdtemp(prefix="ipvs", dir="/tmp"))  # short: the kernel makes a socket in it
    try:
        job = {
            "command": list(command), "folder": os.getcwd(), "environment": {**os.environ, **(environment or {})},
            "timeout": timeout, "modules": [*MODULES, *modules],
            "module_folder": str(Path(kernel).resolve().parents[1] / "lib/uml/modules"),
        }  # fmt: skip
        (state / "job").write_text(json.dumps(job))
        (state / "output").touch()
        with (
            _booted(kernel, state, memory, _SYSTEMD if systemd else _INIT) as process,
            (state / "output").open("rb") as output,
        ):
            said = b"".join(_followed(process, state, output.read, timeout, follow))
        code = int((state / "code").read_text()) if (state / "code").exists() else None
        return Ended(code, said.decode(errors="replace"), (state / "console").read_text(errors="replace"))
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _followed(
    process: subprocess.Popen[bytes],
    state: Path,
    read: Callable[[], bytes],
    timeout: float,
    follow: Callable[[bytes], object],
) -> Iterator[bytes]:
    """What the command writes, until it has ended and the kernel with it, or their time has run out."""
    deadline, up = time.monotonic() + BOOT_WITHIN, False
    while process.poll() is None and time.monotonic() < deadline:
        if not up and (state / "up").exists():
            deadline, up = time.monotonic() + timeout + END_WITHIN, True
        if piece := read():
            follow(piece)
            yield piece
        else:
            time.sleep(0.02)
    if piece := read():
        follow(piece)
        yield piece


@contextmanager
def _booted(kernel: str, state: Path, memory: int, first: Path) -> Iterator[subprocess.Popen[bytes]]:
    shared = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").exists() else 0
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(state),
        "TMPDIR": "/dev/shm" if shared > memory << 20 else str(state),  # its memory is a file
    }
    options = (
        f"mem={memory}M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        "con=null",
        "con0=null,fd:1",
    )
    init = (f"init={Path(sys.executable).resolve()}", "--", "-ESs", str(first), str(state))
    with (state / "console").open("wb") as console:
        process = subprocess.Popen(
            [kernel, *options, "ssl=null", f"uml_dir={state}/", "panic=1", *init],
            env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            start_new_session=True, preexec_fn=_before_the_kernel,
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _before_the_kernel() -> None:
    _LIBC.personality(_NO_ASLR)
    _LIBC.prctl(_PDEATHSIG, signal.SIGTERM)  # not to outlive whoever asked for it


def main() -> int:
    """By hand: the output goes through, the exit code is the command's, or 125 where the kernel failed."""
    if not sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 125
    ended = run(sys.argv[1:], follow=lambda piece: (sys.stdout.buffer.write(piece), sys.stdout.flush()))
    if ended.code is None:
        print(ended.console, "\nthe kernel died, or did not come up", file=sys.stderr)
    return 125 if ended.code is None else ended.code


if __name__ == "__main__":
    sys.exit(main())
