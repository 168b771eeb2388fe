"""What a node's firewall does with layer 4, on a kernel with IPVS: `lbkit render nftables` in the words of iptables.

This kernel has no nftables; the ruleset itself is tried in tests/system/test_firewall.py, on a kernel without IPVS.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from interop.remotes import program
from system.ipvs.lan import RS1, VIP, Lan, network
from system.namespaces import Namespace

from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Destination, Service, Virtual

__all__ = ["network"]

PORT = 3104
NO_ANSWER = 1.0  # seconds
UNTRACKED = (
    f"-t raw -A PREROUTING -d {VIP} -p tcp --dport {PORT} -j CT --notrack",
    f"-t raw -A PREROUTING -s {VIP} -p tcp --sport {PORT} -j CT --notrack",
    f"-A INPUT -d {VIP} -p tcp --dport {PORT} -m conntrack --ctstate UNTRACKED -j ACCEPT",
)
USUAL = (
    "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    "-A INPUT -m conntrack --ctstate INVALID -j DROP",
    f"-A INPUT -d {VIP} -p tcp --syn --dport {PORT} -m conntrack --ctstate NEW -j ACCEPT",
    "-P INPUT DROP",
)


@contextmanager
def echoing(host: Namespace) -> Iterator[None]:
    with host.inside():
        listening = socket.create_server(("0.0.0.0", PORT))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    while data := connection.recv(100):
                        connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listening.close()


@contextmanager
def rules(host: Namespace, *lines: str) -> Iterator[None]:
    iptables = program("iptables-legacy", "iptables")
    try:
        host.run(*(f"{iptables} {line}" for line in lines))
        yield
    finally:
        host.run(f"{iptables} -P INPUT ACCEPT", f"{iptables} -F INPUT", f"{iptables} -t raw -F")


def exchanges(network: Lan) -> int:
    """How many lines go to and fro on a connection through the VIP, of 5."""
    number = 0
    try:
        with network.client.inside(), socket.create_connection((VIP, PORT), timeout=NO_ANSWER) as session:
            for number in range(5):
                session.sendall(b"line\n")
                if session.recv(100) != b"line\n":
                    return number
            return 5
    except OSError:
        return number


@pytest.mark.parametrize("loose", ["0", "1"])
def test_direct_routing_passes_a_firewall_that_keeps_no_track_of_it_and_no_usual_one(loose: str, network: Lan) -> None:
    with Kernel(network.lb1.file) as kernel:
        key = Virtual(VIP, PORT)
        kernel.add_service(Service(key))
        kernel.add(key, Destination(RS1, PORT))
        try:
            with echoing(network.rs1), rules(network.lb1, *UNTRACKED, *USUAL):
                network.lb1.set("netfilter/nf_conntrack_tcp_loose", loose)
                assert exchanges(network) == 5
            with echoing(network.rs1), rules(network.lb1, *USUAL):
                assert exchanges(network) < 5
        finally:
            kernel.remove_service(key)
