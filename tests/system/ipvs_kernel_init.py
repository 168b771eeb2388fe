"""Process 1 of the kernel that ipvs_kernel.py boots: makes it usable, runs one command, powers it off."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSIDE = "LBKIT_IN_IPVS_KERNEL"  # set to 1 for the command
OUT_OF_TIME = 124
CANNOT_RUN = 126
_FINIT_MODULE = 313  # system call, x86_64
_POWER_OFF = 0x4321FEDC
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(state: Path) -> None:
    """Whatever happens, the kernel powers off; why is on its console."""
    try:
        job = json.loads((state / "job").read_text())
        mount()
        load(Path(job["module_folder"]), job["modules"])
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        (state / "up").touch()
        code = run(job, state / "output")
        (state / "code.new").write_text(str(code))
        (state / "code.new").rename(state / "code")
    except BaseException as e:
        print(f"init: {type(e).__name__}: {e}", flush=True)
    os.sync()
    _LIBC.reboot(_POWER_OFF)
    time.sleep(60)


def mount() -> None:
    """What a kernel needs beside its root; devtmpfs it has mounted by itself."""
    os.environ["PATH"] = PATH
    for kind, folder, options in (
        ("proc", "/proc", "rw"),
        ("sysfs", "/sys", "rw"),
        ("devpts", "/dev/pts", "rw"),
        ("tmpfs", "/dev/shm", "rw"),
        ("tmpfs", "/run", "mode=755"),
    ):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", kind, "-o", options, kind, folder], check=True)
    for name, to in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        if not os.path.lexists(f"/dev/{name}"):
            os.symlink(to, f"/dev/{name}")
    for folder in ("/run/lock", "/run/tmp"):
        os.mkdir(folder)


def load(folder: Path, names: list[str]) -> None:
    """Load kernel modules, and before each what it depends on. (modprobe looks elsewhere for them.)"""
    folder /= os.uname().release
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[Path(file).name.partition(".")[0].replace("-", "_")] = [*reversed(others.split()), file]
    for file in dict.fromkeys(file for name in names for file in needs[name]):
        with (folder / file).open("rb") as module:
            options = b"numdummies=0" if file.endswith("/dummy.ko") else b""
            if _LIBC.syscall(_FINIT_MODULE, module.fileno(), options, 0) and ctypes.get_errno() != errno.EEXIST:
                raise OSError(ctypes.get_errno(), f"cannot load {file}")


def run(job: dict[str, Any], output: Path) -> int:
    """The command's exit code. Daemons that it leaves behind end with the kernel."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            for stream in (1, 2):
                os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), stream)
            os.chdir(job["folder"])
            os.execvpe(job["command"][0], job["command"], {**job["environment"], INSIDE: "1", "TMPDIR": "/run/tmp"})
        except OSError as e:
            os.write(2, f"{job['command'][0]}: {e.strerror}\n".encode())
            os._exit(CANNOT_RUN)
    out_of_time = False

    def kill_all(*_: object) -> None:
        nonlocal out_of_time
        out_of_time = True
        os.kill(-1, signal.SIGKILL)  # everything but this process

    signal.signal(signal.SIGALRM, kill_all)
    signal.setitimer(signal.ITIMER_REAL, job["timeout"])
    status = None
    while status is None:  # process 1 also reaps what others have left
        ended, how = os.waitpid(-1, 0)
        status = os.waitstatus_to_exitcode(how) if ended == pid else None
    if out_of_time:
        return OUT_OF_TIME
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    main(Path(sys.argv[1]))
