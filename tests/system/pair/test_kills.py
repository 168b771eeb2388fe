"""Whatever dies, the pair serves on, and is one pair again once what has died is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from interop.agents import eventually
from system.pair.cluster import LAST, PLAIN, SOURCE, Cluster
from system.pair.lan import CLIENT
from system.pair.nodes import Node
from system.pair.traffic import Probe, probing

CLIENTS = (CLIENT, *(f"192.0.2.{last}" for last in range(101, 107)))
LONGEST = 15.0  # seconds of silence: 3 adverts of 1 s, on a busy machine
NONE = 3.0  # seconds: nothing moves; a busy machine is late all the same
CALM = 1.0  # seconds of traffic without a failure at the end
PATIENCE = 0.9  # seconds of a connection: a SYN that is lost is sent again after one


@dataclass
class Traffic:
    """Of each VIP."""

    plain: Probe
    last: Probe
    source: Probe

    def held(self, sticky: str, longest: float = LONGEST) -> None:
        """It flows again, and everybody is with the real server of before."""
        for probe in (self.plain, self.last, self.source):
            after = [one for one in probe.calls if one.begun > probe.calls[-1].begun - CALM]
            assert all(one.who for one in after), f"{probe.reasons} at the end"
            assert probe.silence < longest, probe.reasons
        assert self.last.misrouted(sticky) == 0, self.last.servers
        assert {len(servers) for servers in self.source.by_source.values()} == {1}, self.source.by_source
        assert len(self.source.by_source) == len(CLIENTS)


@pytest.fixture(autouse=True, scope="module")
def addresses(running_pair: Cluster) -> None:
    """Of the client: many, for persistence by source."""
    running_pair.lan.client.run(*(f"ip addr add {one}/24 dev eth0" for one in CLIENTS[1:]))


@pytest.fixture
def sticky(pair: Cluster) -> str:
    """The server of the Last Successful VIP, which is not the first of the site; so a table that is lost is seen."""
    for node in pair.lan.nodes:
        pair.haproxy(node, "set server LAST/rs1 state maint")
    with probing(pair.lan.client, *LAST, every=0.02) as probe:
        time.sleep(0.3)
    for node in pair.lan.nodes:
        pair.haproxy(node, "set server LAST/rs1 state ready")
        eventually(lambda node=node: pair.all_up(node))
    assert probe.calls[-1].who == "rs2"
    return "rs2"


@contextmanager
def traffic(pair: Cluster) -> Iterator[Traffic]:
    client = pair.lan.client
    with (
        probing(client, *PLAIN, every=0.01, timeout=PATIENCE) as plain,
        probing(client, *LAST, every=0.01, timeout=PATIENCE) as last,
        probing(client, *SOURCE, every=0.01, timeout=PATIENCE, sources=CLIENTS) as source,
    ):
        yield Traffic(plain, last, source)
        time.sleep(CALM)


def serves(pair: Cluster, node: Node) -> None:
    """Wait until it has the addresses, and nobody else has."""
    eventually(lambda: pair.masters() == [node], LONGEST)


def the(pair: Cluster, which: str) -> Node:
    return pair.master if which == "master" else pair.lan.other(pair.master)


@pytest.mark.parametrize("which", ["master", "passive"])
@pytest.mark.parametrize("name", ["keepalived", "haproxy", "agent"])
def test_a_process_is_killed_and_comes_back(pair, sticky, name, which):
    before, node = pair.master, the(pair, which)
    stays = which == "passive" or name == "agent"
    with traffic(pair) as seen:
        node.kill(name)
        serves(pair, before if stays else pair.lan.other(before))
        time.sleep(CALM)
        pair.start_node(node)
        pair.settled()
    seen.held(sticky, NONE if stays else LONGEST)


@pytest.mark.parametrize("which", ["master", "passive"])
def test_everything_on_a_node_is_killed_and_comes_back(pair, sticky, which):
    node = the(pair, which)
    other = pair.lan.other(node)
    with traffic(pair) as seen:
        node.kill_all()
        eventually(lambda: other in pair.masters(), LONGEST)
        time.sleep(CALM)
        pair.start_node(node)
        pair.settled(other)
    seen.held(sticky)


def test_a_node_that_dies_in_silence_is_replaced_and_takes_nothing_when_it_is_back(pair, sticky):
    node = pair.master
    other = pair.lan.other(node)
    with traffic(pair) as seen:
        pair.crash(node)
        eventually(lambda: other in pair.masters(), LONGEST)
        time.sleep(CALM)
    seen.held(sticky)
    with traffic(pair) as seen:
        pair.boot(node)
        pair.settled(other)
    seen.held(sticky, NONE)


def test_a_dead_passive_node_is_not_missed(pair, sticky):
    master = pair.master
    with traffic(pair) as seen:
        pair.crash(pair.lan.other(master))
        time.sleep(CALM)
        pair.boot(pair.lan.other(master))
        pair.settled(master)
    seen.held(sticky, NONE)


def test_a_link_that_goes_down_moves_the_addresses_to_the_other_node(pair, sticky):
    node = pair.master
    other = pair.lan.other(node)
    with traffic(pair) as seen:
        pair.lan.link_down(node.name)
        eventually(lambda: other in pair.masters(), LONGEST)
        time.sleep(CALM)
        pair.lan.link_up(node.name)
        pair.settled()
    seen.held(sticky)


def test_a_cut_between_the_nodes_ends_with_one_master_when_it_is_healed(pair, sticky):
    with traffic(pair) as seen:
        pair.lan.cut_between_nodes()
        eventually(lambda: pair.masters() == [*pair.lan.nodes], LONGEST)
        pair.lan.heal_between_nodes()
        pair.settled()
    seen.held(sticky)


def test_both_nodes_lose_everything_and_come_back(pair, sticky):
    for node in pair.lan.nodes:
        pair.crash(node)
    for node in pair.lan.nodes:
        pair.boot(node)
    pair.settled()
    with traffic(pair) as seen:
        time.sleep(CALM)
    assert seen.plain.failed == seen.last.failed == 0
