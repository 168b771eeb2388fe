"""Sessions that outlive a switch of their address: two nodes by hand, no keepalived, IPv4 and IPv6."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from interop.agents import eventually
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from unit.site_text import server, site, vip

from lbkit import load_site
from lbkit.pair import second_chance
from lbkit.site.model import Site

_PORT = 2100
_FAMILIES = {"IPv4": ("10.8.0.50", "10.8.0.{}/24"), "IPv6": ("fd08::50", "fd08::{}/64")}


class _Lan:
    """Two nodes that serve `address`, each by its own process, and a client; lb1 has the address."""

    def __init__(self, spaces: list[Namespace], address: str, own: str) -> None:
        self.switch, self.lb1, self.lb2, self.client = spaces
        self.address = address
        self._own = own
        self._sockets: list[socket.socket] = []
        self.site: Site = None  # type: ignore[assignment]

    def make(self, folder: Any) -> None:
        version = "6" if ":" in self.address else "4"
        self.switch.run("ip link add lan type bridge forward_delay 0", "ip link set lan up")
        for number, machine in enumerate((self.lb1, self.lb2, self.client), 1):
            for name in ("all", "default"):
                machine.set(f"ipv6/conf/{name}/accept_dad", "0")
            for name in ("ipv4", "ipv6"):
                machine.set(f"{name}/ip_nonlocal_bind", "1")
            self.switch.run(
                f"ip link add port{number} type veth peer name eth0 netns {machine.file}",
                f"ip link set port{number} master lan up",
            )
            machine.run(f"ip -{version} addr add {self._own.format(number)} dev eth0", "ip link set eth0 up")
        for node in (self.lb1, self.lb2):
            for name in second_chance.SYSCTLS:
                node.set(f"ipv4/conf/eth0/{name}", second_chance.SYSCTLS[name])
        nodes = [{"name": f"lb{one}", "address": self._own.format(one).partition("/")[0]} for one in (1, 2)]
        file = folder / "site.toml"
        one = vip("V", f"10.8.0.50:{_PORT}", server("s", "10.8.9.1:1")) | {"address": self.address}
        file.write_text(site(one, pair={"nodes": nodes}))
        self.site = load_site(str(file))
        self.lb1.run(f"ip addr add {self.address} dev eth0")
        self._serve(self.lb1, b"lb1")
        self._serve(self.lb2, b"lb2")
        eventually(self._is_reached, within=30)  # on a busy machine the kernel takes its time with a new link

    def _is_reached(self) -> bool:
        with self.client.inside(), suppress(OSError):
            socket.create_connection((self.address, _PORT), timeout=1).close()
            return True
        return False

    def _serve(self, node: Namespace, name: bytes) -> None:
        with node.inside():
            listener = socket.create_server(
                (self.address, _PORT), family=socket.AF_INET6 if ":" in self.address else socket.AF_INET, backlog=100
            )
        self._sockets.append(listener)

        def work() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=_echo, args=(listener.accept()[0], name), daemon=True).start()

        threading.Thread(target=work, daemon=True).start()

    def open(self) -> socket.socket:
        with self.client.inside():
            self._sockets.append(socket.create_connection((self.address, _PORT), timeout=3))
        return self._sockets[-1]

    def rule(self, new: Namespace, old: Namespace, seconds: float = 60.0) -> tuple[second_chance.Way, ...]:
        """As a planned switch makes it."""
        places = second_chance.kept(self.site)
        pair = self.site.pair
        assert pair is not None
        nodes = dict(zip((self.lb1, self.lb2), pair.nodes, strict=True))
        with old.inside():
            hops = second_chance.hops([self.address], self.site, nodes[old])
            second_chance.take([self.address])
        over = second_chance.ways(places, nodes[new], hops)
        with new.inside():
            second_chance.start(over, seconds)
        return over

    def move(self, new: Namespace, old: Namespace) -> None:
        old.run(f"ip addr del {self.address} dev eth0")
        new.run(f"ip addr add {self.address} dev eth0")
        self.client.run("ip neighbour flush dev eth0", "ip -6 neighbour flush dev eth0")

    def close(self) -> None:
        for one in self._sockets:
            one.close()


def _echo(connection: socket.socket, name: bytes) -> None:
    with connection, suppress(OSError):
        while connection.recv(100):
            connection.sendall(name)


@pytest.fixture(params=list(_FAMILIES))
def lan(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[_Lan]:
    program("nft", "nftables")
    with namespaces(4) as spaces:
        made = _Lan(spaces, *_FAMILIES[request.param])
        made.make(tmp_path)
        yield made
        made.close()


def _says(session: socket.socket) -> str:
    """Which node it lives on; else what became of it."""
    try:
        session.sendall(b"?")
        return session.recv(10).decode() or "ended"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "silence"


def test_sessions_stay_on_the_old_node_and_new_ones_are_the_new_nodes(lan: _Lan) -> None:
    before = [lan.open() for _ in range(20)]
    assert {_says(one) for one in before} == {"lb1"}
    lan.rule(lan.lb2, lan.lb1)
    lan.move(lan.lb2, lan.lb1)
    after = [lan.open() for _ in range(5)]
    for _ in range(3):
        assert {_says(one) for one in before} == {"lb1"}
        assert {_says(one) for one in after} == {"lb2"}


def test_without_the_rule_they_are_reset(lan: _Lan) -> None:
    before = lan.open()
    assert _says(before) == "lb1"
    lan.move(lan.lb2, lan.lb1)
    assert _says(before) == "reset"


def test_a_rule_that_nobody_renews_ends_by_itself_and_clients_get_a_reset(lan: _Lan) -> None:
    before, idle = lan.open(), lan.open()
    over = lan.rule(lan.lb2, lan.lb1, seconds=0.5)
    lan.move(lan.lb2, lan.lb1)
    for _ in range(6):
        with lan.lb2.inside():
            second_chance.renew(over, 0.5)
        assert _says(before) == "lb1"
        time.sleep(0.2)
    time.sleep(0.5)
    assert _says(idle) == "reset"
    with lan.lb2.inside():
        second_chance.renew(over, 0.5)
    with lan.lb2.inside():
        second_chance.stop()
        second_chance.stop()


def test_sessions_of_two_switches_all_live_on_where_they_began(lan: _Lan) -> None:
    first = lan.open()
    assert _says(first) == "lb1"
    lan.rule(lan.lb2, lan.lb1)
    lan.move(lan.lb2, lan.lb1)
    second = lan.open()
    assert (_says(first), _says(second)) == ("lb1", "lb2")
    lan.rule(lan.lb1, lan.lb2)
    lan.move(lan.lb1, lan.lb2)
    with lan.lb2.inside():
        second_chance.stop()
    third = lan.open()
    for _ in range(3):
        assert [_says(one) for one in (first, second, third)] == ["lb1", "lb2", "lb1"]


def test_the_old_nodes_routes_are_gone_after_it(lan: _Lan) -> None:
    lan.rule(lan.lb2, lan.lb1)
    with lan.lb1.inside():
        second_chance.leave()
    before = lan.open()
    lan.move(lan.lb2, lan.lb1)
    before.settimeout(1)
    assert _says(before) != "lb1"
    with lan.lb1.inside():
        second_chance.leave()
