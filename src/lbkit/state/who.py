"""Who asks, and from where: what goes beside an intent or an event. It says whom to call, and proves nothing."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

_LOGIN = Path("/proc/self/loginuid")  # proc(5); set once at login (pam_loginuid), and kept by sudo and su
_NOBODY = (1 << 32) - 1
_SSH = "SSH_CONNECTION"
_ANCESTORS = 16  # processes; sudo, a shell or two, and sshd are five


def who_asks() -> str:
    """`anna@lb1`: who logged in; without a login the user who called sudo, else the user of this process.

    By number where there is no name.
    """
    return f"{_logged_in() or os.environ.get('SUDO_USER') or _name(os.getuid())}@{os.uname().nodename}"


def from_where() -> str:
    """`ssh 192.0.2.7`, else the terminal, such as `tty1`, else "": no terminal, as of a timer.

    sudo takes SSH_CONNECTION away; the shell that called it has it still.
    """
    if address := _address(os.environ.get(_SSH, "")) or _of_ancestors():
        return f"ssh {address}"
    for fd in (0, 1, 2):
        with suppress(OSError):
            return os.ttyname(fd).removeprefix("/dev/")
    return ""


def _of_ancestors() -> str:
    """Of the nearest process above that came by ssh. Those of other users are root's to look at."""
    pid = os.getppid()
    for _ in range(_ANCESTORS):
        if pid <= 1:
            break
        process = Path("/proc", str(pid))
        try:
            for one in (process / "environ").read_bytes().split(b"\0"):
                name, _, value = one.partition(b"=")
                if name == _SSH.encode() and (address := _address(value.decode(errors="replace"))):
                    return address
        except OSError:
            pass  # the one above may be ours again
        try:
            pid = int((process / "stat").read_text().rpartition(")")[2].split()[1])  # proc(5): state, ppid
        except (OSError, ValueError, IndexError):
            break
    return ""


def _address(connection: str) -> str:
    """The first of the four words of SSH_CONNECTION; "" for anything else."""
    try:
        return str(ip_address(connection.split()[0]))
    except (ValueError, IndexError):
        return ""


def _logged_in() -> str:
    """As the kernel knows it, whatever the environment says; "": nobody, as of a timer."""
    try:
        number = int(_LOGIN.read_text())
    except (OSError, ValueError):
        return ""
    return "" if number == _NOBODY else _name(number)


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
