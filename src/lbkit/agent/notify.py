"""Telling systemd how the agent is (sd_notify(3)); without systemd nothing is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notify:
    """`watchdog`: seconds between two signs of life, half of what systemd waits for; None: it wants none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self.watchdog: float | None = None
        microseconds = environment.get("WATCHDOG_USEC", "")
        if microseconds.isdecimal() and environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            self.watchdog = int(microseconds) / 2e6 or None

    def tell(self, *words: str) -> None:
        """Send `READY=1`, `STATUS=…` and the like. That nobody listens is no error."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto("\n".join(words).encode(), self._address)
