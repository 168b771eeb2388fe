"""The places where HAProxy listens: whether those that a configuration adds can be had on this machine.

A new worker that finds one taken has the old one stop listening, everywhere, and tries again for 2 seconds before it
gives up (HAProxy 2.6 and 2.8): all clients would be refused meanwhile. So this is asked before.
"""

from __future__ import annotations

import errno
import re
import socket

from lbkit.errors import EngineError

_WHY = {
    errno.EADDRINUSE: "another process has it (ss -ltnp names it): end that, or give the VIP another port",
    errno.EADDRNOTAVAIL: "that address is not on this machine: add it, or on a node of a pair let HAProxy bind it all "
    "the same (sysctl net.ipv4.ip_nonlocal_bind=1, or net.ipv6: lbkit apply without --only sets it)",
}


def check(now: str, wanted: str) -> None:
    """Of two texts of haproxy.cfg: what the second adds is free. Raises EngineError."""
    for host, port in sorted(_places(wanted) - _places(now)):
        why = _WHY.get(_tried(host, port))
        if why:
            raise EngineError(f"HAProxy can't listen at {host} port {port}: {why}. Nothing was changed.")


def _places(text: str) -> set[tuple[str, int]]:
    local = re.search(r"^ +localpeer (\S+)$", text, re.MULTILINE)
    peer = f"|peer {re.escape(local[1])}" if local else ""
    listed = re.findall(rf"^ +(?:bind{peer}) \[?([0-9a-f.:]+?)\]?:(\d+)(?: |$)", text, re.MULTILINE)
    return {(host, int(port)) for host, port in listed}


def _tried(host: str, port: int) -> int:
    """The number of the error, 0: none. Bound as HAProxy does it, and never listened at."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            tried.bind((host, port))
        except OSError as e:
            return e.errno or 0
    return 0
