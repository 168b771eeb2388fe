"""The site of most tests of operations: three VIPs in front of two servers, which are up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.operated import Named, Operated, operated, three_vips

from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate.overview import overview


@pytest.fixture
def site(short: Path, haproxy: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    """LAST, SOURCE and NONE in front of the servers one and two, which are up."""
    monkeypatch.setenv(HAPROXY, haproxy.path)
    one, two = Named("one"), Named("two", "127.0.0.2")
    with operated(short, *three_vips(one, two), servers={"one": one, "two": two}) as made:
        until(lambda: all(server.health == "up" for view in overview(made.site) for server in view.servers))
        yield made


def until(holds: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)
