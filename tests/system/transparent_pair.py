"""A pair with a transparent VIP, applied on both nodes, between clients and a real server; keepalived moves the addresses.

Two arms: clients on the front bridge, the real server on the back one. One arm: all on the front bridge, and the real server
has no way but through the floating gateway, not even to its own LAN (guide 15.2.1). A far client is behind a router.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.registry import Registry
from lbkit.haproxy import process
from lbkit.haproxy.engine import Haproxy
from lbkit.install.difference import Change
from lbkit.operate.apply import apply, diff
from lbkit.operate.outcome import Applied

Arms = Literal["one-arm", "two-arm"]
PORT = 104
NEAR, FAR, ROUTER, VIP = "192.0.2.99", "203.0.113.99", "192.0.2.254", "192.0.2.10"
FRONT = {"lb1": "192.0.2.2", "lb2": "192.0.2.3"}
BACK = {"lb1": "198.51.100.2", "lb2": "198.51.100.3"}
GATEWAY = {"one-arm": "192.0.2.1", "two-arm": "198.51.100.1"}
SERVER = {"one-arm": "192.0.2.11", "two-arm": "198.51.100.11"}
CHECK = {"kind": "connect", "interval": "100ms", "rise": 1, "fall": 2}


class Lan(NamedTuple):
    switch: Namespace
    near: Namespace
    far: Namespace
    router: Namespace
    server: Namespace
    lb1: Namespace
    lb2: Namespace


@contextmanager
def lan(arms: Arms) -> Iterator[Lan]:
    """Wired; strict source validation on the balancers, as distributions have it."""
    with namespaces(7) as made:
        found = Lan(*made)
        ran = found.switch.tried("ip", "link", "add", "front", "type", "bridge", "forward_delay", "0")
        if ran.returncode:
            pytest.skip(reason=f"this machine makes no bridge: {ran.stderr.strip()}")
        found.switch.run("ip link add back type bridge forward_delay 0", "ip link set front up", "ip link set back up")
        _plug(found.switch, "front", found.near, "eth0", f"{NEAR}/24")
        _plug(found.switch, "front", found.router, "eth0", f"{ROUTER}/24")
        found.router.run(f"ip link add eth1 type veth peer name eth0 netns {found.far.file}")
        found.router.run("ip addr add 203.0.113.1/24 dev eth1", "ip link set eth1 up")
        found.far.run(f"ip addr add {FAR}/24 dev eth0", "ip link set eth0 up", "ip route add default via 203.0.113.1")
        found.router.set("ipv4/ip_forward", "1")
        found.near.run(f"ip route add default via {ROUTER}")
        for name, balancer in (("lb1", found.lb1), ("lb2", found.lb2)):
            balancer.set("ipv4/conf/all/rp_filter", "1")
            _plug(found.switch, "front", balancer, "eth0", f"{FRONT[name]}/24")
            _plug(found.switch, "back", balancer, "eth1", f"{BACK[name]}/24")
            balancer.run(f"ip route add default via {ROUTER}")
            balancer.set("ipv4/ip_nonlocal_bind", "1")
        _server(found, arms)
        yield found


def _plug(switch: Namespace, bridge: str, host: Namespace, interface: str, address: str) -> None:
    port = f"p{address.partition('/')[0].replace('.', '')}"[:15]
    switch.run(
        f"ip link add {port} type veth peer name {interface} netns {host.file}",
        f"ip link set {port} master {bridge} up",
    )
    host.run(f"ip addr add {address} dev {interface}", f"ip link set {interface} up")


def _server(lan: Lan, arms: Arms) -> None:
    if arms == "two-arm":
        _plug(lan.switch, "back", lan.server, "eth0", f"{SERVER[arms]}/24")
    else:
        _plug(lan.switch, "front", lan.server, "eth0", f"{SERVER[arms]}/32")
        lan.server.run(f"ip route add {GATEWAY[arms]} dev eth0")
        for address in FRONT.values():  # HAProxy's checks come from there
            lan.server.run(f"ip route add {address} dev eth0")
    lan.server.run(f"ip route add default via {GATEWAY[arms]}")


class Node:
    """One of the pair: its site file, HAProxy and keepalived."""

    def __init__(self, name: str, host: Namespace, folder: Path, arms: Arms) -> None:
        self.name = name
        self.host = host
        self.folder = folder / name
        self.folder.mkdir()
        self._arms = arms
        self._keepalived: subprocess.Popen[bytes] | None = None
        self.write(transparent=True)

    def write(self, **more: Any) -> None:
        """The site."""
        one = vip("V", f"{VIP}:{PORT}", server("s", f"{SERVER[self._arms]}:{PORT}"), check=CHECK, **more)
        nodes = [
            {"name": name, "address": address, "networks": {"198.51.100.0/24": "eth1"}}
            for name, address in FRONT.items()
        ]
        settings = {"folder": "etc", "runtime": "run", "master_socket": "run/master.sock", "max_connections": 100}
        pair = {"nodes": nodes, "floating_addresses": [GATEWAY[self._arms]]}
        file = self.folder / "site.toml"
        file.write_text(site(one, pair=pair, haproxy=settings, keepalived={"folder": "keepalived", "runtime": "vrrp"}))
        self.site = lbkit.load_site(file)

    def apply(self, **more: Any) -> Applied:
        with self.host.inside():
            return apply(
                self.site, Registry().kind, self.name, engines=["haproxy"], state=self.folder / "state", **more
            )

    def diff(self) -> tuple[Change, ...]:
        with self.host.inside():
            return diff(self.site, Registry().kind, self.name, engines=["haproxy"], state=self.folder / "state")

    def begin(self, priority: int) -> None:
        """keepalived."""
        interface = "eth0" if self._arms == "one-arm" else "eth1"
        (peer,) = [address for name, address in FRONT.items() if name != self.name]
        configuration = self.folder / "keepalived.conf"
        configuration.write_text(f"""
            global_defs {{
                vrrp_version 3
                vrrp_garp_master_delay 1
            }}
            vrrp_instance V {{
                state BACKUP
                interface eth0
                virtual_router_id 51
                priority {priority}
                advert_int 0.2
                unicast_src_ip {FRONT[self.name]}
                unicast_peer {{
                    {peer}
                }}
                virtual_ipaddress {{
                    {VIP}/32 dev eth0
                }}
                virtual_ipaddress_excluded {{
                    {GATEWAY[self._arms]}/32 dev {interface}
                }}
            }}
            """)
        pids = [f"--{what}={self.folder / what}" for what in ("pid", "vrrp_pid")]
        command = [program("keepalived", "keepalived"), "--dont-fork", "--vrrp", f"--use-file={configuration}", *pids]
        with self.host.inside(), (self.folder / "keepalived.log").open("ab") as log:
            self._keepalived = subprocess.Popen([*command, "--log-console"], stdout=log, stderr=log)

    def end(self) -> None:
        """keepalived gives the addresses up."""
        if self._keepalived is not None:
            self._keepalived.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._keepalived.wait(5)
            self._keepalived.kill()
            self._keepalived.wait()
            self._keepalived = None

    def holds(self, address: str) -> bool:
        return f" {address}/" in self.host.tried("ip", "-4", "address").stdout

    def close(self) -> None:
        if self._keepalived is not None:
            self._keepalived.kill()  # asked to end, it would take a second
        self.end()
        process.stop(Haproxy(self.site))


@contextmanager
def pair(lan: Lan, folder: Path, arms: Arms) -> Iterator[tuple[Node, Node]]:
    """Two nodes, nothing applied yet."""
    with ExitStack() as ended:
        made = Node("lb1", lan.lb1, folder, arms), Node("lb2", lan.lb2, folder, arms)
        for one in made:
            ended.callback(one.close)
        yield made
