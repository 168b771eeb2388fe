"""Source IP persistence over reloads: a worker is told of the entries some milliseconds after its first client."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.load import clients
from interop.operated import Named, operated, three_vips
from interop.three import until

from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate import tables
from lbkit.operate.overview import overview
from lbkit.operate.reload import reload

CLIENTS, PER_SECOND, RELOADS = 200, 300, 7


def test_every_client_stays_on_its_server_over_reloads_under_load(
    short: Path, haproxy: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    one, two = Named("one"), Named("two", "127.0.0.2")
    with operated(short, *three_vips(one, two), servers={"one": one, "two": two}) as site:
        until(lambda: all(each.health == "up" for view in overview(site.site) for each in view.servers))
        own = {source: site.named("SOURCE", source) for source in (f"127.0.9.{n}" for n in range(1, CLIENTS + 1))}
        assert set(own.values()) == {"one", "two"}
        turn = itertools.cycle(own)  # each thread takes the next in one step

        def connect() -> str:
            source = next(turn)
            return "its own" if site.named("SOURCE", source) == own[source] else "another"

        with clients(connect, PER_SECOND) as counts:
            for _ in range(RELOADS):
                reload(site.site, state=site.state)
                time.sleep(0.1)
                assert {one.key: one.server for one in tables.show(site.site, "SOURCE").entries} == own
        assert set(counts) == {"its own"}
        assert counts["its own"] > CLIENTS
