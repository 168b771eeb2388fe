"""The ssh session that a command runs in, which its firewall must not cut."""

from __future__ import annotations

import os
from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from lbkit.firewall.openings import Opening

_MOST = 64  # ancestors


class Session(NamedTuple):
    """`client` comes from there, to `port` of this machine's `address`."""

    client: str
    address: str
    port: int


def this_one() -> Session | None:
    """That of this process, or of one that it comes from: sudo hides it (sshd(8): SSH_CONNECTION). None: there is none."""
    pid = os.getpid()
    for _ in range(_MOST):
        found = _of(_environment(pid))
        pid = _parent(pid)
        if found or pid <= 1:
            return found
    return None


def is_let_in(session: Session, openings: Collection[Opening]) -> bool:
    """Whether its next packet would be."""
    return ip_address(session.client).is_loopback or any(
        one.protocol == "tcp" and session.port in one.ports and one.is_at(session.address) and one.takes(session.client)
        for one in openings
    )


def _of(text: str) -> Session | None:
    words = text.split()
    try:
        client, address = (str(ip_address(one.partition("%")[0])) for one in (words[0], words[2]))
        return Session(client, address, int(words[3]))
    except (ValueError, IndexError):
        return None


def _environment(pid: int) -> str:
    if pid == os.getpid():
        return os.environ.get("SSH_CONNECTION", "")
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = b"SSH_CONNECTION="
    return next(
        (one.removeprefix(prefix).decode("ascii", "replace") for one in variables if one.startswith(prefix)), ""
    )


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
