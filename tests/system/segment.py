"""The network segment of a layer-4 VIP: a switch, a client, two balancers and two real servers, each in a namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic
from typing import NamedTuple

import pytest
from interop.remotes import program
from system.namespaces import Namespace, namespaces

from lbkit_direct_routing import frames

VIP, PORT = "10.9.0.10", 104
BALANCER, PEER, CLIENT = "10.9.0.1", "10.9.0.2", "10.9.0.100"
RIPS = ("10.9.0.21", "10.9.0.22")


class Segment(NamedTuple):
    switch: Namespace
    balancer: Namespace
    peer: Namespace
    client: Namespace
    servers: tuple[Namespace, Namespace]


def mac(machine: Namespace) -> str:
    """That of its eth0."""
    return machine.tried("ip", "-brief", "link", "show", "eth0").stdout.split()[2]


def arp_table(machine: Namespace) -> set[tuple[str, str]]:
    """Which MAC it believes each address to be at."""
    rows = [line.split() for line in machine.tried("ip", "neighbour").stdout.splitlines()]
    return {(row[0], row[row.index("lladdr") + 1]) for row in rows if "lladdr" in row}


@contextmanager
def segment() -> Iterator[Segment]:
    """The balancer holds the VIP; nobody else has it, and nobody serves."""
    with namespaces(6) as (switch, balancer, peer, client, *servers):
        ran = switch.tried("ip", "link", "add", "lan", "type", "bridge", "forward_delay", "0")
        if ran.returncode:
            pytest.skip(reason=f"this machine makes no bridge: {ran.stderr.strip()}")
        switch.run("ip link set lan up")
        machines = zip((balancer, peer, client, *servers), (BALANCER, PEER, CLIENT, *RIPS), strict=True)
        for number, (machine, address) in enumerate(machines):
            switch.run(
                f"ip link add port{number} type veth peer name eth0 netns {machine.file}",
                f"ip link set port{number} master lan up",
            )
            machine.run(f"ip addr add {address}/24 dev eth0", "ip link set eth0 up")
        balancer.run(f"ip addr add {VIP}/32 dev eth0")
        yield Segment(switch, balancer, peer, client, (servers[0], servers[1]))


def solve(server: Namespace) -> None:
    """What a real server of Linux needs for direct routing."""
    server.set("ipv4/conf/all/arp_ignore", "1")
    server.set("ipv4/conf/all/arp_announce", "2")
    server.run(f"ip addr add {VIP}/32 dev lo")


@contextmanager
def serving(*servers: Namespace) -> Iterator[None]:
    """A service on the port of each of these, at all its addresses."""
    with ExitStack() as ended:
        for server in servers:
            with server.inside():
                listener = ended.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", PORT))
            listener.listen()
        yield


def firewall(server: Namespace, rule: str) -> None:
    """Add a rule for what comes in at a real server, in the words of nft."""
    program("nft", "nftables")
    chain = f"table inet t {{ chain c {{ type filter hook input priority 0; {rule}; }}; }}"
    ran = server.tried("nft", chain)
    if ran.returncode:
        pytest.skip(reason=f"this kernel has no nftables: {ran.stderr.strip()}")


class Sniffer:
    """Sees every frame that comes in at a machine's eth0."""

    def __init__(self, machine: Namespace) -> None:
        with machine.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.bind(("eth0", 3))  # ETH_P_ALL
        self._socket.setblocking(False)

    def segments(self) -> list[frames.Segment]:
        """Those of TCP that have come."""
        seen = []
        with suppress(BlockingIOError):
            while True:
                data, (_, _, kind, *_) = self._socket.recvfrom(256)
                if kind != socket.PACKET_OUTGOING:
                    seen.append(frames.read(data))
        return [one for one in seen if isinstance(one, frames.Segment)]

    def close(self) -> None:
        self._socket.close()


def reach(machine: Namespace, address: str) -> None:
    """Let it look up who has that address."""
    with machine.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"", (address, 9))
    deadline = monotonic() + 5
    while address not in dict(arp_table(machine)):
        assert monotonic() < deadline, f"{address} does not answer ARP"
