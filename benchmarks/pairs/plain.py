"""The same site without lbkit's pair: keepalived as most have it, its adverts, priorities and script once a second."""

import os
import signal
from contextlib import ExitStack
from time import sleep

from system.pair.cluster import LAST, MOVING, PLAIN, SOURCE, Cluster
from system.pair.lan import LB1, LB2, pair_lan
from system.pair.nodes import Node
from system.pair.traffic import probing, sessions, speaking

from benchmarks.pairs import Figures
from benchmarks.pairs.events import EVERY, RELOADS_A_ROUND, SESSIONS, TIMEOUT, Events, freeze, kill, thaw

CHECK = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 1 socat - TCP:127.0.0.1:8404 | grep -q HTTP"
KEEPALIVED = """
global_defs {{
    router_id {name}
    script_user root
    enable_script_security
}}
vrrp_script haproxy {{
    script "/etc/keepalived/check"
    interval 1
    fall 2
    rise 2
}}
vrrp_instance VI_1 {{
    state {state}
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    unicast_src_ip {own}
    unicast_peer {{
        {peer}
    }}
    virtual_ipaddress {{
        {addresses}
    }}
    track_script {{
        haproxy
    }}
}}
"""


class Plain(Cluster):
    """HAProxy with the same configuration on both; whoever dies is started anew, as systemd does."""

    def start_node(self, node: Node) -> None:
        """All that runs on a node; what runs already stays."""
        number = (self.lb1, self.lb2).index(node)
        values = {"name": node.name, "state": ("MASTER", "BACKUP")[number], "priority": (150, 100)[number]}
        addresses = "\n        ".join(f"{one}/24 dev eth{one.startswith('198'):d}" for one in MOVING)
        own, peer = (LB1, LB2) if number == 0 else (LB2, LB1)
        folder = node.file("/etc/keepalived")
        (folder / "keepalived.conf").write_text(KEEPALIVED.format(**values, addresses=addresses, own=own, peer=peer))
        (folder / "check").write_text(f"#!/bin/sh\n{CHECK}\n")
        (folder / "check").chmod(0o755)
        if not node.pids("haproxy"):
            node.file("/etc/haproxy/haproxy.cfg").write_text(node.run("lbkit render haproxy").stdout)
            node.run(
                "haproxy -W -D -S /run/haproxy-master.sock -f /etc/haproxy/haproxy.cfg -p /run/haproxy/haproxy.pid"
            )
        if not node.pids("keepalived"):
            node.popen("keepalived --dont-fork --log-console", "keepalived", TMPDIR="/run")

    def _is_fit(self, node: Node) -> bool:
        return self.all_up(node)


class PlainEvents(Events):
    """The same, by hand."""

    def failover(self) -> None:
        """As a runbook has it: keepalived is stopped, and started again when the work is done."""
        node = self.pair.master
        with sessions(self.pair.lan.client, *PLAIN, SESSIONS, every=1.0) as live, self.traffic() as probe:
            os.kill(node.pids("keepalived")[0], signal.SIGTERM)
            self.moved(self.pair.lan.other(node))
            sleep(1.0)  # every session says a line
        self.found["outage, planned"].append(probe.outage * 1000)
        self.found["failed, planned"].append(probe.failed)
        self.found["lost, planned"].append(SESSIONS - live.opened + live.broken + live.hung)
        self.pair.start_node(node)
        self.pair.settled(self.home)

    def reloads(self) -> None:
        """HAProxy's own reload, under traffic to the Last Successful VIP."""
        with probing(self.pair.lan.client, *LAST, every=EVERY, timeout=TIMEOUT) as probe:
            for _ in range(RELOADS_A_ROUND):
                sleep(0.5)
                os.kill(self.pair.master.pids("haproxy")[0], signal.SIGUSR2)
            sleep(0.5)
        self.found["reloads"].append(probe.failed + probe.misrouted(probe.calls[0].who))


def run(rounds: int) -> Figures:
    """Everything that is measured of it."""
    with pair_lan() as lan, ExitStack() as ended:
        for machine, name in ((lan.rs1, "rs1"), (lan.rs2, "rs2")):
            ended.enter_context(speaking(machine, name, PLAIN[1], LAST[1], SOURCE[1]))
        pair = Plain(lan)
        pair.start()
        events = PlainEvents(pair, home=pair.lb1)
        for _ in range(rounds):
            events.failover()
            events.outage("killed", kill, pair.start_node)
            events.outage("hung", freeze, thaw)
            events.dies()
            events.reloads()
        return events.found
