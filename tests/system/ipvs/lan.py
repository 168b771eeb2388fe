"""One segment: a client, two balancers, two real servers and a switch, each in a network namespace of its own.

The real servers are as direct routing wants them: they take packets for the VIP, and leave ARP for it to the balancer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from system.namespaces import Namespace, namespaces

CLIENT, LB1, LB2, RS1, RS2 = "10.0.0.100", "10.0.0.1", "10.0.0.2", "10.0.0.11", "10.0.0.12"
VIP = "10.0.0.10"
MACS = {
    name: f"02:00:00:00:00:{end}"
    for name, end in {"cl": "c1", "lb1": "01", "lb2": "02", "rs1": "11", "rs2": "12"}.items()
}
ARP_IS_SOLVED = {"arp_ignore": "1", "arp_announce": "2"}


class Lan(NamedTuple):
    """Hosts by their names; lb1 holds the VIP."""

    client: Namespace
    lb1: Namespace
    lb2: Namespace
    rs1: Namespace
    rs2: Namespace
    switch: Namespace


@contextmanager
def lan(vips: tuple[str, ...] = (VIP,)) -> Iterator[Lan]:
    """Up while the block runs."""
    with namespaces(6) as made:
        found = Lan(*made)
        _wire(found)
        for vip in vips:
            ip(found.lb1, f"address add {vip}/32 dev eth0")
        for server in (found.rs1, found.rs2):
            for name, value in ARP_IS_SOLVED.items():
                server.set(f"ipv4/conf/all/{name}", value)
            ip(server, *(f"address add {vip}/32 dev lo" for vip in vips))
        yield found


def _wire(lan: Lan) -> None:
    hosts = {"cl": lan.client, "lb1": lan.lb1, "lb2": lan.lb2, "rs1": lan.rs1, "rs2": lan.rs2}
    links = [
        f"link add {name} type veth peer name eth0 address {MACS[name]} netns {host.file}"
        for name, host in hosts.items()
    ]
    ports = [f"link set {name} master br0 up" for name in hosts]
    ip(lan.switch, "link add br0 type bridge forward_delay 0", "link set br0 up", *links, *ports)
    for host, address in zip(hosts.values(), (CLIENT, LB1, LB2, RS1, RS2), strict=True):
        ip(host, "link set lo up", f"address add {address}/24 dev eth0", "link set eth0 up")


def ip(host: Namespace, *commands: str) -> None:
    """All of them by one process: starting one is what is dear in this kernel."""
    with tempfile.NamedTemporaryFile("w") as batch:
        batch.write("".join(f"{command}\n" for command in commands))
        batch.flush()
        host.run(f"ip -batch {Path(batch.name)}")


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """One for all tests of a module that imports this."""
    with lan() as made:
        yield made
