"""Clients of all layer-7 VIPs that ask without end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

from lbkit_demo.client import VipClient

if TYPE_CHECKING:
    from types import TracebackType

    from lbkit import Site
    from lbkit_demo.client import Request

SOURCES = ("127.0.40.101", "127.0.40.102")  # each VIP has a client at each
PAUSE = 0.1  # seconds from an answer to the next request
SETTLES_WITHIN = 15.0


class Traffic:
    """Two clients for each VIP, while its block runs; each on a thread of its own.

    `requests`: those that have ended, in that order. It only grows.
    """

    def __init__(self, site: Site) -> None:
        self.requests: list[Request] = []
        vips = [vip for vip in site.vips if vip.mode == "l7-snat"]
        self._clients = [VipClient(site, vip, source) for vip in vips for source in SOURCES]
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[client], name="client", daemon=True) for client in self._clients
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def settle(self, moment: float, number: int) -> None:
        """Until each client has ended so many requests that began after that moment, or for SETTLES_WITHIN."""
        deadline = time.monotonic() + SETTLES_WITHIN
        seen: Counter[tuple[str, str]] = Counter()
        looked_at = 0
        while time.monotonic() < deadline:
            new = self.requests[looked_at:]
            looked_at += len(new)
            seen.update((one.vip, one.client) for one in new if one.began >= moment)
            if len(seen) == len(self._clients) and min(seen.values()) >= number:
                return
            time.sleep(0.02)

    def _run(self, client: VipClient) -> None:
        while not self._ending.wait(PAUSE):
            self.requests.append(client.request())
