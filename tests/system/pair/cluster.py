"""A pair that runs as a user sets it up: a site file, sshd, HAProxy, keepalived and the agent on both nodes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from interop.agents import eventually
from interop.remotes import program
from system.pair.lan import BACK, LB1, LB2, RIPS, Lan, pair_lan
from system.pair.nodes import LOGS, PATH, PROGRAMS, Node, signalled
from system.pair.traffic import speaking
from unit.site_text import server, site, vip

from lbkit.errors import LbkitError
from lbkit.haproxy.channel import Channel
from lbkit.state.agent import Agent, AgentState

PLAIN, LAST, SOURCE = ("192.0.2.50", 2100), ("192.0.2.51", 2101), ("192.0.2.52", 2102)
FLOATING = "198.51.100.50"
MOVING = (PLAIN[0], LAST[0], SOURCE[0], FLOATING)
SITE = "/etc/lbkit/site.toml"
CHECK = {"kind": "connect", "interval": "300ms", "timeout": "1s", "rise": 1, "fall": 2}
_SETTLES_WITHIN = 30.0  # seconds
_TAIL = 8000  # characters of each log
_STAYS_FOR = 0.5  # one that starts takes over from a lower one that was first


class Cluster:
    """Both nodes of `lan`, with everything on them. `start` begins it, `settled` says when it is one pair."""

    def __init__(self, lan: Lan, *vips: dict[str, Any], **pair: Any) -> None:
        self.lan = lan
        self.lb1, self.lb2 = lan.nodes
        self.site = site_text(*vips, **pair)

    def start(self) -> None:
        """Both nodes, as after `lbkit pair setup` and a boot."""
        with ThreadPoolExecutor() as both:
            list(both.map(self._prepare, self.lan.nodes))
            self._let_in(self.lb1, self.lb2)
            self._let_in(self.lb2, self.lb1)
            list(both.map(self.start_node, self.lan.nodes))

    def write(self, text: str) -> None:
        """The site file on both nodes."""
        for node in self.lan.nodes:
            node.file(SITE).write_text(text)

    def _prepare(self, node: Node) -> None:
        node.file(SITE).write_text(self.site)
        node.run("ssh-keygen -q -t ed25519 -N '' -C lbkit -f /etc/lbkit/pair/key")
        for family in ("ipv4", "ipv6"):
            node.space.set(f"{family}/ip_nonlocal_bind", "1")

    def _let_in(self, node: Node, peer: Node) -> None:
        """The peer may ask this node."""
        lbkit = node.run("which lbkit").stdout.strip()
        key = peer.file("/etc/lbkit/pair/key.pub").read_text()
        node.file("/root/.ssh/authorized_keys").write_text(f'restrict,command="{lbkit} pair-receive" {key}')
        host_key = node.file("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        peer.file("/etc/lbkit/pair/known_hosts").write_text(f"{node.name} {host_key}")

    def start_node(self, node: Node) -> None:
        """All that runs on a node; what runs already stays."""
        self.start_sshd(node)
        if not node.pids("agent"):
            node.popen("lbkit agent", "agent")
        node.run("lbkit apply")
        eventually(lambda: self.agent(node))

    def start_sshd(self, node: Node) -> None:
        """Alone."""
        if not node.pids("sshd"):
            options = [word for one in _SSHD for word in ("-o", one)]
            node.popen([program("sshd", "openssh-server"), "-D", "-e", "-f", "/dev/null", *options], "sshd")

    def crash(self, node: Node) -> None:
        """The machine dies: nothing of it says a word any more."""
        self.lan.unplug(node.name)
        node.kill_all()

    def boot(self, node: Node) -> None:
        """It comes back."""
        self.take_off(node)
        node.run("sh -c 'rm -rf /run/haproxy/* /run/lbkit/* /run/*.pid /run/*.sock'")
        self.lan.plug(node.name)
        self.start_node(node)

    def take_off(self, node: Node) -> None:
        """The addresses that keepalived has left there: a machine that starts has its own alone."""
        for line in node.run("ip -o address show up").stdout.splitlines():
            _, device, _, address, *_ = line.split()
            if address.endswith(("/32", "/128")) and device != "lo":
                node.space.tried("ip", "address", "del", address, "dev", device)

    def restore(self) -> None:
        """As it was at first, whatever a test did: cables, processes, what operators asked for."""
        for machine in BACK:
            self.lan.plug(machine)
            self.lan.link_up(machine)
        for node in self.lan.nodes:
            for name in PROGRAMS:
                for pid in node.pids(name):
                    signalled(pid, signal.SIGCONT)
            for name in ("prefer", "maintenance"):
                if node.file(f"/var/lib/lbkit/{name}").exists():
                    node.file(f"/var/lib/lbkit/{name}").write_text("0\n")
        self.lan.heal_between_nodes()
        with ThreadPoolExecutor() as both:
            list(both.map(self.start_node, [node for node in self.lan.nodes if not all(map(node.pids, PROGRAMS))]))
        self.settled()

    def agent(self, node: Node) -> AgentState | None:
        """What the agent of a node says; None: it does not."""
        try:
            return Agent(str(node.file("/run/lbkit/agent.sock")), timeout=2.0).state()
        except LbkitError:
            return None

    def haproxy(self, node: Node, command: str) -> str:
        """What the HAProxy of a node answers to a line."""
        channel = Channel(str(node.file("/run/haproxy/admin.sock")), 5.0)
        return b"".join(channel.exchange([command])).decode()

    def logs(self) -> str:
        """The end of what the processes of both nodes have written."""
        return "\n".join(
            f"--- {node.name} {log.name}\n{log.read_text(errors='replace')[-_TAIL:]}"
            for node in self.lan.nodes
            for log in sorted(node.file(LOGS).glob("*.log"))
        )

    def masters(self) -> list[Node]:
        """The nodes that have an address that moves."""
        return [node for node in self.lan.nodes if node.addresses() & {*MOVING}]

    @property
    def master(self) -> Node:
        """The one that has them all."""
        (node,) = self.masters()
        return node

    def settled(self, master: Node | None = None, within: float = _SETTLES_WITHIN) -> Node:
        """Wait until one node (this one, if given) has all addresses to stay, both agents answer and all servers are up."""

        def found() -> Node | None:
            before = self._only_master()
            fit = before is not None and before is (master or before) and all(map(self._is_fit, self.lan.nodes))
            if fit:
                time.sleep(_STAYS_FOR)
            return before if fit and self._only_master() is before else None

        node: Node = eventually(found, within)
        return node

    def _only_master(self) -> Node | None:
        masters = self.masters()
        return masters[0] if len(masters) == 1 and masters[0].addresses() >= {*MOVING} else None

    def _is_fit(self, node: Node) -> bool:
        return self.agent(node) is not None and self.all_up(node)

    def all_up(self, node: Node) -> bool:
        """Whether its HAProxy has seen all real servers up."""
        try:
            rows = [line.split() for line in self.haproxy(node, "show servers state").splitlines()[2:]]
        except LbkitError:
            return False
        return all(row[5] == "2" for row in rows if row and row[1] in LABELS)


LABELS = ("PLAIN", "LAST", "SOURCE")
_SSHD = (
    "HostKey=/etc/ssh/ssh_host_ed25519_key",
    "PasswordAuthentication=no",
    f"SetEnv=PATH={PATH}",
    "KexAlgorithms=curve25519-sha256",  # the default takes the client 0.1 s of CPU more
)


def site_text(*more_vips: dict[str, Any], tables: Mapping[str, Any] | None = None, **pair: Any) -> str:
    """Three layer-7 VIPs before the same two servers, and more. `tables`: others of the site. `pair`: the table of it."""
    nodes = [
        {"name": "lb1", "address": LB1, "networks": {"198.51.100.0/24": "eth1"}},
        {"name": "lb2", "address": LB2, "networks": {"198.51.100.0/24": "eth1"}},
    ]
    how: tuple[dict[str, Any], ...] = (
        {},
        {"scheduler": "first", "persistence": {"mode": "last-successful"}},
        {"persistence": {"mode": "source-ip"}},
    )
    vips = []
    for label, (address, port), more in zip(LABELS, (PLAIN, LAST, SOURCE), how, strict=True):
        servers = [server(name, f"{rip}:{port}") for name, rip in zip(("rs1", "rs2"), RIPS, strict=True)]
        vips.append(vip(label, f"{address}:{port}", *servers, check=CHECK, **more))
    return site(*vips, *more_vips, pair={"nodes": nodes, "floating_addresses": [FLOATING], **pair}, **(tables or {}))


@contextmanager
def cluster(*vips: dict[str, Any], **pair: Any) -> Iterator[Cluster]:
    """A pair that serves these VIPs too."""
    with pair_lan() as lan, ExitStack() as ended:
        for machine, name in ((lan.rs1, "rs1"), (lan.rs2, "rs2")):
            ended.enter_context(speaking(machine, name, PLAIN[1], LAST[1], SOURCE[1]))
        made = Cluster(lan, *vips, **pair)
        try:
            made.start()
            made.settled()
        except AssertionError:
            print(made.logs())
            raise
        yield made
