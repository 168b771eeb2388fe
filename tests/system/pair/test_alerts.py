"""Mail from a pair, to a real mail server: one for each incident and one for its end, whichever node is master then."""

from __future__ import annotations

import mailbox
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.agents import eventually
from system.namespaces import Namespace
from system.pair.cluster import Cluster, cluster
from system.pair.lan import CLIENT

PORT = 2525
GATHER = 1.0
_WITHIN = 30.0
_WAITED_WITHIN = 60.0  # it is tried again after 10 s and more
_NO_MORE = 4 * GATHER  # seconds in which a mail too many would have come
ALERTS = {
    "sender": "lb@hospital.example",
    "to": ["alerts@hospital.example"],
    "smart_host": CLIENT,
    "smart_host_port": PORT,
    "gather": f"{GATHER:g}s",
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
def running_pair() -> Iterator[Cluster]:
    with cluster(tables={"alerts": ALERTS}) as made:
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
    pair.lan.link_down("rs1")
    eventually(lambda: len(mails) == 1, _WITHIN)
    pair.crash(master)
    eventually(lambda: pair.masters() == [pair.lan.other(master)] or len(pair.masters()) == 2, _WITHIN)
    pair.lan.link_up("rs1")
    eventually(lambda: any("UP again" in one for one in subjects(mails)), _WITHIN)
    pair.boot(master)
    pair.settled()
    time.sleep(_NO_MORE)
    told = subjects(mails)
    assert sum("UP again" in one and "rs1" in one for one in told) == 1, told
    assert sum("FAILOVER" in one for one in told) == 1, told
