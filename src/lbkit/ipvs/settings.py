"""The settings of the kernel's IPVS that lbkit's promises need (/proc/sys/net/ipv4/vs, of this network namespace)."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from lbkit.errors import NotAllowed, NotRunning

FOLDER = Path("/proc/sys/net/ipv4/vs")


def wanted(*, move_sticky: bool) -> dict[str, str]:
    """By name. `move_sticky`: clients that are kept on a drained real server are to go elsewhere with their next connection.

    expire_nodest_conn: a connection to a destination that was removed is reset; with 0 it would hang until it times out.
    """
    return {"expire_nodest_conn": "1", "expire_quiescent_template": str(int(move_sticky))}


def differing(settings: Mapping[str, str]) -> dict[str, str]:
    """Those that are not so yet. Raises NotRunning where this kernel has no IPVS."""
    return {name: value for name, value in settings.items() if _read(name) != value}


def put(settings: Mapping[str, str]) -> None:
    """Write them. Raises NotAllowed, NotRunning."""
    for name, value in settings.items():
        try:
            (FOLDER / name).write_text(f"{value}\n")
        except PermissionError:
            raise NotAllowed(
                f"{FOLDER / name} is not for this user to write. Run this as root (CAP_NET_ADMIN)."
            ) from None
        except OSError as e:
            raise _missing(name, e) from None


def _read(name: str) -> str:
    try:
        return " ".join((FOLDER / name).read_text().split())
    except OSError as e:
        raise _missing(name, e) from None


def _missing(name: str, error: OSError) -> NotRunning:
    if error.errno == errno.EROFS:
        return NotRunning(
            f"{FOLDER / name} can't be written here: {error.strerror}. Let this process write it (systemd: no "
            "ProtectKernelTunables), or set it yourself: sysctl -w net.ipv4.vs.NAME=VALUE"
        )
    return NotRunning(f"{FOLDER / name} can't be used: {error.strerror}. Has this kernel IPVS? As root: modprobe ip_vs")
