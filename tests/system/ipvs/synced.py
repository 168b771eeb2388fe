"""Two balancers on a kernel with IPVS that tell each other of their connections, and clients that may notice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from interop.agents import l4
from system.ipvs.lan import LB1, LB2, MACS, RS1, RS2, VIP, Lan, ip
from system.namespaces import Namespace
from unit.site_text import server, site

import lbkit
from lbkit.errors import NotRunning, NotThere
from lbkit.ipvs.engine import Ipvs
from lbkit.ipvs.kernel import Kernel
from lbkit.site.model import Site

PORT = 2104
NODES = [{"name": "lb1", "address": LB1}, {"name": "lb2", "address": LB2}]


def written(folder: Path, *, ipvs_sync: bool = True, **more: object) -> Site:
    vip = l4("V", f"{VIP}:{PORT}", server("s1", RS1), server("s2", RS2), scheduler="round-robin")
    file = folder / "site.toml"
    file.write_text(site(vip, pair={"nodes": NODES, "ipvs_sync": ipvs_sync}, **more))
    return lbkit.load_site(file)


class Balancer:
    """One of the pair, without an agent."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self.host = host
        self.state = folder
        self.kernel = Kernel(host.file, timeout=30)  # one slow CPU: a daemon may take its time to stop

    def reconcile(self, wanted: Site) -> list[str]:
        with self.host.inside():
            return Ipvs(wanted, self.state, self.kernel).reconcile({}, {})

    def connections(self) -> set[int]:
        """The clients' ports that it knows."""
        with self.host.inside():
            lines = Path("/proc/thread-self/net/ip_vs_conn").read_text().splitlines()[1:]
        return {int(line.split()[2], 16) for line in lines}

    def close(self) -> None:
        for role in ("master", "backup"):
            with suppress(NotThere):
                try:
                    self.kernel.stop_daemon(role)
                except NotRunning:  # the answer was lost: seen once in many runs, under load
                    self.kernel.stop_daemon(role)
        self.kernel.flush()
        self.kernel.close()


@contextmanager
def echoing(*hosts: Namespace) -> Iterator[None]:
    """Each says what it is sent."""
    with ExitStack() as ended:
        for host in hosts:
            with host.inside():
                listening = ended.enter_context(socket.create_server(("0.0.0.0", PORT), backlog=200))
            ended.callback(listening.shutdown, socket.SHUT_RDWR)

            def serve(listening: socket.socket = listening) -> None:
                with suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        ended.callback(connection.close)
                        threading.Thread(target=echo, args=(connection,), daemon=True).start()

            threading.Thread(target=serve, daemon=True).start()
        yield


def echo(connection: socket.socket) -> None:
    with suppress(OSError):
        while data := connection.recv(100):
            connection.sendall(data)


def goes_on(session: socket.socket, word: bytes = b"again\n") -> bool:
    try:
        session.sendall(word)
        return session.recv(100) == word
    except OSError:
        return False


@contextmanager
def moved(network: Lan) -> Iterator[None]:
    """The VIP, from lb1 to lb2."""
    ip(network.lb1, f"address del {VIP}/32 dev eth0")
    ip(network.lb2, f"address add {VIP}/32 dev eth0")
    ip(network.client, f"neighbour replace {VIP} lladdr {MACS['lb2']} dev eth0")
    try:
        yield
    finally:
        ip(network.lb2, f"address del {VIP}/32 dev eth0")
        ip(network.lb1, f"address add {VIP}/32 dev eth0")
        ip(network.client, f"neighbour del {VIP} dev eth0")
