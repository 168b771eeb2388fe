"""The agent as its node's watchman: whatever dies or hangs, one node serves, and somebody says what is wrong."""

import os
import signal
import time

import pytest
from interop.agents import eventually
from system.pair.cluster import FLOATING, LAST, MOVING, PLAIN, cluster
from system.pair.traffic import probing

SECONDS = 1.0  # of traffic before and after


def tracked(node):
    folder = node.file("/run/lbkit/vrrp")
    return {name for name in FILES if (folder / name).exists() and (folder / name).read_text().strip() == "1"}


FILES = ("haproxy_down", "servers_down", "holder", "fault")


def seen(pair, node):
    """What the agent of a node says of the pair; None: it does not answer now."""
    state = pair.agent(node)
    return state and state.pair


def troubles(pair, node):
    state = pair.agent(node)
    return state.trouble if state else ""


def stop(node, name, number=signal.SIGSTOP):
    for pid in node.pids(name):
        os.kill(pid, number)


@pytest.fixture(scope="module")
def running_pair():
    """Adverts of less than 1 s: there is much to wait for."""
    with cluster(advert_interval="500ms") as made:
        yield made


@pytest.fixture
def both(pair):
    """The master and the backup, each with the other's word that it can serve."""
    master = pair.master
    backup = pair.lan.other(master)
    eventually(lambda: (found := seen(pair, backup)) and found.peer.can_serve and found.role == "backup")
    eventually(lambda: (found := seen(pair, master)) and found.peer.can_serve and found.role == "master")
    return master, backup


def test_each_agent_knows_its_role_its_addresses_and_the_other_node(pair, both):
    master, backup = both
    found = eventually(lambda: (one := seen(pair, master)).peer.tables_age is not None and one)
    assert (found.node, found.keepalived, found.haproxy, found.can_serve) == (master.name, "running", "up", True)
    assert found.held == MOVING
    assert {name for name, value in found.tracked.items() if value} == {"holder"} == tracked(master)
    assert found.peer.role == "backup"
    assert (found.peer.answer_age, found.peer.trouble) < (3.0, "x")
    found = seen(pair, backup)
    assert (found.role, found.held, found.peer.role, found.split_brain) == ("backup", (), "master", "")
    assert found.peer.advert_age < 2.0
    assert tracked(backup) == set()
    assert troubles(pair, master) == troubles(pair, backup) == ""
    said = backup.run("lbkit agent --status").stdout
    assert f"node {backup.name} is backup" in said
    assert "the other node is master, can serve" in said


def test_a_killed_haproxy_gives_the_addresses_up_at_once_and_comes_back_as_backup(pair, both):
    master, backup = both
    with probing(pair.lan.client, *PLAIN) as probe:
        time.sleep(SECONDS)
        for pid in master.pids("haproxy"):
            os.kill(pid, signal.SIGKILL)
        time.sleep(SECONDS)
    assert probe.outage < 0.5
    assert pair.master is backup
    assert tracked(master) == {"fault", "haproxy_down", "servers_down"}
    assert "HAProxy is dead" in troubles(pair, master)
    pair.start_node(master)
    eventually(lambda: not tracked(master))
    assert pair.settled() is backup


def test_a_haproxy_that_hangs_gives_the_addresses_up_within_a_second(pair, both):
    master, backup = both
    with probing(pair.lan.client, *PLAIN) as probe:
        time.sleep(SECONDS)
        stop(master, "haproxy")
        eventually(lambda: pair.masters() == [backup])
        time.sleep(SECONDS)
    assert probe.outage < 2.0
    assert "HAProxy is hung" in troubles(pair, master)
    stop(master, "haproxy", signal.SIGCONT)
    eventually(lambda: not tracked(master))
    assert pair.settled() is backup


def test_no_node_is_at_fault_for_long_when_both_haproxies_are_dead(pair, both):
    for node in both:
        for pid in node.pids("haproxy"):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: all({"haproxy_down"} <= tracked(node) and "fault" not in tracked(node) for node in both))
    eventually(lambda: len(pair.masters()) == 1)
    for node in both:
        pair.start_node(node)
    pair.settled()
    eventually(lambda: not any(tracked(node) - {"holder"} for node in both))


def test_a_node_that_sees_no_server_up_leaves_the_addresses_to_the_one_that_does(pair, both):
    master, backup = both
    for rip in ("192.0.2.21", "192.0.2.22"):
        master.run(f"ip route add blackhole {rip}")
    eventually(lambda: pair.masters() == [backup])
    assert "servers_down" in tracked(master)
    assert "no real server is up" in troubles(pair, master)
    for rip in ("192.0.2.21", "192.0.2.22"):
        master.run(f"ip route del blackhole {rip}")
    eventually(lambda: not tracked(master))
    assert pair.settled() is backup


@pytest.mark.parametrize("which", ["parent", "child", "both"])
def test_whatever_of_keepalived_is_killed_one_node_has_the_addresses(pair, both, which):
    master, backup = both
    parent, *children = sorted(master.pids("keepalived"))
    with probing(pair.lan.client, *LAST) as probe:
        time.sleep(0.3)
        for pid in {"parent": [parent], "child": children, "both": [parent, *children]}[which]:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)  # a child that was killed has a successor, which begins without addresses
        eventually(lambda: pair.masters() in ([backup], [master] if which == "child" else [backup]))
        time.sleep(SECONDS)
    assert probe.outage < 5.0
    if which == "both":
        assert pair.master is backup
        eventually(lambda: "taken off this node" in master.log("agent"))
        eventually(lambda: "keepalived is dead" in troubles(pair, master))
    pair.start_node(master)
    pair.settled()


def test_a_frozen_keepalived_loses_the_addresses_once_the_other_node_has_them_and_is_ended(pair, both):
    master, backup = both
    before = set(master.pids("keepalived"))
    with probing(pair.lan.client, *LAST) as probe:
        time.sleep(0.3)
        stop(master, "keepalived")
        eventually(lambda: "keepalived is frozen" in troubles(pair, master), 5.0)
        eventually(lambda: pair.masters() == [backup])
        time.sleep(SECONDS)
    assert probe.outage < 1.5
    eventually(lambda: not before & set(master.pids("keepalived")))
    assert seen(pair, master).role == "unknown"
    assert tracked(master) == set()
    pair.start_node(master)
    assert pair.settled() is backup


def test_an_agent_that_is_killed_and_started_moves_nothing(pair, both):
    master, _ = both
    with probing(pair.lan.client, *LAST) as probe:
        for pid in master.pids("agent"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not master.pids("agent"))
        assert tracked(master) == {"holder"}
        master.popen("lbkit agent", "agent")
        eventually(lambda: (found := seen(pair, master)) and found.role == "master")
        time.sleep(SECONDS)
    assert probe.failed == 0
    assert pair.settled() is master
    assert tracked(master) == {"holder"}
    assert "keepalived is told" not in master.log("agent").rpartition("the agent answers HAProxy")[2]


def test_two_nodes_that_are_cut_off_from_each_other_are_one_pair_again_when_the_cable_is_back(pair, both):
    pair.lan.cut_between_nodes()
    eventually(lambda: len(pair.masters()) == 2)
    for node in both:
        eventually(lambda node=node: both[1 - both.index(node)].name in troubles(pair, node), 8.0)
    pair.lan.heal_between_nodes()
    eventually(lambda: len(pair.masters()) == 1, 10.0)
    pair.settled()
    eventually(lambda: all(troubles(pair, node) == "" for node in both))
    assert len(pair.masters()) == 1


def test_a_split_brain_is_seen_and_the_lesser_node_steps_aside_until_adverts_pass_again(pair, both):
    pair.lan.drop_vrrp()
    eventually(lambda: len(pair.masters()) == 2)
    begun = time.monotonic()
    eventually(lambda: any("split" in node.log("agent").lower() for node in both), 10.0)
    assert time.monotonic() - begun < 5.0
    eventually(lambda: len(pair.masters()) == 1)
    winner = pair.master
    loser = pair.lan.other(winner)
    assert "fault" in tracked(loser)
    assert "steps aside" in troubles(pair, loser)
    time.sleep(3 * SECONDS)
    assert pair.masters() == [winner]
    pair.lan.pass_vrrp()
    eventually(lambda: "fault" not in tracked(loser))
    assert pair.settled() is winner


def test_the_one_that_stepped_aside_serves_when_the_other_one_dies(pair, both):
    pair.lan.drop_vrrp()
    eventually(lambda: any("fault" in tracked(node) for node in both))
    loser = next(node for node in both if "fault" in tracked(node))
    pair.crash(pair.lan.other(loser))
    eventually(lambda: loser.addresses() >= {*MOVING})
    pair.lan.pass_vrrp()
    pair.boot(pair.lan.other(loser))
    pair.settled()


def test_a_dead_passive_node_is_reported(pair, both):
    master, backup = both
    pair.crash(backup)
    begun = time.monotonic()
    eventually(lambda: backup.name in troubles(pair, master), 10.0)
    assert time.monotonic() - begun < 8.0
    assert FLOATING in seen(pair, master).held
    pair.boot(backup)
    pair.settled()
    eventually(lambda: troubles(pair, master) == "")


def test_a_reload_and_a_site_that_is_read_anew_make_no_node_less_fit(pair, both):
    """The new worker has not checked its servers yet; they are as the old one left them."""
    slow = pair.site.replace('"300ms"', '"4s"')
    assert slow != pair.site
    pair.write(slow)
    try:
        for node in both:
            node.run("lbkit apply")
        pair.settled()
        for node in both:
            node.run("lbkit reload")
            node.run("lbkit apply")
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                assert "servers_down" not in tracked(node)
                time.sleep(0.02)
            assert "is told: servers_down 1" not in node.log("agent").rpartition("read anew")[2]
        assert pair.master == both[0]
    finally:
        pair.write(pair.site)
        for node in both:
            node.run("lbkit apply")
