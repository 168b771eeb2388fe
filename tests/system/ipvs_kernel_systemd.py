"""Process 1 of that kernel where systemd is to run: makes a root of this machine's files and what is changed, becomes it.

The job of ipvs_kernel_init.py is a unit then, in whose folder /run/kernel the outcome goes. This machine's own services
don't start.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from ipvs_kernel_init import load, mount

ROOT = Path("/mnt/root")  # not below /run: the kernel's own goes, with all that is mounted there
HERE = Path("/run/kernel")
FOLDERS = {"proc": "proc", "sys": "sysfs", "dev": "devtmpfs", "run": "tmpfs"}
OF_OTHERS = (
    *(
        "binfmt_misc.automount",
        "console-getty",
        "systemd-binfmt",
        "systemd-logind",
        "systemd-networkd",
        "systemd-udevd",
    ),
    *("systemd-timesyncd", "systemd-tmpfiles-setup", "systemd-update-utmp", "timers.target", "modprobe@"),
)
UNIT = """[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c {command}
ExecStopPost=/bin/sh -c 'echo $$EXIT_STATUS >{here}/code.new; mv {here}/code.new {here}/code'
ExecStopPost=/bin/sh -c 'systemctl poweroff -ff 2>/dev/console'
StandardOutput=append:{here}/output
StandardError=append:{here}/output
TimeoutStartSec={timeout}
WorkingDirectory={folder}
"""


def main(state: Path) -> None:
    """Does not return."""
    job = json.loads((state / "job").read_text())
    mount()
    load(Path(job["module_folder"]), [*job["modules"], "overlay"])
    make_root(state)
    units = ROOT / "etc/systemd/system"
    for wanted in units.glob("*.wants/*"):
        wanted.unlink()
    for name in OF_OTHERS:
        (units / (name if "." in name else f"{name}.service")).symlink_to("/dev/null")
    (units / "job.service").write_text(unit(job))
    (state / "up").touch()
    os.execvp(
        "switch_root", ["switch_root", str(ROOT), "/lib/systemd/systemd", "--unit=job.service", "--show-status=no"]
    )


def make_root(state: Path) -> None:
    command("mount", "-t", "tmpfs", "tmpfs", ROOT.parent)
    for name in ("upper", "work", ROOT.name):
        (ROOT.parent / name).mkdir()
    layers = f"lowerdir=/,upperdir={ROOT.parent}/upper,workdir={ROOT.parent}/work"
    command("mount", "-t", "overlay", "-o", layers, "overlay", ROOT)
    for name, kind in FOLDERS.items():
        command("mount", "-t", kind, kind, ROOT / name)
    (ROOT / HERE.relative_to("/")).mkdir()
    command("mount", "-t", "hostfs", "-o", state, "none", ROOT / HERE.relative_to("/"))


def unit(job: dict[str, object]) -> str:
    words = [str(word) for word in job["command"]]
    assert not any(c in word for word in words for c in "%$\\\n'"), words
    return UNIT.format(command=f'"exec {shlex.join(words)}"', here=HERE, folder=job["folder"], timeout=job["timeout"])


def command(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException as e:
        print(f"init: {type(e).__name__}: {e}", flush=True)
        time.sleep(60)
