"""A transparent VIP from end to end: a client, a balancer and a real server, each in a network namespace of its own.

The real server's gateway is the balancer (guide 15.2.2, two arms). HAProxy, transparent.nft and transparent.sh are rendered.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from interop.clients import CHECK
from interop.engines import haproxy, rendered, running, short, written
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from unit.site_text import server, vip

from lbkit.haproxy.program import Program

__all__ = ["haproxy", "short"]

PORT = 104
NO_ANSWER = 0.5  # seconds; with the rules one comes within milliseconds


class Addresses(NamedTuple):
    client: str
    vip: str
    gateway: str
    server: str
    any: str


FOUR = Addresses("192.0.2.99", "192.0.2.10", "198.51.100.1", "198.51.100.11", "0.0.0.0")
SIX = Addresses("2001:db8:1::99", "2001:db8:1::10", "2001:db8:2::1", "2001:db8:2::11", "::")


class Lan(NamedTuple):
    client: Namespace
    balancer: Namespace
    server: Namespace


@pytest.fixture
def lan() -> Iterator[Lan]:
    program("nft", "nftables")
    with namespaces(3) as made:
        found = Lan(*made)
        _wire(found)
        _skip_where_the_kernel_cannot(found.balancer)
        yield found


def _wire(lan: Lan) -> None:
    for name, other in (("clients", lan.client), ("servers", lan.server)):
        ran = lan.balancer.tried(*f"ip link add {name} type veth peer name eth0 netns {other.file}".split())
        if ran.returncode:
            pytest.skip(reason=f"this machine makes no pair of interfaces: {ran.stderr.strip()}")
    for at, interface, four, six in (
        (lan.client, "eth0", FOUR.client, SIX.client),
        (lan.balancer, "clients", FOUR.vip, SIX.vip),
        (lan.balancer, "servers", FOUR.gateway, SIX.gateway),
        (lan.server, "eth0", FOUR.server, SIX.server),
    ):
        at.run(f"ip addr add {four}/24 dev {interface}", f"ip -6 addr add {six}/64 dev {interface} nodad")
        at.run(f"ip link set {interface} up")
    lan.server.run(f"ip route add default via {FOUR.gateway}", f"ip -6 route add default via {SIX.gateway}")
    lan.balancer.set("ipv4/ip_forward", "1")  # as a gateway does: answers pass the balancer by, unless they are marked
    lan.balancer.set("ipv6/conf/all/forwarding", "1")


def _skip_where_the_kernel_cannot(balancer: Namespace) -> None:
    probe = "table inet t { chain c { type filter hook prerouting priority mangle; socket transparent 1 accept; }; }"
    ran = balancer.tried("nft", probe)
    if ran.returncode:
        pytest.skip(reason=f"this kernel has no nftables, or none that knows sockets: {ran.stderr.strip()}")
    balancer.run("nft delete table inet t")


@contextmanager
def telling(at: Namespace, address: str) -> Iterator[None]:
    """A real server that tells each client the address that it sees."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with at.inside():
        listening = socket.create_server((address, PORT), family=family)

    def serve() -> None:
        with suppress(OSError):  # shut down
            while True:
                connection, peer = listening.accept()
                with connection, suppress(OSError):
                    connection.sendall(peer[0].encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listening.close()


def seen(lan: Lan, ways: Addresses) -> str | None:
    """The address that the real server sees of a client of the VIP; None: no answer."""
    with lan.client.inside(), socket.create_connection((ways.vip, PORT), timeout=5) as connection:
        connection.settimeout(NO_ANSWER)
        try:
            return connection.recv(64).decode()
        except TimeoutError:
            return None


@pytest.mark.parametrize("ways", [FOUR, SIX], ids=["ipv4", "ipv6"])
def test_with_the_rules_a_real_server_sees_the_clients_own_address(
    ways: Addresses, lan: Lan, short: Path, haproxy: Program
) -> None:
    one = vip(
        "V", f":{PORT}", server("s", f":{PORT}", address=ways.server), address=ways.vip, check=CHECK, transparent=True
    )
    rules = short / "etc" / "transparent.sh"
    with ExitStack() as stack:
        stack.enter_context(telling(lan.server, ways.server))
        with lan.balancer.inside():
            engine = stack.enter_context(running(short, rendered(short, one), haproxy))
        engine.wait_for("V", {"s": "UP"})  # a check has no client: it says nothing of the rules
        assert seen(lan, ways) is None
        lan.balancer.run(str(rules), str(rules))
        assert [seen(lan, ways) for _ in range(5)] == [ways.client] * 5
        family = "-6" if ways is SIX else "-4"
        lan.balancer.run("nft delete table inet lbkit_transparent", f"ip {family} rule del fwmark 0x1 lookup 100")
        lan.balancer.run(f"ip {family} route flush table 100")
        assert seen(lan, ways) is None


def test_the_rules_may_be_run_again_and_need_no_ipv6_where_no_server_has_it(lan: Lan, short: Path) -> None:
    four = vip("V", f"{FOUR.vip}:{PORT}", server("s", f"{FOUR.server}:{PORT}"), transparent=True)
    written(rendered(short, four))
    lan.balancer.set("ipv6/conf/all/disable_ipv6", "1")
    rules = short / "etc" / "transparent.sh"
    lan.balancer.run(str(rules), str(rules))
    shown = [lan.balancer.tried(*words.split()).stdout for words in ("ip rule show", "nft list ruleset")]
    assert [shown[0].count("fwmark 0x1 lookup 100"), shown[1].count("socket transparent")] == [1, 1]
