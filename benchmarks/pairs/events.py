"""What happens to a pair that lbkit looks after, again and again, and what its clients see of it."""

import json
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep

from interop.agents import eventually
from system.pair.cluster import LAST, PLAIN, SOURCE, Cluster, cluster
from system.pair.lan import CLIENT
from system.pair.nodes import Node
from system.pair.traffic import Probe, probing, sessions

from benchmarks.pairs import Figures

SESSIONS = 1000
EVERY = 0.0033  # seconds between two new connections
TIMEOUT = 0.9  # seconds: a SYN that is lost is sent again after one, and counts as failed
SOURCES = (CLIENT, *(f"192.0.2.{last}" for last in range(101, 107)))
STICKY = "rs2"  # not the first of the site: a table that is lost is seen
RELOADS_A_ROUND = 4
MOVES_WITHIN = 20.0  # seconds
CALM = 0.7  # seconds of traffic before and after


class Events:
    """The pair, what happens to it, and the figures so far. `home`: the node that always takes the addresses back."""

    def __init__(self, pair: Cluster, home: Node | None = None) -> None:
        self.pair = pair
        self.home = home
        self.found: Figures = defaultdict(list)
        pair.settled(home)
        client = pair.lan.client
        client.run(*(f"ip addr add {one}/24 dev eth0" for one in SOURCES[1:]))
        for node in pair.lan.nodes:
            pair.haproxy(node, "set server LAST/rs1 state maint")
        with probing(client, *LAST):
            sleep(0.3)
        for node in pair.lan.nodes:
            pair.haproxy(node, "set server LAST/rs1 state ready")
        with probing(client, *SOURCE, sources=SOURCES) as probe:
            sleep(0.3)
        self._homes = probe.by_source
        assert len(self._homes) == len(SOURCES), probe.reasons
        pair.settled(home)

    @contextmanager
    def traffic(self) -> Iterator[Probe]:
        """Steady new connections; whether persistence held is a figure of its own: `misrouted`."""
        client = self.pair.lan.client
        with (
            probing(client, *PLAIN, every=EVERY, timeout=TIMEOUT) as probe,
            probing(client, *LAST, every=0.02, timeout=TIMEOUT) as last,
            probing(client, *SOURCE, every=0.02, timeout=TIMEOUT, sources=SOURCES) as source,
        ):
            sleep(CALM)
            yield probe
            sleep(CALM)
        lost = sum(bool(servers - self._homes[one]) for one, servers in source.by_source.items())
        self.found["misrouted"].append(last.misrouted(STICKY) + lost)

    def moved(self, node: Node) -> None:
        """Wait until nobody but this node has the addresses."""
        eventually(lambda: self.pair.masters() == [node], MOVES_WITHIN)

    def outage(self, what: str, happen: Callable[[Node], None], mend: Callable[[Node], None]) -> None:
        """Of what happens to the master; the other node takes over."""
        node = self.pair.master
        with self.traffic() as probe:
            happen(node)
            eventually(lambda: self.pair.lan.other(node) in self.pair.masters(), MOVES_WITHIN)
        self.found[what].append(probe.outage * 1000)
        mend(node)
        self.pair.settled(self.home)

    def dies(self) -> None:
        """The master does, without a word, and comes back."""
        back: list[float] = []

        def boot(node: Node) -> None:
            with self.traffic() as probe:
                self.pair.boot(node)
                self.pair.settled(self.home)
            back.append(probe.outage * 1000)

        self.outage("silent", self.pair.crash, boot)
        self.found["return"] += back


class Lbkit(Events):
    """With the agent, and with the commands of lbkit."""

    def failover(self, keep: str, number: int) -> None:
        """Planned, with so many sessions."""
        node = self.pair.master
        other = self.pair.lan.other(node)
        with ExitStack() as ended:
            live = None
            if number:
                live = ended.enter_context(sessions(self.pair.lan.client, *PLAIN, number, every=1.0))
            probe = ended.enter_context(self.traffic())
            said = json.loads(node.run(f"lbkit failover --to {other.name} --sessions {keep} --json").stdout)
            if self.pair.masters() != [other]:
                raise AssertionError(f"lbkit failover has moved nothing: {said}")
            self.found[f"moved, {keep}"].append(said["took_ms"] / 1000)
            sleep(1.0)  # every session says a line
        self.found[f"failed, {keep}"].append(probe.failed)
        self.found[f"outage, {keep}"].append(probe.outage * 1000)
        if live is not None:
            self.found[f"lost, {keep}"].append(number - live.opened + live.broken + live.hung)
        self.pair.settled(other)

    def passive_dies(self) -> None:
        """Until the agent of the other node says so."""
        master = self.pair.master
        passive = self.pair.lan.other(master)
        self.pair.crash(passive)
        begun = monotonic()
        eventually(lambda: self._trouble(master), MOVES_WITHIN)
        self.found["passive"].append(monotonic() - begun)
        self.pair.boot(passive)
        self.pair.settled(master)

    def splits(self) -> None:
        """VRRP gets lost between the nodes, and nothing else: until an agent says so, from when both are master."""
        begun: list[float] = []
        before = self._splits_told()

        def told() -> bool:
            if not begun and len(self.pair.masters()) == 2:
                begun.append(monotonic())
            return self._splits_told() > before

        self.pair.lan.drop_vrrp()
        try:
            eventually(told, MOVES_WITHIN)
            self.found["split"].append(monotonic() - begun[0] if begun else 0.0)
        finally:
            self.pair.lan.pass_vrrp()
        self.pair.settled()

    def reloads(self) -> None:
        """Of the node that serves, under traffic to the Last Successful VIP."""
        with probing(self.pair.lan.client, *LAST, every=EVERY, timeout=TIMEOUT) as probe:
            for _ in range(RELOADS_A_ROUND):
                sleep(0.2)
                self.pair.master.run("lbkit reload")
            sleep(0.2)
        self.found["reloads"].append(probe.failed + probe.misrouted(STICKY))

    def intents_lost(self) -> int:
        """Those of the one that was given at first, on each node."""
        lost = 0
        for node in self.pair.lan.nodes:
            said = json.loads(node.run("lbkit intents --json").stdout)
            lost += "PLAIN" not in json.dumps(said)
        return lost

    def _trouble(self, node: Node) -> str:
        state = self.pair.agent(node)
        return (state.trouble or "") if state else ""

    def _splits_told(self) -> int:
        """From the logs: it may be over when the agent is asked."""
        return sum(node.log("agent").count("SPLIT BRAIN") for node in self.pair.lan.nodes)


def kill(node: Node) -> None:
    """Its HAProxy."""
    node.kill("haproxy")


def freeze(node: Node) -> None:
    """Its HAProxy hangs."""
    node.kill("haproxy", signal.SIGSTOP)


def thaw(node: Node) -> None:
    """It goes on."""
    for pid in node.pids("haproxy"):
        os.kill(pid, signal.SIGCONT)


def run(name: str, rounds: int) -> Figures:
    """Everything that is measured of one pair: INTERVAL, or INTERVAL-planned."""
    interval, _, planned = name.partition("-")
    with cluster(advert_interval=interval) as pair:
        events = Lbkit(pair)
        pair.master.run("lbkit weight PLAIN rs1 50")
        for _ in range(rounds):
            if planned:
                events.failover("keep", SESSIONS)
                events.failover("cut", 0)
            else:
                events.outage("killed", kill, pair.start_node)
                events.outage("hung", freeze, thaw)
                events.dies()
            if name == "100ms":
                events.passive_dies()
                events.splits()
                events.reloads()
        events.found["misrouted"].append(events.intents_lost())
        return events.found
