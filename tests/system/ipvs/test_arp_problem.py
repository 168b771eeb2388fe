"""The ARP problem, unsolved in each of its ways: what clients get of it, and what `direct-routing` says of it.

The real servers answer C-ECHO on their own addresses all the while: no check of them alone could see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from system.ipvs.dicom import PORT, Scp, echo, stopped
from system.ipvs.lan import MACS, RS1, RS2, VIP, Lan, ip, network
from system.namespaces import Namespace

from lbkit import Result, check
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Destination, Service, Virtual

__all__ = ["network"]

TARGET = f"{VIP}:{PORT}"


@pytest.fixture(scope="module")
def servers(network) -> Iterator[tuple[Scp, Scp]]:
    both = Scp(network.rs1), Scp(network.rs2)
    with stopped(*both):
        yield both


@pytest.fixture
def kernel(network, servers) -> Iterator[Kernel]:
    """lb1 balances between both, one after the other; the test is in its namespace."""
    with network.lb1.inside(), Kernel() as made:
        key = Virtual(VIP, PORT)
        made.add_service(Service(key, "rr"))
        for address in (RS1, RS2):
            made.add(key, Destination(address, PORT))
        yield made
        made.flush()


def verdict() -> Result:
    return check("direct-routing", TARGET, real_server=[f"s1={RS1}", f"s2={RS2}"])


def of_clients(network: Lan, number: int = 4) -> list[str]:
    """What each of so many clients gets."""
    found = [echo(network.client, TARGET, timeout=0.6) for _ in range(number)]
    return [one.reason if one.status == "down" else "up" for one in found]


def test_solved_it_is_up_and_all_clients_are_served(network, kernel):
    assert of_clients(network) == ["up"] * 4
    found = verdict()
    assert (found.status, found.details["arp"]) == ("up", [])
    assert [one["verdict"] for one in found.details["servers"]] == ["ok", "ok"]


def test_a_server_that_answers_arp_gets_clients_past_the_balancer_and_is_named(network, kernel, servers):
    """It is drained, and a client whose ARP table has the server's answer gets it all the same."""
    kernel.change(Virtual(VIP, PORT), Destination(RS1, PORT, 0))
    network.rs1.set("ipv4/conf/all/arp_ignore", "0")
    ip(network.client, f"neighbour replace {VIP} lladdr {MACS['rs1']} dev eth0")
    try:
        servers[0].callers.clear()
        assert of_clients(network, 2) == ["up", "up"]
        assert len(servers[0].callers) == 2
        found = verdict()
        assert (found.status, found.step, found.reason) == ("down", "arp", "arp-answered")
        assert f"s1 ({RS1}) answers ARP for {VIP}" in found.message
        assert [(one["mac"], one["whose"]) for one in found.details["arp"]] == [
            (MACS["rs1"], f"real server s1 ({RS1})")
        ]
    finally:
        network.rs1.set("ipv4/conf/all/arp_ignore", "1")
        ip(network.client, f"neighbour del {VIP} dev eth0")


@contextmanager
def without_address(server: Namespace) -> Iterator[None]:
    ip(server, f"address del {VIP}/32 dev lo")
    try:
        yield
    finally:
        ip(server, f"address add {VIP}/32 dev lo")


@contextmanager
def behind_firewall(server: Namespace) -> Iterator[None]:
    rule = f"INPUT -d {VIP} -j DROP"
    server.run(f"iptables-legacy -A {rule}")
    try:
        yield
    finally:
        server.run(f"iptables-legacy -D {rule}")


@pytest.mark.parametrize("unsolved", [without_address, behind_firewall])
def test_a_server_that_takes_no_packets_for_the_vip_fails_every_second_client_and_is_named(unsolved, network, kernel):
    with unsolved(network.rs1):
        assert sorted(of_clients(network)) == ["timed-out", "timed-out", "up", "up"]
        assert echo(network.lb1, f"{RS1}:{PORT}").status == "up"
        found = verdict()
    assert (found.status, found.reason) == ("down", "not-on-loopback")
    assert f"s1 ({RS1}) answers on its own address and is silent on {TARGET}" in found.message
    assert "its firewall drops packets for the VIP" in found.message
    assert [one["verdict"] for one in found.details["servers"]] == ["not-on-loopback", "ok"]


def test_a_service_that_listens_on_its_own_address_alone_refuses_every_second_client_and_is_named(
    network, kernel, servers
):
    servers[0].stop()
    try:
        with stopped(Scp(network.rs1, address=RS1)):
            assert sorted(of_clients(network)) == ["refused", "refused", "up", "up"]
            found = verdict()
    finally:
        servers[0].rise()
    assert (found.status, found.reason) == ("down", "refused")
    assert f"s1 ({RS1}) takes packets for the VIP, and nothing listens on {TARGET}" in found.message
