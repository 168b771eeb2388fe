"""`lbkit apply` and keepalived, on both nodes of a pair."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from interop.agents import eventually
from system.pair.cluster import MOVING, SITE, Cluster, cluster
from system.pair.nodes import Node

CONFIGURATION = "/etc/keepalived/keepalived.conf"
FIRST, THIRD, OTHER = MOVING[0], MOVING[2], "192.0.2.59"
_LOOK = """
import dataclasses, json
from lbkit import load_site
from lbkit.pair import addresses, vrrp
site = load_site("/etc/lbkit/site.toml")
print(json.dumps({**dataclasses.asdict(vrrp.look(site)), "held": addresses.held(site)}))
"""


@pytest.fixture(scope="module")
def running_pair() -> Iterator[Cluster]:
    with cluster(advert_interval="200ms") as made:
        yield made


def look(node: Node) -> dict[str, Any]:
    """What `vrrp.look` and `addresses.held` say there."""
    seen: dict[str, Any] = json.loads(node.run(["python3", "-c", _LOOK]).stdout)
    return seen


def tell(node: Node, **files: int) -> None:
    """Write tracked files; those that are not named become 0."""
    for name in ("haproxy_down", "servers_down", "maintenance", "prefer", "holder", "fault"):
        folder = "/var/lib/lbkit" if name in ("maintenance", "prefer") else "/run/lbkit/vrrp"
        node.file(f"{folder}/{name}").write_text(f"{files.get(name, 0)}\n")


@pytest.fixture
def alone(pair: Cluster) -> Iterator[Cluster]:
    """A pair whose agents stand still, so that nobody but the test tells keepalived anything."""
    for node in pair.lan.nodes:
        node.kill("agent", signal.SIGSTOP)
    yield pair
    for node in pair.lan.nodes:
        tell(node)
        node.kill("agent", signal.SIGCONT)


@pytest.fixture
def site_again(pair: Cluster) -> Iterator[Cluster]:
    """The site as it was, on both nodes, after a test that changed it."""
    yield pair
    pair.write(pair.site)
    for node in pair.lan.nodes:
        node.run("lbkit apply")


def test_the_master_holds_every_address_that_moves_and_says_so(pair):
    master = pair.master
    seen = look(master)
    assert (seen["state"], seen["role"], seen["base"]) == ("running", "master", 245 if master.name == "lb1" else 244)
    assert set(seen["addresses"]) == set(seen["held"]) == set(MOVING)
    seen = look(pair.lan.other(master))
    assert (seen["state"], seen["role"]) == ("running", "backup")
    assert (seen["addresses"], seen["held"]) == ([], [])
    assert set(seen["knows"]) == set(MOVING)


def test_where_nothing_differs_keepalived_is_not_touched(pair):
    before = look(pair.master)
    assert "keepalived: nothing differs, and it was not touched" in pair.master.run("lbkit apply").stdout
    assert look(pair.master) == before
    assert pair.master.run("lbkit diff --only keepalived").stdout == ""


def test_other_addresses_come_and_go_with_a_reload_and_the_master_stays_master(pair, site_again):
    """Also the first of all, and while the other node still has the old ones: neither takes the other for a stranger."""
    master = pair.master
    before = look(master)
    master.file(SITE).write_text(pair.site.replace(FIRST, OTHER))
    said = master.run("lbkit apply").stdout
    assert "keepalived reloaded" in said
    assert "keepalived is master" in said
    assert master.addresses() & {FIRST, OTHER} == {OTHER}
    after = look(master)
    assert (after["pid"], after["became_master"]) == (before["pid"], before["became_master"])
    backup = pair.lan.other(master)
    assert look(backup)["role"] == "backup"
    backup.file(SITE).write_text(pair.site.replace(FIRST, OTHER))
    assert "keepalived is backup" in backup.run("lbkit apply").stdout
    assert pair.masters() == [master]


def test_a_file_that_keepalived_refuses_leaves_everything_as_it_is(pair, site_again):
    node = pair.master
    before, text = look(node), node.file(CONFIGURATION).read_bytes()
    node.file(SITE).write_text(pair.site.replace('"eth1"', '"eth9"').replace(THIRD, OTHER))
    ran = node.run("lbkit apply", check=False)
    assert ran.returncode == 2
    assert "keepalived refuses keepalived.conf: line " in ran.stderr
    assert "eth9" in ran.stderr
    node.file(SITE).write_text(pair.site)
    assert look(node) == before
    assert node.file(CONFIGURATION).read_bytes() == text
    assert OTHER not in node.file("/etc/haproxy/haproxy.cfg").read_text()


_FALLS = """#!/bin/sh
case "$*" in *--config-test*) exec keepalived "$@" ;; esac
grep -q 192.0.2.59 /etc/keepalived/keepalived.conf && exit 1
exec keepalived "$@"
"""


def test_where_keepalived_does_not_start_with_a_file_it_runs_with_the_old_one_again(pair, site_again):
    node = pair.lan.other(pair.master)
    text = node.file(CONFIGURATION).read_bytes()
    node.kill("keepalived")
    node.file("/root/falls").write_text(_FALLS)
    node.file("/root/falls").chmod(0o755)
    node.file(SITE).write_text(pair.site.replace(THIRD, OTHER))
    ran = node.run("env LBKIT_KEEPALIVED=/root/falls lbkit apply --only keepalived", check=False)
    assert ran.returncode == 2
    assert "keepalived does not start" in ran.stderr
    assert "Rolled back" in ran.stderr
    assert node.file(CONFIGURATION).read_bytes() == text
    assert look(node)["state"] == "running"


def test_a_pid_file_that_is_left_over_keeps_nobody_from_starting_it(pair):
    node = pair.lan.other(pair.master)
    node.kill("keepalived")
    assert look(node)["state"] == "dead"
    (other, *_) = node.pids("sshd")
    for name in ("keepalived.pid", "lbkit/vrrp/vrrp.pid"):
        node.file(f"/run/{name}").write_text(f"{other}\n")
    assert look(node)["state"] == "dead"
    assert "keepalived started as a daemon" in node.run("lbkit apply").stdout
    assert look(node)["state"] == "running"


def test_a_frozen_keepalived_is_seen_and_given_nothing(alone, site_again):
    node = alone.lan.other(alone.master)
    node.kill("keepalived", signal.SIGSTOP)
    try:
        assert look(node)["state"] == "frozen"
        node.file(SITE).write_text(alone.site.replace(THIRD, OTHER))
        ran = node.run("lbkit apply", check=False)
    finally:
        node.kill("keepalived", signal.SIGCONT)
    assert ran.returncode == 2
    assert "does nothing" in ran.stderr
    assert OTHER not in node.file("/etc/haproxy/haproxy.cfg").read_text()


def test_what_haproxy_needs_of_the_kernel_is_shown_set_and_read_back(pair):
    node = pair.lan.other(pair.master)
    node.space.set("ipv4/ip_nonlocal_bind", "0")
    shown = node.run("lbkit diff --only keepalived", check=False)
    assert shown.returncode == 1
    assert "ip_nonlocal_bind: changed, 1 line in, 1 out" in shown.stdout
    assert "net.ipv4.ip_nonlocal_bind = 1" in node.run("lbkit apply").stdout
    assert node.run("sysctl -n net.ipv4.ip_nonlocal_bind").stdout.strip() == "1"


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ({}, {}, "lb1"),
        ({}, {"holder": 1}, "lb2"),
        ({"prefer": 1}, {"holder": 1}, "lb1"),
        ({"prefer": 1, "holder": 1, "maintenance": 1}, {}, "lb2"),
        ({"servers_down": 1}, {"maintenance": 1}, "lb2"),
        ({"haproxy_down": 1, "prefer": 1}, {"servers_down": 1, "maintenance": 1}, "lb2"),
        ({"holder": 1, "fault": 1}, {"haproxy_down": 1, "servers_down": 1, "maintenance": 1}, "lb2"),
    ],
)
def test_the_node_that_is_meant_to_win_wins(first, second, winner, alone):
    """A few of those in tests/unit/test_pair_priorities.py, by keepalived's own arithmetic."""
    nodes = dict(zip(("lb1", "lb2"), alone.lan.nodes, strict=True))
    tell(nodes["lb1"], **first)
    tell(nodes["lb2"], **second)
    eventually(lambda: [node.name for node in alone.masters()] == [winner], 10.0)
    assert look(nodes[winner])["role"] == "master"


def test_without_an_agent_a_haproxy_that_hangs_costs_the_vips(alone):
    master = alone.master
    master.kill("haproxy", signal.SIGSTOP)
    try:
        eventually(lambda: alone.masters() == [alone.lan.other(master)], 15.0)
    finally:
        master.kill("haproxy", signal.SIGCONT)


def test_a_site_that_has_no_pair_any_more_takes_its_addresses_off_the_node(pair, site_again):
    node = pair.lan.other(pair.master)
    node.file(SITE).write_text(pair.site.partition("[pair")[0])
    ran = node.run("lbkit apply")
    assert "keepalived stopped" in ran.stdout
    assert "the site has no pair any more" in ran.stderr
    assert node.pids("keepalived") == []
    assert not node.file(CONFIGURATION).exists()
    assert "keepalived" not in node.run("lbkit apply").stdout
