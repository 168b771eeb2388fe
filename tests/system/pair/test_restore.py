"""`lbkit backup` and `lbkit restore` on a node of a pair: what comes back, and that it overwrites nothing newer."""

from __future__ import annotations

from pathlib import Path

from interop.agents import eventually
from system.pair.cluster import SITE, Cluster
from system.pair.nodes import Node
from system.pair.test_sync import changed, generation, has

KEPT = "/root/kept.json"


def _alike(pair: Cluster) -> bool:
    return generation(pair.lb1) == generation(pair.lb2)


def test_an_older_site_comes_back_on_one_node_and_goes_to_the_other_with_sync(pair: Cluster) -> None:
    node, peer = pair.lb1, pair.lb2
    pair.settled()
    before = changed(node)
    node.run("lbkit pair sync")
    node.run("lbkit drain PLAIN rs1")
    node.run(f"lbkit backup -o {KEPT}")
    assert node.file(KEPT).stat().st_mode & 0o077 == 0
    node.run("lbkit online PLAIN rs1")
    after = changed(node)
    node.run("lbkit pair sync")
    assert has(node, after)
    master, pids, newest = pair.master, node.pids("keepalived"), generation(node)
    assert before.removeprefix("inter ") in node.run(f"lbkit restore --dry-run {KEPT}").stdout
    assert has(node, after)
    node.run(f"lbkit restore {KEPT}")
    assert has(node, before)
    assert generation(node)[0] > newest[0]
    assert (pair.master, node.pids("keepalived")) == (master, pids)
    assert has(peer, after)
    assert node.run("lbkit pair status", check=False).returncode == 1
    node.run("lbkit pair sync")
    assert has(peer, before)
    assert _alike(pair)
    pair.settled()


def test_a_node_on_a_new_disk_takes_its_old_site_and_overwrites_no_newer_one(pair: Cluster) -> None:
    node, peer = pair.lb1, pair.lb2
    pair.settled()
    before = changed(node)
    node.run("lbkit pair sync")
    node.run(f"lbkit backup -o {KEPT} --force")
    after = changed(peer)
    peer.run("lbkit pair sync")
    pair.crash(node)
    eventually(lambda: peer in pair.masters(), 20)
    _new_disk(node)
    pair.take_off(node)
    pair.lan.plug(node.name)
    pair.start_sshd(node)
    node.run(f"lbkit restore {KEPT}")
    assert has(node, before)
    pair.start_node(node)
    refused = node.run("lbkit pair sync", check=False)
    assert refused.returncode in (3, 4), refused.stderr
    assert has(peer, after)
    peer.run("lbkit pair sync")
    assert has(node, after)
    assert _alike(pair)
    pair.settled()


def _new_disk(node: Node) -> None:
    """Of the site nothing is left; the keys of the pair were kept."""
    gone = f"{SITE} /etc/haproxy/* /etc/haproxy/.lbk* /etc/keepalived/* /etc/keepalived/.lbk* /var/lib/lbkit/*"
    node.run(["sh", "-c", f"rm -rf {gone} /run/haproxy/* /run/lbkit/* /run/*.pid /run/*.sock"])
    assert not Path(node.file(SITE)).exists()
