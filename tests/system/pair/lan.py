"""The network of a pair: a switch with a LAN and a back network, the two balancers, a client and two real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from system.pair.nodes import Node

LB1, LB2, CLIENT = "192.0.2.11", "192.0.2.12", "192.0.2.100"
RIPS = ("192.0.2.21", "192.0.2.22")
BACK = {"lb1": "198.51.100.11", "lb2": "198.51.100.12", "rs1": "198.51.100.21", "rs2": "198.51.100.22"}
_LAN = {"lb1": LB1, "lb2": LB2, "rs1": RIPS[0], "rs2": RIPS[1], "client": CLIENT}


@dataclass(frozen=True)
class Lan:
    """eth0 of each machine is on the LAN (192.0.2.0/24), eth1 on the back network (198.51.100.0/24; the client has none).

    Beside each address it has one of IPv6.
    """

    switch: Namespace
    lb1: Node
    lb2: Node
    client: Namespace
    rs1: Namespace
    rs2: Namespace

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.lb1, self.lb2

    def other(self, node: Node) -> Node:
        return self.lb2 if node is self.lb1 else self.lb1

    def unplug(self, machine: str) -> None:
        """Its cables carry nothing any more, and it is not told: what it sees of a switch's death behind its own."""
        self.switch.run(*(f"ip link set {machine}-{net} nomaster" for net in _networks(machine)))

    def plug(self, machine: str) -> None:
        self.switch.run(*(f"ip link set {machine}-{net} master {net}" for net in _networks(machine)))

    def link_down(self, machine: str) -> None:
        """Its cables are out, and it sees that."""
        self.switch.run(*(f"ip link set {machine}-{net} down" for net in _networks(machine)))

    def link_up(self, machine: str) -> None:
        self.switch.run(*(f"ip link set {machine}-{net} up" for net in _networks(machine)))

    def cut_between_nodes(self) -> None:
        """The nodes do not reach each other, by either network; everybody else reaches both."""
        self._isolated("on")

    def heal_between_nodes(self) -> None:
        self._isolated("off")

    def _isolated(self, switched: str) -> None:
        ports = [f"{node.name}-{net}" for node in self.nodes for net in ("lan", "back")]
        self.switch.run(*(f"bridge link set dev {port} isolated {switched}" for port in ports))

    def drop_vrrp(self) -> None:
        """The switch forwards everything but VRRP (IP protocol 112)."""
        program("nft", "nftables")
        chain = "type filter hook forward priority 0; ip protocol 112 drop; ip6 nexthdr 112 drop;"
        ran = self.switch.tried("nft", f"table bridge pair {{ chain forward {{ {chain} }}; }}")
        if ran.returncode:
            pytest.skip(reason=f"this kernel filters no bridge: {ran.stderr.strip()}")

    def pass_vrrp(self) -> None:
        self.switch.run("nft delete table bridge pair")


def six(address: str) -> str:
    """The IPv6 address beside one of IPv4 of the LAN or the back network."""
    _, _, net, last = address.split(".")
    return f"2001:db8:{net}::{last}"


def _networks(machine: str) -> tuple[str, ...]:
    return ("lan", "back") if machine in BACK else ("lan",)


@contextmanager
def pair_lan() -> Iterator[Lan]:
    """All of them, with addresses of their own; nothing runs yet. Skips where this machine can't make them."""
    with namespaces(6) as (switch, lb1, lb2, client, rs1, rs2), ExitStack() as ended:
        machines = {"lb1": lb1, "lb2": lb2, "client": client, "rs1": rs1, "rs2": rs2}
        for net in ("lan", "back"):
            ran = switch.tried("ip", "link", "add", net, "type", "bridge", "forward_delay", "0")
            if ran.returncode:
                pytest.skip(reason=f"this machine makes no bridge: {ran.stderr.strip()}")
            switch.run(f"ip link set {net} up")
        for name, machine in machines.items():
            for device, (net, addresses) in enumerate((("lan", _LAN), ("back", BACK))):
                if name in addresses:
                    switch.run(
                        f"ip link add {name}-{net} type veth peer name eth{device} netns {machine.file}",
                        f"ip link set {name}-{net} master {net} up",
                    )
                    own = addresses[name]
                    machine.run(
                        f"ip addr add {own}/24 dev eth{device}", f"ip -6 addr add {six(own)}/64 dev eth{device} nodad"
                    )
                    machine.run(f"ip link set eth{device} up")
        nodes = []
        for name in ("lb1", "lb2"):
            nodes.append(Node(machines[name], name))
            ended.callback(nodes[-1].close)
        yield Lan(switch, nodes[0], nodes[1], client, rs1, rs2)
