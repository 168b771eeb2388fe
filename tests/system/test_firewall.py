"""The firewall of a node, against real packets: from clients, operators, the other node and strangers."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.registry import Registry
from lbkit.errors import Refused, RolledBack
from lbkit.install.difference import Change
from lbkit.operate import apply as verbs
from lbkit.operate import apply_firewall
from lbkit.operate.outcome import Applied

NODE, PEER, CLIENT, OPERATOR = "192.0.2.2", "192.0.2.3", "192.0.2.99", "192.0.2.50"
SEVEN, SEVEN6, FOUR = "192.0.2.10", "2001:db8::10", "192.0.2.11"
NO_ANSWER = 0.3  # seconds
ALL = (NODE, SEVEN, FOUR)


class Lan(NamedTuple):
    node: Namespace
    peer: Namespace
    client: Namespace
    operator: Namespace


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    program("nft", "nftables")
    with namespaces(5) as (switch, *made):
        found = Lan(*made)
        ran = switch.tried("ip", "link", "add", "lan", "type", "bridge", "forward_delay", "0")
        if ran.returncode:
            pytest.skip(reason=f"this machine makes no bridge: {ran.stderr.strip()}")
        switch.run("ip link set lan up")
        for number, (host, address) in enumerate(zip(found, (NODE, PEER, CLIENT, OPERATOR), strict=True)):
            switch.run(f"ip link add p{number} type veth peer name eth0 netns {host.file}")
            switch.run(f"ip link set p{number} master lan up")
            host.run(f"ip addr add {address}/24 dev eth0", f"ip addr add 2001:db8::{number + 1}/64 dev eth0 nodad")
            host.run("ip link set eth0 up")
        found.node.run(*(f"ip addr add {one}/32 dev eth0" for one in (SEVEN, FOUR)))
        found.node.run(f"ip -6 addr add {SEVEN6}/128 dev eth0 nodad")
        yield found


class Node:
    """The site file of a node, and its firewall."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.file = folder / "firewall.nft"
        self.write(enabled=True)

    def write(self, **settings: Any) -> None:
        vips = [
            vip("SEVEN", f"{SEVEN}:443", server("s", "192.0.2.200:443")),
            {**vip("SEVEN6", ":443", server("s", ":443", address="2001:db8::200")), "address": SEVEN6},
            vip("FOUR", f"{FOUR}:104", server("s", "192.0.2.201"), mode="l4-dr"),
        ]
        nodes = [{"name": "lb1", "address": NODE}, {"name": "lb2", "address": PEER}]
        given = {"file": "firewall.nft", "management": [f"{OPERATOR}/32"], "tcp_ports": [5666], **settings}
        path = self.folder / "site.toml"
        path.write_text(site(*vips, pair={"nodes": nodes, "ipvs_sync": True}, firewall=given))
        self.site = lbkit.load_site(path)

    def apply(self, **more: Any) -> Applied:
        with self.host.inside():
            return verbs.apply(
                self.site, Registry().kind, "lb1", engines=["firewall"], state=self.folder / "state", **more
            )

    def diff(self) -> tuple[Change, ...]:
        with self.host.inside():
            return verbs.diff(self.site, Registry().kind, "lb1", engines=["firewall"], state=self.folder / "state")

    def has_table(self) -> bool:
        return "lbkit_firewall" in self.host.tried("nft", "list", "tables").stdout


@pytest.fixture
def node(lan: Lan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    yield Node(lan.node, tmp_path)
    lan.node.run("nft flush ruleset")


@contextmanager
def listening(host: Namespace, *places: tuple[str, int]) -> Iterator[None]:
    with ExitStack() as ended:
        for address, port in places:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with host.inside():
                ended.enter_context(socket.create_server((address, port), family=family, backlog=16))
        yield


def answers(client: Namespace, address: str, port: int) -> bool | None:
    """Whether a connection is made; None: it is refused."""
    try:
        with client.inside(), socket.create_connection((address, port), timeout=NO_ANSWER):
            return True
    except ConnectionRefusedError:
        return None
    except OSError:
        return False


def test_clients_reach_the_vips_operators_the_node_and_nobody_the_rest(lan: Lan, node: Node) -> None:
    node.apply()
    places = [(SEVEN, 443), (SEVEN6, 443), (FOUR, 104), ("0.0.0.0", 22), ("0.0.0.0", 5666), ("0.0.0.0", 8080)]
    with listening(lan.node, *places, (NODE, 7778), ("127.0.0.1", 8404)):
        asked = [(SEVEN, 443), (SEVEN6, 443), (FOUR, 104), (SEVEN, 22)]
        asked += [(NODE, port) for port in (22, 5666, 8080, 7778)]
        reached = {
            name: [place for place in asked if answers(host, *place)]
            for name, host in (("client", lan.client), ("operator", lan.operator), ("peer", lan.peer))
        }
        assert answers(lan.node, "127.0.0.1", 8404)
        assert answers(lan.node, NODE, 8080)  # itself
    vips = [(SEVEN, 443), (SEVEN6, 443), (FOUR, 104)]
    assert reached == {
        "client": vips,
        "operator": [*vips, (SEVEN, 22), (NODE, 22), (NODE, 5666)],
        "peer": [*vips, (SEVEN, 22), (NODE, 22), (NODE, 7778)],
    }


def test_the_node_reaches_others_and_is_pinged(lan: Lan, node: Node) -> None:
    node.apply()
    with listening(lan.client, (CLIENT, 80)):
        assert answers(lan.node, CLIENT, 80)
    with lan.client.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as asking:
        asking.settimeout(2)
        echo = struct.pack("!BBHHH", 8, 0, 0xF7FD, 1, 1)
        asking.sendto(echo, (NODE, 0))
        while asking.recv(100)[20] != 0:
            pass


def test_a_connection_that_was_open_before_goes_on_whoever_speaks_first(lan: Lan, node: Node) -> None:
    """Such as HAProxy's to a real server that has yet to answer: the kernel tracks none before the first ruleset."""
    with lan.client.inside():
        server = socket.create_server((CLIENT, 104))
    with server:
        with lan.node.inside():
            asking = socket.create_connection((CLIENT, 104), timeout=2)
        with asking, server.accept()[0] as answering:
            asking.sendall(b"question")
            assert answering.recv(100) == b"question"
            node.apply()
            answering.sendall(b"answer")
            assert asking.recv(100) == b"answer"


def test_that_a_packet_of_layer_4_was_too_large_gets_through(lan: Lan, node: Node) -> None:
    """A router on the way to a client says so to the VIP, which a real server has sent it from."""
    node.apply()
    too_large = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1500, 1, 0x4000, 64, 6, 0, *map(socket.inet_aton, (FOUR, CLIENT)))
    told = struct.pack("!HH", 0, 1400) + too_large + struct.pack("!HHI", 104, 40_000, 1)
    total = sum(struct.unpack(f"!{len(told) // 2}H", told), 0x0304)
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    with lan.node.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as hearing:
        hearing.settimeout(NO_ANSWER)
        with lan.client.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as telling:
            telling.sendto(struct.pack("!BBH", 3, 4, checksum) + told, (FOUR, 0))
        assert hearing.recv(200)[20:22] == b"\x03\x04"


def hears_vrrp(lan: Lan, sender: Namespace) -> bool:
    with lan.node.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as hearing:
        hearing.settimeout(NO_ANSWER)
        with sender.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as telling:
            telling.sendto(b"advert", (NODE, 0))
        try:
            return hearing.recv(100).endswith(b"advert")
        except TimeoutError:
            return False


def hears_sync(lan: Lan, sender: Namespace) -> bool:
    """A datagram to the group of IPVS's sync daemons."""
    with ExitStack() as open_:
        with lan.node.inside():
            hearing = open_.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            hearing.bind(("224.0.0.81", 8848))
            group = socket.inet_aton("224.0.0.81") + socket.inet_aton(NODE)
            hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        hearing.settimeout(NO_ANSWER)
        with sender.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as telling:
            address = PEER if sender is lan.peer else CLIENT
            telling.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            telling.sendto(b"connections", ("224.0.0.81", 8848))
        try:
            return hearing.recv(100) == b"connections"
        except TimeoutError:
            return False


def test_vrrp_and_connections_are_taken_from_the_other_node_alone(lan: Lan, node: Node) -> None:
    assert [hears_vrrp(lan, lan.peer), hears_vrrp(lan, lan.client)] == [True, True]
    assert [hears_sync(lan, lan.peer), hears_sync(lan, lan.client)] == [True, True]
    node.apply()
    assert [hears_vrrp(lan, lan.peer), hears_vrrp(lan, lan.client)] == [True, False]
    assert [hears_sync(lan, lan.peer), hears_sync(lan, lan.client)] == [True, False]


def is_reset(lan: Lan, address: str, port: int) -> bool:
    """Whether a packet from the middle of a connection that this node never saw gets a reset."""
    with lan.client.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.settimeout(NO_ANSWER)
        source = 40_000 + int(time.monotonic() * 1000) % 20_000
        header = struct.pack("!HHIIBBHHH", source, port, 1000, 2000, 5 << 4, 0x10, 1000, 0, 0)
        pseudo = socket.inet_aton(CLIENT) + socket.inet_aton(address) + struct.pack("!BBH", 0, 6, len(header))
        total = sum(struct.unpack(f"!{len(pseudo + header) // 2}H", pseudo + header))
        total = (total >> 16) + (total & 0xFFFF)
        checksum = ~(total + (total >> 16)) & 0xFFFF
        raw.sendto(header[:16] + struct.pack("!H", checksum) + header[18:], (address, 0))
        deadline = time.monotonic() + NO_ANSWER
        while time.monotonic() < deadline:
            try:
                packet = raw.recv(100)
            except TimeoutError:
                return False
            if struct.unpack_from("!HH", packet, 20) == (port, source):
                return bool(packet[33] & 0x04)
    return False


@pytest.mark.parametrize("loose", ["0", "1"])
def test_packets_of_layer_4_pass_untracked_and_lost_connections_end_at_once(loose: str, lan: Lan, node: Node) -> None:
    """The kernel has no IPVS here: what it would have got, its TCP gets, and answers with a reset."""
    node.apply()
    lan.node.set("netfilter/nf_conntrack_tcp_loose", loose)
    lan.node.run("nft add table inet t", "nft add chain inet t c { type filter hook input priority -10 ; }")
    lan.node.run(f"nft add rule inet t c ct state untracked ip daddr {FOUR} counter")
    assert is_reset(lan, FOUR, 104)
    counted = lan.node.tried("nft", "list", "table", "inet", "t").stdout
    assert "untracked" in counted
    assert "packets 1 " in counted
    assert is_reset(lan, SEVEN, 443)  # the client of a node that is dead connects anew, and does not hang
    assert not is_reset(lan, NODE, 8080)


def test_what_is_cut_off_is_listed_before(lan: Lan, node: Node) -> None:
    open_now = [("0.0.0.0", 22), ("0.0.0.0", 8080), ("0.0.0.0", 104), (SEVEN, 443), ("127.0.0.1", 9)]
    with listening(lan.node, *open_now), lan.node.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((NODE, 123))
        (change,) = node.diff()
    me = Path("/proc/self/comm").read_text().strip()
    assert (change.path, change.kind) == (node.file, "new")
    assert set(change.notes) == {
        f"tcp port 22 ({me}) will answer {PEER}, {OPERATOR}/32 alone",
        f"tcp port 104 ({me}) will answer at {FOUR} alone",
        f"tcp port 8080 ({me}) will be closed",
        f"udp port 123 at {NODE} ({me}) will be closed",
    }


def test_what_differs_in_the_kernel_is_shown_and_mended(node: Node) -> None:
    assert node.apply(dry_run=True).steps[0].startswith(f"{node.file}: new, ")
    assert not node.file.exists()
    assert not node.has_table()
    assert node.apply().steps[-1] == "firewall: in force, and read back"
    assert node.diff() == ()
    assert node.apply().steps == []
    node.host.run("nft add rule inet lbkit_firewall input accept")
    (change,) = node.diff()
    assert change.kind == "not in force"
    assert [line for line in change.lines if line.startswith("-\t")] == ["-\t\taccept"]
    node.apply()
    assert node.diff() == ()
    node.host.run("nft delete table inet lbkit_firewall")  # as after a boot
    assert [one.kind for one in node.diff()] == ["not in force"]
    node.apply()
    assert node.has_table()
    node.write(enabled=False)
    assert [one.kind for one in node.diff()] == ["removed"]
    assert node.apply().steps[-1] == "firewall: taken out of the kernel"
    assert (node.has_table(), node.file.exists(), node.diff()) == (False, False, ())


def test_what_is_applied_after_it_and_fails_takes_it_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        assert node.has_table()
        raise RolledBack("HAProxy was not content.")

    with monkeypatch.context() as broken:
        broken.setattr(verbs, "_apply", fails)
        with pytest.raises(RolledBack):
            node.apply()
    assert (node.has_table(), node.file.exists()) == (False, False)
    node.apply()
    text = node.file.read_bytes()
    node.write(enabled=True, tcp_ports=[])
    with monkeypatch.context() as broken:
        broken.setattr(verbs, "_apply", fails)
        with pytest.raises(RolledBack):
            node.apply()
    assert node.file.read_bytes() == text
    assert "5666" in node.host.tried("nft", "list", "ruleset").stdout


@pytest.mark.parametrize(
    ("client", "port", "is_cut"),
    [(OPERATOR, 22, False), (PEER, 22, False), (CLIENT, 22, True), (OPERATOR, 2222, True), ("127.0.0.1", 2222, False)],
)
def test_the_session_that_it_runs_in_is_not_cut(
    client: str, port: int, is_cut: bool, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", f"{client} 50000 {NODE} {port}")
    if is_cut:
        with pytest.raises(Refused, match=f"would cut the ssh session that this runs in: from {client} to port {port}"):
            node.apply()
        assert not node.has_table()
        node.apply(force=True)
    else:
        node.apply()
    assert node.has_table()


def test_a_session_is_seen_through_sudo(tmp_path: Path) -> None:
    """Which takes the variable away from what it runs."""
    code = "from lbkit.firewall.session import this_one; print(this_one())"
    env = os.environ | {"SSH_CONNECTION": f"{CLIENT} 50000 {NODE} 22"}
    command = ["sh", "-c", f'env -u SSH_CONNECTION "{sys.executable}" -c "{code}"; :']
    said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=True).stdout
    assert said == f"Session(client='{CLIENT}', address='{NODE}', port=22)\n"


def test_a_site_without_one_is_not_asked_about(node: Node) -> None:
    node.write()
    assert not apply_firewall.concerns(node.site)
    assert node.diff() == ()
