"""Adverts are heard as keepalived hears them: behind the firewall."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from unit.test_pair_adverts import IPV4, IPV6

from lbkit.pair.adverts import PROTOCOL, Adverts, Passed

_FAMILIES = {
    "IPv4": (socket.AF_INET, "10.9.0.{}/16", IPV4[20:], "10.9.0.1"),
    "IPv6": (socket.AF_INET6, "fd09::{}/64", IPV6[40:], "fd09::1"),
}
_DROP = f"nft table inet no {{ chain in {{ type filter hook input priority 0; meta l4proto {PROTOCOL} drop; }}; }}"


@pytest.fixture
def nodes() -> Iterator[list[Namespace]]:
    program("nft", "nftables")
    with namespaces(2) as made:
        one, two = made
        for node in made:
            node.set("ipv6/conf/default/accept_dad", "0")
        one.run(f"ip link add eth0 type veth peer name eth0 netns {two.file}")
        for number, node in enumerate(made, 1):
            for _, own, _, _ in _FAMILIES.values():
                node.run(f"ip addr add {own.format(number)} dev eth0")
            node.run("ip link set eth0 up")
        yield made


def _opened(node: Namespace, family: socket.AddressFamily) -> Adverts:
    with node.inside():
        adverts = Adverts(family)
        adverts.open()
    return adverts


def _seen(adverts: Adverts, send: Callable[[], None], within: float) -> Passed | None:
    """The first of those that are sent until one is seen: an interface that has just come up is not ready for IPv6."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        send()
        select.select(adverts.sockets, [], [], 0.05)
        if found := adverts.read():
            return found[0]
    return None


@pytest.mark.parametrize("name", _FAMILIES)
def test_an_advert_is_seen_where_it_leaves_and_heard_where_the_firewall_lets_it_in(nodes, name):
    family, own, message, source = _FAMILIES[name]
    one, two = nodes
    sending, hearing = _opened(one, family), _opened(two, family)
    with one.inside():
        sender = socket.socket(family, socket.SOCK_RAW, PROTOCOL)

    def send() -> None:
        sender.sendto(message, (own.format(2).partition("/")[0], 0))

    try:
        for adverts, outgoing in ((hearing, False), (sending, True)):
            found = _seen(adverts, send, 5.0)
            assert found is not None
            assert (found.outgoing, found.advert.source, found.advert.interval) == (outgoing, source, 0.2)
        two.run(_DROP)
        hearing.read()
        assert _seen(hearing, send, 0.5) is None
        assert _seen(sending, send, 0.5)
    finally:
        sender.close()
        sending.close()
        hearing.close()
