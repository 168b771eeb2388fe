"""What a pair tells a real mail server: one mail for each incident and one for its end, whichever node is master then.

And by SNMP, both nodes to a real manager: each its own role; the one that has the VIPs what happens, once.
"""

from __future__ import annotations

import mailbox
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.agents import eventually
from interop.remotes import program
from system.namespaces import Namespace
from system.pair.cluster import Cluster, cluster
from system.pair.lan import CLIENT, LB1, LB2
from system.pair.nodes import Node

from lbkit.snmp.oids import EVENT_NODE, NODE_NAME, NODE_PEER, NODE_ROLE, dotted, notification

PORT = 2525
GATHER = 2.0  # seconds; HAProxy is looked at each second, and sees one VIP's check fail before another's
_WITHIN = 30.0
_WAITED_WITHIN = 60.0  # it is tried again after 10 s and more
_NO_MORE = 2.5 * GATHER  # seconds in which a mail too many would have come
ALERTS = {
    "sender": "lb@hospital.example",
    "to": ["alerts@hospital.example"],
    "smart_host": CLIENT,
    "smart_host_port": PORT,
    "gather": f"{GATHER:g}s",
}
TRAP_PORT = 1162
COMMUNITY = "aCommunity"
MASTER, BACKUP, REACHABLE = "2", "3", "2"
SNMP = {
    "addresses": [LB1, LB2],
    "v2c": True,
    "managers": [f"{CLIENT}/32"],
    "traps": [{"address": CLIENT, "port": TRAP_PORT}],
}


@contextmanager
def receiving(machine: Namespace, folder: Path) -> Iterator[None]:
    """A mail server there, that puts what it gets into a Maildir."""
    words = ["-m", "aiosmtpd", "-n", "-l", f"{CLIENT}:{PORT}", "-c", "aiosmtpd.handlers.Mailbox", str(folder)]
    with machine.inside():
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def running_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    secret = tmp_path_factory.mktemp("snmp") / "community"
    secret.write_text(f"{COMMUNITY}\n")
    program("snmpd", "snmpd")
    with cluster(tables={"alerts": ALERTS, "snmp": SNMP | {"community_file": str(secret)}}) as made:
        yield made


@pytest.fixture(scope="module")
def inbox(running_pair: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[mailbox.Maildir]:
    """The first mail of all, that a node has become master, has waited for the mail server."""
    folder = tmp_path_factory.mktemp("inbox") / "mail"
    with receiving(running_pair.lan.client, folder):
        found = mailbox.Maildir(folder)
        eventually(lambda: any("FAILOVER" in one for one in subjects(found)), _WAITED_WITHIN)
        yield found


@pytest.fixture
def mails(pair: Cluster, inbox: mailbox.Maildir) -> mailbox.Maildir:
    """What comes from now on."""
    pair.settled()
    time.sleep(_NO_MORE)
    inbox.clear()
    return inbox


def subjects(mails: mailbox.Maildir) -> list[str]:
    """In no order."""
    return [str(one["Subject"]) for one in mails]


def downs(pair: Cluster, node: Node) -> int:
    """How many real servers a node has seen go down."""
    said = pair.agent(node)
    return said.counters.get("server-down", 0) if said else 0


def test_a_real_server_of_three_vips_that_dies_and_comes_back_is_two_mails(
    pair: Cluster, mails: mailbox.Maildir
) -> None:
    pair.lan.link_down("rs1")
    eventually(lambda: len(mails) == 1, _WITHIN)
    time.sleep(_NO_MORE)
    assert len(mails) == 1, subjects(mails)
    (down,) = mails
    assert "DOWN" in str(down["Subject"])
    body = down.get_payload()
    assert all(label in body for label in ("PLAIN", "LAST", "SOURCE")), body
    pair.lan.link_up("rs1")
    eventually(lambda: len(mails) == 2, _WITHIN)
    time.sleep(_NO_MORE)
    assert len(mails) == 2, subjects(mails)
    assert sum("UP again" in one for one in subjects(mails)) == 1


def test_the_node_that_takes_over_tells_the_end(pair: Cluster, mails: mailbox.Maildir) -> None:
    master = pair.settled()
    other = pair.lan.other(master)
    before = downs(pair, other)
    pair.lan.link_down("rs1")
    eventually(lambda: len(mails) == 1, _WITHIN)
    eventually(lambda: downs(pair, other) == before + 3, _WITHIN)
    time.sleep(GATHER + 1)  # then it takes it for told
    pair.crash(master)
    eventually(lambda: pair.masters() == [other] or len(pair.masters()) == 2, _WITHIN)
    pair.lan.link_up("rs1")
    eventually(lambda: any("UP again" in one for one in subjects(mails)), _WITHIN)
    pair.boot(master)
    pair.settled()
    time.sleep(_NO_MORE)
    told = subjects(mails)
    assert sum("UP again" in one and "rs1" in one for one in told) == 1, told
    assert sum("FAILOVER" in one for one in told) == 1, told
    assert sum("rs1" in one for one in told) == 2, told


# --- SNMP ---


@pytest.fixture
def heard(pair: Cluster, tmp_path: Path) -> Iterator[Path]:
    """What the client's snmptrapd has taken, one line each."""
    (tmp_path / "conf").write_text(f"authCommunity log {COMMUNITY}\n")
    (tmp_path / "cert_indexes").mkdir()
    (tmp_path / "log").touch()
    words = ["-f", "-C", "-c", tmp_path / "conf", "-Lf", tmp_path / "log", "-Onq", "-F", "heard %v\n", "-x", ""]
    with pair.lan.client.inside():
        process = subprocess.Popen(
            [program("snmptrapd", "snmptrapd"), *words, f"udp:{CLIENT}:{TRAP_PORT}"],
            env=os.environ | {"MIBS": "", "SNMP_PERSISTENT_DIR": str(tmp_path)},
        )
    try:
        eventually(lambda: "NET-SNMP version" in (tmp_path / "log").read_text())
        yield tmp_path / "log"
    finally:
        process.terminate()
        process.wait(10)


def said(pair: Cluster, address: str) -> tuple[str, ...]:
    """Name, role and peer, as the client reads them."""
    names = [dotted(one) for one in (NODE_NAME, NODE_ROLE, NODE_PEER)]
    ran = pair.lan.client.tried("snmpget", "-v2c", "-c", COMMUNITY, "-Oqv", "-t", "3", address, *names)
    return tuple(line.strip('"') for line in ran.stdout.splitlines())


def told(heard: Path) -> list[str]:
    failover = f"{dotted(notification('failover'))}\t"
    return [line for line in heard.read_text().splitlines() if line.startswith("heard ") and failover in line]


def roles(pair: Cluster, master: Node, backup: Node) -> None:
    """Both say theirs, and that they see the other one."""
    for node, role in ((master, MASTER), (backup, BACKUP)):
        address = LB1 if node is pair.lb1 else LB2
        wanted = (node.name, role, REACHABLE)
        eventually(lambda at=address, found=wanted: said(pair, at) == found, _WITHIN)


def test_both_say_their_role_before_and_after_a_failover_that_the_new_master_tells_once(
    pair: Cluster, mails: mailbox.Maildir, heard: Path
) -> None:
    before = pair.settled()
    after = pair.lan.other(before)
    roles(pair, before, after)
    before.run("lbkit failover")
    roles(pair, after, before)
    eventually(lambda: told(heard), _WITHIN)
    time.sleep(1)  # one too many would have come
    traps = told(heard)
    assert [f'{dotted(EVENT_NODE)} "{after.name}"' in one for one in traps] == [True], traps
