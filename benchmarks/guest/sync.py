"""Which sessions of direct routing are lost when the node dies that forwards them, and its sync daemon with it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from system.ipvs.lan import VIP, Lan, ip, lan
from system.ipvs.synced import PORT, Balancer, echoing, goes_on, moved, written

EVERY = 0.1  # seconds between two that are opened
NUMBER = 60  # of a round
PATIENCE = 3.0  # seconds for an answer from the other node

Figures = dict[str, list[float]]


def measure(rounds: str) -> Figures:
    """Of each round: how many were lost, and how old the oldest of them was, in seconds (0: none was)."""
    figures: Figures = {"lost": [], "oldest": []}
    with TemporaryDirectory() as folder, lan() as network, ExitStack() as ended:
        for name, host in (("1", network.lb1), ("2", network.lb2)):
            one = Balancer(host, Path(folder, name))
            ended.callback(one.close)
            one.reconcile(written(Path(folder)))
        ended.enter_context(echoing(network.rs1, network.rs2))
        for _ in range(int(rounds)):
            lost = _lost(network)
            figures["lost"].append(len(lost))
            figures["oldest"].append(max(lost, default=0.0))
    return figures


def _lost(network: Lan) -> list[float]:
    """The ages of those that a death of lb1 ended, of sessions that were opened steadily until then."""
    with ExitStack() as ended, network.client.inside():
        made = []
        for _ in range(NUMBER):
            one = ended.enter_context(socket.create_connection((VIP, PORT), timeout=PATIENCE))
            assert goes_on(one)
            made.append((one, monotonic()))
            sleep(EVERY)
        with _unplugged(network):
            died = monotonic()
            with moved(network):
                for one, _ in made:
                    with suppress(OSError):
                        one.sendall(b"again\n")
                deadline = monotonic() + PATIENCE
                return [died - opened for one, opened in made if not _answers(one, deadline)]


@contextmanager
def _unplugged(network: Lan) -> Iterator[None]:
    """lb1: nothing that its kernel still holds gets out."""
    ip(network.switch, "link set lb1 nomaster")
    try:
        yield
    finally:
        ip(network.switch, "link set lb1 master br0")


def _answers(session: socket.socket, deadline: float) -> bool:
    session.settimeout(max(0.01, deadline - monotonic()))
    try:
        return session.recv(100) == b"again\n"
    except OSError:
        return False
