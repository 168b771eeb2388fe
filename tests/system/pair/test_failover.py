"""Planned failover and failback of a real pair under load: what they cost, what is refused, what is left when one breaks."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from interop.agents import eventually
from system.pair.cluster import LAST, PLAIN, SOURCE, Cluster, cluster
from system.pair.nodes import Node
from system.pair.traffic import probing, sessions

_PATIENCE = 0.9  # seconds: the machine may be busy; a packet that is lost comes again after one
_ENDS_WITHIN = 30.0
_RULE = "nft list tables"
_ROUTES = "ip route show table local proto 186"


@pytest.fixture(scope="module")
def running_fast() -> Iterator[Cluster]:
    """At adverts of 0.2 s."""
    with cluster(advert_interval="200ms") as made:
        yield made


@pytest.fixture
def fast(running_fast: Cluster) -> Iterator[Cluster]:
    running_fast.restore()
    yield running_fast
    print(running_fast.logs())


def _done(node: Node, command: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node.run(f"lbkit {command} --json").stdout)
    return found


def _clean(node: Node) -> bool:
    """Nothing of a switch is left on it."""
    return "second_chance" not in node.run(_RULE).stdout and not node.run(_ROUTES).stdout.strip()


def _there_and_back(pair: Cluster) -> tuple[dict[str, Any], dict[str, Any]]:
    """Nothing is lost by either; each is typed on another node."""
    client = pair.lan.client
    old = pair.settled()
    new = pair.lan.other(old)
    sources = [f"192.0.2.{one}" for one in range(110, 118)]
    client.run(*(f"ip address replace {one}/24 dev eth0" for one in sources))
    with (
        probing(client, *PLAIN, timeout=_PATIENCE) as probe,
        probing(client, *SOURCE, every=0.02, timeout=_PATIENCE, sources=sources) as by_source,
        sessions(client, *LAST, 100) as live,
    ):
        there = _done(old, f"failover --to {new.name}")
        pair.settled(new)
        with sessions(client, *LAST, 20) as later:
            back = _done(old, "failback" if old.name == "lb1" else "failover --to lb2")
        pair.settled(old)
    assert (probe.failed, by_source.failed) == (0, 0), (probe.reasons, by_source.reasons)
    assert (live.opened, live.broken, live.hung) == (100, 0, 0)
    assert (later.opened, later.broken, later.hung) == (20, 0, 0)
    assert all(len(servers) == 1 for servers in by_source.by_source.values())
    assert there["kept"] >= 100
    assert back["kept"] >= 20
    print(there, back, len(probe.calls))
    return there, back


def test_a_failover_and_a_failback_lose_nothing(pair: Cluster) -> None:
    there, back = _there_and_back(pair)
    assert max(there["took_ms"], back["took_ms"]) < 6000
    assert max(there["nobody_ms"], back["nobody_ms"]) < 200


def test_at_faster_adverts_neither(fast: Cluster) -> None:
    there, back = _there_and_back(fast)
    assert max(there["took_ms"], back["took_ms"]) < 3000


def test_last_successful_stays_where_it_is(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    for node in pair.lan.nodes:
        node.run("lbkit pin LAST rs2", check=False)
    with probing(pair.lan.client, *LAST, timeout=_PATIENCE) as probe:
        _done(new, f"failover --to {new.name}")
    assert (probe.failed, probe.misrouted("rs2")) == (0, 0), (probe.reasons, probe.servers)
    for node in pair.lan.nodes:
        node.run("lbkit pin LAST rs1", check=False)


def test_with_cut_all_sessions_end_at_once_and_new_ones_go_on(fast: Cluster) -> None:
    old = fast.settled()
    new = fast.lan.other(old)
    with probing(fast.lan.client, *PLAIN, timeout=_PATIENCE) as probe, sessions(fast.lan.client, *LAST, 50) as live:
        moved = _done(old, f"failover --to {new.name} --sessions cut")
        time.sleep(1)
    assert probe.outage < 0.3, probe.reasons
    assert (live.broken, live.hung) == (50, 0)
    assert moved["cut"] >= 50
    assert _clean(old)
    assert _clean(new)


def test_sessions_that_outlive_the_drain_are_ended_on_both_sides(fast: Cluster) -> None:
    old = fast.settled()
    new = fast.lan.other(old)
    with sessions(fast.lan.client, *LAST, 20, patience=30) as live:
        assert _done(old, f"failover --to {new.name} --drain-timeout 3s")["kept"] == 20
        assert not _clean(new)
        eventually(lambda: _clean(new) and _clean(old), _ENDS_WITHIN)
        assert "rs1" not in fast.haproxy(old, "show sess")
    assert (live.broken, live.hung) == (20, 0)


def test_when_no_session_is_left_it_is_over(fast: Cluster) -> None:
    old = fast.settled()
    new = fast.lan.other(old)
    with sessions(fast.lan.client, *LAST, 5) as live:
        _done(old, f"failover --to {new.name}")
    assert (live.broken, live.hung) == (0, 0)
    eventually(lambda: _clean(new) and _clean(old), _ENDS_WITHIN)


def test_an_old_node_that_dies_leaves_a_reset_and_no_silence(fast: Cluster) -> None:
    old = fast.settled()
    new = fast.lan.other(old)
    with sessions(fast.lan.client, *LAST, 20, patience=30) as live:
        _done(old, f"failover --to {new.name}")
        fast.lan.unplug(old.name)
        eventually(lambda: _clean(new), _ENDS_WITHIN)
        time.sleep(1)  # a packet of each that is waiting comes again
    assert (live.broken, live.hung) == (20, 0)
    fast.haproxy(old, "shutdown sessions server LAST/rs1")  # it has not heard that they are over


def test_without_an_agent_the_rule_ends_by_itself(fast: Cluster) -> None:
    old = fast.settled()
    new = fast.lan.other(old)
    with sessions(fast.lan.client, *LAST, 20, patience=30) as live:
        _done(old, f"failover --to {new.name} --drain-timeout 15s")
        new.kill("agent", signal.SIGKILL)
        time.sleep(6)
    assert (live.broken, live.hung) == (20, 0)
    fast.start_node(new)
    eventually(lambda: _clean(new) and _clean(old), _ENDS_WITHIN)


def test_a_peer_that_can_not_take_over_is_refused(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    new.kill("agent", signal.SIGKILL)
    ran = old.run("lbkit failover", check=False)
    assert (ran.returncode, "agent" in ran.stderr) == (4, True), ran.stderr
    pair.start_node(new)
    new.kill("haproxy", signal.SIGKILL)
    ran = old.run("lbkit failover", check=False)
    assert (ran.returncode, "HAProxy" in ran.stderr) == (4, True), ran.stderr
    new.kill("sshd", signal.SIGKILL)
    ran = old.run("lbkit failover", check=False)
    assert (ran.returncode, "--force" in ran.stderr) == (4, True), ran.stderr
    assert pair.masters() == [old]


def test_by_force_vrrp_alone_moves_the_vips(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    new.kill("sshd", signal.SIGKILL)
    with probing(pair.lan.client, *PLAIN, timeout=_PATIENCE) as probe:
        ran = old.run("lbkit failover --force --json", check=False)
    assert ran.returncode == 1, ran.stderr
    assert json.loads(ran.stdout)["unconfirmed"]
    pair.settled(new)
    assert probe.outage < 0.5, probe.reasons
    assert "1" in old.file("/var/lib/lbkit/maintenance").read_text()


def test_a_node_that_does_not_take_them_leaves_all_as_it_was(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    new.kill("keepalived", signal.SIGSTOP)
    with probing(pair.lan.client, *PLAIN, timeout=_PATIENCE) as probe, sessions(pair.lan.client, *LAST, 10) as live:
        ran = old.run("lbkit failover --force", check=False)
    new.kill("keepalived", signal.SIGCONT)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "as it was" in ran.stderr
    assert (probe.failed, live.broken, live.hung) == (0, 0, 0)
    assert [node.file("/var/lib/lbkit/prefer").read_text().strip() for node in pair.lan.nodes] == ["0", "0"]
    assert _clean(old)
    assert _clean(new)


def test_maintenance_moves_the_vips_and_ending_it_leaves_them_there(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    with probing(pair.lan.client, *PLAIN, timeout=_PATIENCE) as probe:
        begun = _done(old, "pair maintenance on --reason kernel")
        pair.settled(new)
        assert (begun["changed"], begun["moved"]["to"]) == (True, new.name)
        ran = new.run("lbkit failover", check=False)
        assert (ran.returncode, "maintenance" in ran.stderr) == (4, True), ran.stderr
        assert _done(new, f"pair maintenance off {old.name}")["changed"]
        time.sleep(4)
        pair.settled(new)
    assert probe.failed == 0, probe.reasons


def test_a_dry_run_says_what_would_be_and_touches_nothing(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    said = new.run(f"lbkit failover --to {new.name} --dry-run").stdout
    assert "192.0.2.50" in said
    assert "LAST: 0 open sessions" in said
    pair.settled(old)
    assert "has the VIPs already" in new.run(f"lbkit failover --to {old.name}").stdout


def test_ctrl_c_in_the_middle_is_said_and_leaves_one_master(pair: Cluster) -> None:
    old = pair.settled()
    new = pair.lan.other(old)
    with sessions(pair.lan.client, *LAST, 10, patience=30) as live:
        running = old.popen("lbkit failover", "failover")
        eventually(lambda: "is preferred" in old.log("failover"), _ENDS_WITHIN)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        master = pair.settled()
    assert (live.broken, live.hung) == (0, 0)
    assert ("Nothing has moved" if master is old else "have moved") in old.log("failover")
    if master is old:
        assert "1" not in new.file("/var/lib/lbkit/prefer").read_text()
        assert _clean(new)
