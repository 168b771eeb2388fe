"""VIPs of a pair that are not like most: of IPv6, and transparent ones, whose real servers see the client's own address."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from interop.agents import eventually
from interop.remotes import program
from system.pair.cluster import CHECK, FLOATING, PLAIN, Cluster, cluster
from system.pair.lan import BACK, CLIENT, RIPS, six
from system.pair.test_kills import LONGEST
from system.pair.traffic import probing, sessions, speaking
from unit.site_text import server, vip

_PATIENCE = 0.9  # seconds: the machine may be busy; a packet that is lost comes again after one
_TAKES_WITHIN = 20.0
SIX = (six(PLAIN[0]), 2103)
SEEN = ("192.0.2.53", 2104)
_NUMBERS = f"ip -4 route add default via {FLOATING} table 7", "ip -4 route add 198.51.100.0/24 dev eth1 table 7"


@pytest.fixture(scope="module")
def running_pair() -> Iterator[Cluster]:
    """One VIP of each kind beside the usual ones. rs1 answers clients of the transparent one through its gateway."""
    program("nft", "nftables")
    both = [server(name, f":{SIX[1]}", address=six(rip)) for name, rip in zip(("rs1", "rs2"), RIPS, strict=True)]
    seen = server("rs1", f"{BACK['rs1']}:{SEEN[1]}")
    with cluster(
        vip("SIX", f":{SIX[1]}", *both, address=SIX[0], check=CHECK),
        vip("SEEN", f"{SEEN[0]}:{SEEN[1]}", seen, check=CHECK, transparent=True),
    ) as made:
        rs1, rs2 = made.lan.rs1, made.lan.rs2
        rs1.run(f"ip -4 rule add from {BACK['rs1']} lookup 7", *_NUMBERS)
        with speaking(rs1, "rs1", SIX[1]), speaking(rs2, "rs2", SIX[1]), speaking(rs1, "", SEEN[1]):
            yield made


def _there_and_back(pair: Cluster) -> None:
    for _ in range(2):
        old = pair.settled()
        new = pair.lan.other(old)
        said = json.loads(old.run(f"lbkit failover --to {new.name} --json").stdout)
        assert said["took_ms"] < 6000
        assert {SIX[0], SEEN[0]} <= new.addresses()
        pair.settled(new)


def test_a_failover_loses_nothing_of_an_ipv6_vip(pair: Cluster) -> None:
    client = pair.lan.client
    with probing(client, *SIX, timeout=_PATIENCE) as probe, sessions(client, *SIX, 50) as live:
        _there_and_back(pair)
    assert probe.failed == 0, probe.reasons
    assert (live.opened, live.broken, live.hung) == (50, 0, 0)


def test_when_the_master_dies_ipv6_clients_reach_the_other_node(pair: Cluster) -> None:
    old = pair.settled()
    with probing(pair.lan.client, *SIX, timeout=_PATIENCE) as probe:
        pair.crash(old)
        eventually(lambda: SIX[0] in pair.lan.other(old).addresses(), _TAKES_WITHIN)
        time.sleep(2)  # some get through again
    assert 0 < probe.outage < LONGEST, probe.reasons
    pair.boot(old)
    pair.settled()


def test_a_transparent_vip_moves_with_its_gateway(pair: Cluster) -> None:
    with probing(pair.lan.client, *SEEN, timeout=_PATIENCE) as probe:
        _there_and_back(pair)
    assert probe.misrouted(CLIENT) == 0, probe.servers
    assert len(probe.calls) > 100
    assert probe.failed < len(probe.calls) / 50, probe.reasons


def test_what_breaks_is_said_before(pair: Cluster) -> None:
    node = pair.settled()
    with sessions(pair.lan.client, *SEEN, 3) as live:
        said = node.run("lbkit failover --dry-run").stdout
    assert live.servers == {CLIENT: 3}
    assert f"SEEN: 3 open sessions on {node.name}: cut, for it is transparent" in said
