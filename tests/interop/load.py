"""Clients that connect again and again while something is done, and count who answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CLIENTS = 6


@contextmanager
def clients(connect: Callable[[], str], per_second: int, most: int = 200_000) -> Iterator[Counter[str]]:
    """At most `most` connections, `per_second`; `connect` gives the name of who answered, or raises OSError: `failed`.

    What was counted is complete once the block has ended.
    """
    counts: Counter[str] = Counter()
    lock, ended = threading.Lock(), threading.Event()
    turn = iter(range(most))
    begun = time.monotonic()

    def client() -> None:
        while not ended.is_set():
            with lock:
                number = next(turn, None)
            if number is None:
                return
            if ended.wait(max(0.0, begun + number / per_second - time.monotonic())):
                return
            try:
                name = connect() or "nobody"
            except OSError as e:
                name = f"failed: {e}"
            with lock:
                counts[name] += 1

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for one in threads:
        one.start()
    try:
        yield counts
    finally:
        ended.set()
        for one in threads:
            one.join(15)
