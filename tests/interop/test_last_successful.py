"""Last Successful on a real HAProxy, as the whole field gets it wrong: bursts, crashes, reloads, the other node."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.load import clients
from interop.operated import CHECK, HOST, Named, Operated, operated, own_port, three_vips
from unit.site_text import server, vip

from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate import tables
from lbkit.operate.drain import drain
from lbkit.operate.overview import overview
from lbkit.operate.reload import reload

RELOADS, PER_SECOND = 20, 300


@pytest.fixture
def servers() -> Iterator[dict[str, Named]]:
    made = {"one": Named("one"), "two": Named("two", "127.0.0.2")}
    yield made
    for each in made.values():
        each.die()


@pytest.fixture
def site(
    short: Path, haproxy: Program, servers: dict[str, Named], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operated]:
    """LAST, SOURCE and NONE in front of the servers one and two."""
    monkeypatch.setenv(HAPROXY, haproxy.path)
    with operated(short, *three_vips(*servers.values()), servers=servers) as made:
        yield made


def until_health(site: Operated, vip: str, server: str, health: str) -> None:
    deadline = time.monotonic() + 10
    while next(s for s in overview(site.site, [vip])[0].servers if s.label == server).health != health:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_none_of_10_000_connections_in_bursts_goes_back_after_a_failover(site: Operated) -> None:
    assert site.named("LAST") == "one"
    site.servers["one"].die()
    until_health(site, "LAST", "one", "down")
    assert site.named("LAST") == "two"
    site.servers["one"].rise()
    until_health(site, "LAST", "one", "up")
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(100) as pool:
        for _ in range(100):
            counts.update(pool.map(lambda number: site.named("LAST"), range(100)))
    assert counts == {"two": 10_000}


def test_the_first_connection_after_a_crash_is_served_at_once_by_another(
    short: Path, servers: dict[str, Named]
) -> None:
    """With plain `option redispatch` it would take a second and more."""
    both = [server(name, f"{each.host}:{each.port}") for name, each in servers.items()]
    slow = {**CHECK, "interval": "60s"}
    last = vip(
        "LAST", f"{HOST}:{own_port()}", *both, check=slow, scheduler="first", persistence={"mode": "last-successful"}
    )
    with operated(short, last, servers=servers) as site:
        assert site.named("LAST") == "one"
        servers["one"].die()
        begun = time.monotonic()
        assert site.named("LAST") == "two"
        assert time.monotonic() - begun < 0.8


def test_reloads_under_load_lose_and_misroute_nobody_and_keep_what_operators_asked(site: Operated) -> None:
    tables.pin(site.site, "LAST", "two")
    drain(site.site, site.asked("NONE", "one"))
    with (
        clients(lambda: site.named("LAST"), PER_SECOND) as last,
        clients(lambda: site.named("NONE"), 50) as none,
    ):
        for _ in range(RELOADS):
            reload(site.site, state=site.state)
            assert overview(site.site, ["NONE"], site.state)[0].servers[0].engine == "drain"
    assert set(last) == {"two"}
    assert set(none) == {"two"}
    assert last["two"] > PER_SECOND
    assert overview(site.site, ["LAST"], site.state)[0].stuck_to == "two"
    assert [one.engine for one in overview(site.site, ["LAST"], site.state)[0].servers] == ["online", "online"]


def test_a_new_server_and_a_new_order_do_not_move_a_vip_that_is_stuck(
    site: Operated, servers: dict[str, Named]
) -> None:
    tables.pin(site.site, "LAST", "two")
    zero = Named("zero", "127.0.0.3")
    servers["zero"] = zero
    ports = {one.label: one.ports[0] for one in site.site.vips}
    three = [server(each.name, f"{each.host}:{each.port}") for each in (zero, servers["one"], servers["two"])]
    persistence = {"mode": "last-successful"}
    with clients(lambda: site.named("LAST"), PER_SECOND) as counts:
        site.write(
            vip("LAST", f"{HOST}:{ports['LAST']}", *three, check=CHECK, scheduler="first", persistence=persistence)
        )
        assert site.apply().reloaded
    assert set(counts) == {"two"}
    assert site.tally("LAST", 20) == {"two": 20}


def test_a_reload_right_after_a_start_keeps_the_tables_too(site: Operated) -> None:
    """A worker that is younger than 5 seconds would not hand them on."""
    before = {source: site.named("SOURCE", source) for source in (f"127.0.5.{number}" for number in range(1, 6))}
    tables.pin(site.site, "LAST", "two")
    reload(site.site, state=site.state)
    assert {entry.key: entry.server for entry in tables.show(site.site, "SOURCE").entries} == before
    assert tables.show(site.site, "LAST").entries[0].server == "two"


def test_an_entry_has_no_end_unless_the_site_gives_it_one(site: Operated) -> None:
    site.named("LAST")
    site.named("SOURCE")
    assert tables.show(site.site, "LAST").entries[0].expires_in is None
    assert 1700 < (tables.show(site.site, "SOURCE").entries[0].expires_in or 0) <= 1800


def test_a_table_that_is_cleared_on_one_node_comes_back_from_the_other(
    tmp_path: Path, short: Path, haproxy: Program, servers: dict[str, Named], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    pair = {"nodes": [{"name": "lb1", "address": "127.0.8.1"}, {"name": "lb2", "address": "127.0.8.2"}]}
    both = [server(name, f"{each.host}:{each.port}") for name, each in servers.items()]
    port = own_port()
    with ExitStack() as running:
        nodes = []
        for name in ("lb1", "lb2"):
            last = vip(
                "LAST", f"{HOST}:{own_port()}", *both, check=CHECK, scheduler="first",
                persistence={"mode": "last-successful"},
            )  # fmt: skip
            folder = short / name
            folder.mkdir()
            monkeypatch.setenv("LBKIT_NODE", name)
            nodes.append(running.enter_context(operated(folder, last, servers=servers, peer_port=port, pair=pair)))
        first, second = nodes
        deadline = time.monotonic() + 15
        while not (tables.show(first.site, "LAST").used and tables.show(second.site, "LAST").used):
            first.named("LAST")
            assert time.monotonic() < deadline, "the nodes do not replicate"
            time.sleep(0.1)
        done = tables.clear(first.site, "LAST")
        assert done.peer.outcome == "none"
        assert "lbkit pair setup" in done.peer.why
        assert tables.show(first.site, "LAST").used == 0
        assert tables.show(second.site, "LAST").used == 1
        second.named("LAST")
        deadline = time.monotonic() + 5
        while not tables.show(first.site, "LAST").used:
            assert time.monotonic() < deadline, "it does not come back"
            time.sleep(0.02)
