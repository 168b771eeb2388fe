"""The check direct-routing in a network of its own: real servers are the kernel itself, set up right and wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from interop.remotes import program
from system.namespaces import Namespace
from system.segment import (
    BALANCER,
    PEER,
    PORT,
    RIPS,
    VIP,
    Segment,
    Sniffer,
    arp_table,
    firewall,
    mac,
    reach,
    segment,
    serving,
    solve,
)
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.many import Checker
from lbkit.checks.result import Result
from lbkit_direct_routing import course, frames
from lbkit_direct_routing.observed import Asked, Named
from lbkit_direct_routing.wire import Wire, listen

LBKIT = Path(sys.executable).parent / "lbkit"
SERVERS = (f"one={RIPS[0]}", f"two={RIPS[1]}")


@pytest.fixture
def lan(monkeypatch) -> Iterator[Segment]:
    """Both real servers are set up, and serve."""
    monkeypatch.setattr(course, "WINDOW", 0.1)  # no machine here is a second away
    with segment() as made, serving(*made.servers):
        for one in made.servers:
            solve(one)
        yield made


def found(at: Namespace, **params: Any) -> Result:
    """What the check finds there."""
    with at.inside():
        return lbkit.check("direct-routing", f"{VIP}:{PORT}", **{"real_server": SERVERS, **params})


def verdicts(result: Result) -> list[str]:
    return [row["verdict"] for row in result.details["servers"]]


@pytest.fixture
def sniff() -> Iterator[Callable[[Namespace], Sniffer]]:
    with ExitStack() as ended:
        yield lambda machine: ended.enter_context(closing(Sniffer(machine)))


# --- solved ---


def test_two_real_servers_that_are_set_up_are_up(lan):
    result = found(lan.balancer)
    assert (result.status, result.exit_code, verdicts(result)) == ("up", 0, ["ok", "ok"])
    assert result.message == f"2 real servers take packets for {VIP}:{PORT}, and none of them answers ARP for it"
    assert [row["mac"] for row in result.details["servers"]] == [mac(one) for one in lan.servers]
    assert result.details["arp"] == []
    assert list(result.steps) == ["arp", "syn"]


def test_what_is_opened_is_taken_back_and_no_service_sees_it(lan, sniff):
    seen = [sniff(one) for one in lan.servers]
    assert found(lan.balancer).status == "up"
    for one, sniffer in zip(lan.servers, seen, strict=True):
        assert [segment.flags for segment in sniffer.segments()] == [frames.SYN, frames.RST]
        sockets = one.tried("ss", "-Htan").stdout.splitlines()
        assert [line.split()[0] for line in sockets] == ["LISTEN"]


def test_nobody_learns_a_wrong_mac_and_the_client_learns_none(lan):
    everybody = (lan.client, lan.peer, *lan.servers)
    for one in everybody:
        reach(one, BALANCER)
    before = [arp_table(one) for one in everybody]
    assert all(before)
    assert found(lan.balancer).status == "up"
    assert [arp_table(one) for one in everybody] == before


def test_one_syn_a_second_is_sent_at_most(lan, sniff, monkeypatch):
    monkeypatch.undo()
    seen = [sniff(one) for one in lan.servers]
    result = found(lan.balancer)
    assert [len(sniffer.segments()) for sniffer in seen] == [2, 2]
    assert result.steps["arp"] >= 1
    assert result.steps["syn"] >= 1  # the second server waits for its turn; the last answer ends the check


def test_the_vip_may_be_on_another_segment_than_the_real_servers_and_strangers_are_found_there_too(lan):
    lan.balancer.run(f"ip addr del {VIP}/32 dev eth0", "ip link add clients type bridge forward_delay 0")
    lan.balancer.run("ip link set clients up", f"ip addr add {VIP}/32 dev clients")
    result = found(lan.balancer)
    assert (result.exit_code, result.details["arp"]) == (0, [])
    lan.balancer.run(f"ip link add port type veth peer name eth1 netns {lan.client.file}")
    lan.balancer.run("ip link set port master clients up")
    lan.client.set("ipv4/conf/all/arp_ignore", "1")  # on eth1 alone
    lan.client.run("ip link set eth1 up", f"ip addr add {VIP}/32 dev eth1")
    result = found(lan.balancer)
    assert [(row["interface"], row["whose"]) for row in result.details["arp"]] == [("clients", "unknown")]


def test_the_interface_can_be_given(lan):
    assert found(lan.balancer, interface="eth0").exit_code == 0


# --- the ARP problem unsolved ---


@pytest.mark.parametrize("unsolved", [(0,), (1,), (0, 1)], ids=["the first", "the second", "both"])
def test_a_real_server_that_answers_arp_for_the_vip_is_named(lan, unsolved):
    for number in unsolved:
        lan.servers[number].set("ipv4/conf/all/arp_ignore", "0")
    result = found(lan.balancer)
    assert (result.status, result.step, result.reason) == ("down", "arp", "arp-answered")
    assert verdicts(result) == ["arp-answered" if number in unsolved else "ok" for number in (0, 1)]
    owners = {(row["mac"], row["whose"]) for row in result.details["arp"]}
    assert owners == {
        (mac(lan.servers[number]), f"real server {('one', 'two')[number]} ({RIPS[number]})") for number in unsolved
    }
    for number in unsolved:
        assert f"`lbkit render real-server {('one', 'two')[number]}` prints what it needs." in result.message


def test_a_machine_that_is_no_real_server_and_answers_is_named_by_its_mac(lan):
    lan.client.run(f"ip addr add {VIP}/32 dev eth0")
    result = found(lan.balancer)
    assert (result.status, result.step, result.reason, verdicts(result)) == (
        "down",
        "arp",
        "arp-answered",
        ["ok", "ok"],
    )
    assert result.message.startswith(f"{mac(lan.client)} on eth0 answers ARP for {VIP} too")
    assert result.details["arp"] == [{"mac": mac(lan.client), "interface": "eth0", "whose": "unknown"}]


def test_the_other_node_that_answers_too_is_a_warning(lan):
    lan.peer.run(f"ip addr add {VIP}/32 dev eth0")
    result = found(lan.balancer, node=(f"a={BALANCER}", f"b={PEER}"))
    assert (result.status, result.exit_code) == ("up", 1)
    (warning,) = result.details["warnings"]
    assert warning.startswith(f"the other node, b ({PEER}), answers ARP for {VIP} too")


# --- a real server that does not take packets for the VIP ---


def of_the_second(lan: Segment, **params: Any) -> tuple[str, str]:
    """Verdict and sentence on it; the first is as it should be."""
    result = found(lan.balancer, **params)
    first, second = result.details["servers"]
    assert (result.status, first["verdict"]) == ("down", "ok")
    assert result.reason == second["verdict"]
    assert result.message == second["why"]
    return second["verdict"], second["why"]


def test_without_the_vip_on_its_loopback_it_is_silent(lan):
    lan.servers[1].run(f"ip addr del {VIP}/32 dev lo")
    verdict, why = of_the_second(lan)
    assert verdict == "not-on-loopback"
    assert why == (
        f"two ({RIPS[1]}) answers on its own address and is silent on {VIP}:{PORT}: the VIP is not on its loopback, or its "
        "weak host model is not set (Windows), or its firewall drops packets for the VIP. `lbkit render real-server two` "
        "prints what it needs."
    )


def test_one_that_passes_packets_on_is_told_from_one_that_drops_them_and_nothing_comes_of_it(lan, sniff):
    lan.servers[1].run(f"ip addr del {VIP}/32 dev lo")
    lan.servers[1].set("ipv4/ip_forward", "1")
    elsewhere = [sniff(lan.client), sniff(lan.peer)]
    verdict, why = of_the_second(lan)
    assert verdict == "forwards"
    assert "passes packets for 10.9.0.10 on instead of taking them" in why
    assert [sniffer.segments() for sniffer in elsewhere] == [[], []]


def test_where_nothing_listens_the_address_is_taken_and_the_port_refused(lan):
    firewall(lan.servers[1], f"ip daddr {VIP} tcp dport {PORT} reject with tcp reset")
    verdict, why = of_the_second(lan)
    assert (verdict, f"nothing listens on {VIP}:{PORT}" in why) == ("refused", True)


def test_a_service_that_has_ended_is_refused(monkeypatch):
    monkeypatch.setattr(course, "WINDOW", 0.3)
    with segment() as lan, serving(lan.servers[0]):
        for one in lan.servers:
            solve(one)
        assert of_the_second(lan)[0] == "refused"


def test_a_firewall_that_drops_for_the_vip_looks_like_an_address_that_is_not_there(lan):
    firewall(lan.servers[1], f"ip daddr {VIP} drop")
    assert of_the_second(lan)[0] == "not-on-loopback"


def test_a_firewall_that_drops_for_all_addresses_is_silent(lan):
    firewall(lan.servers[1], f"tcp dport {PORT} drop")
    verdict, why = of_the_second(lan)
    assert verdict == "silent"
    assert f"neither {VIP}:{PORT} nor {RIPS[1]}:{PORT}" in why


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("admin-prohibited", "ICMP 3/13, administratively prohibited"),
        ("port-unreachable", "ICMP 3/3, port unreachable"),
    ],
)
def test_a_firewall_that_rejects_is_told_by_what_it_says(lan, how, says):
    firewall(lan.servers[1], f"ip daddr {VIP} tcp dport {PORT} reject with icmp type {how}")
    verdict, why = of_the_second(lan)
    assert (verdict, says in why) == ("prohibited", True)


def test_a_real_server_that_is_off_does_not_answer_arp(lan):
    lan.servers[1].run("ip link set eth0 down")
    verdict, why = of_the_second(lan)
    assert (verdict, "does not answer ARP for its own address" in why) == ("unreachable", True)


def test_a_real_server_behind_a_router_can_not_be_reached_by_direct_routing(lan):
    lan.balancer.run(f"ip route add 10.8.0.0/24 via {PEER}")
    verdict, why = of_the_second(lan, real_server=(SERVERS[0], "two=10.8.0.22"))
    assert verdict == "other-segment"
    assert f"the router {PEER}, not in the same segment as the balancer: direct routing can't work (guide 7.1)" in why


def test_a_real_server_without_a_route_is_unreachable(lan):
    verdict, why = of_the_second(lan, real_server=(SERVERS[0], "10.8.0.22"))
    assert (verdict, "no route to it" in why) == ("unreachable", True)


def test_a_real_server_whose_turn_does_not_come_in_time_is_said_so(lan):
    asked = Asked(VIP, PORT, (Named("one", RIPS[0]), Named("two", RIPS[1])))
    with lan.balancer.inside():
        observed = course.observe(asked, monotonic() + 0.25, {}, lambda: False)
    assert [seen.of_vip for seen in observed.servers] == ["accepted", "not-asked"]


# --- the node that does not hold the VIP ---


def test_the_passive_node_finds_the_same_and_the_active_one_gets_no_packet_of_it(lan, sniff):
    active = sniff(lan.balancer)
    result = found(lan.peer)
    assert (result.status, result.exit_code) == ("up", 0)
    assert [row["whose"] for row in result.details["arp"]] == ["the balancer that holds the VIP"]
    assert active.segments() == []


def test_the_passive_node_tells_a_real_server_that_answers_arp_from_the_active_node(lan):
    lan.servers[0].set("ipv4/conf/all/arp_ignore", "0")
    result = found(lan.peer)
    assert verdicts(result) == ["arp-answered", "ok"]
    assert {row["whose"] for row in result.details["arp"]} == {
        "the balancer that holds the VIP",
        f"real server one ({RIPS[0]})",
    }


def test_a_passive_node_that_has_the_vip_on_loopback_takes_the_active_one_for_its_holder(lan):
    solve(lan.peer)
    result = found(lan.peer, node=(f"a={BALANCER}", f"b={PEER}"))
    assert (result.status, result.exit_code) == ("up", 0)
    assert [row["whose"] for row in result.details["arp"]] == [f"node a ({BALANCER})"]


def test_a_vip_that_nobody_holds_is_a_warning(lan):
    lan.balancer.run(f"ip addr del {VIP}/32 dev eth0")
    result = found(lan.peer)
    assert (result.status, result.exit_code) == ("up", 1)
    assert result.details["warnings"] == [f"nobody answers ARP for {VIP}: no balancer holds it now"]


# --- what the machine lets us do ---


def test_without_the_right_to_send_frames_it_can_not_be_run(lan):
    words = ("direct-routing", VIP, "--real-server", RIPS[0])
    ran = without_the_right(lan.balancer, "check", *words)
    assert ran.returncode == 3
    assert "needs CAP_NET_RAW. Run it as root." in ran.stderr


def without_the_right(at: Namespace, *words: str) -> subprocess.CompletedProcess[str]:
    drop = (program("setpriv", "util-linux"), "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    return at.tried(*drop, str(LBKIT), *words)


def test_a_balancer_whose_only_address_there_is_the_vip_says_what_it_lacks(lan):
    lan.balancer.run(f"ip addr del {BALANCER}/24 dev eth0", "ip route add 10.9.0.0/24 dev eth0")
    with pytest.raises(lbkit.CannotRun, match=f"eth0 has no address but the VIP {VIP}"):
        found(lan.balancer)


def test_an_interface_that_is_not_there_is_named(lan):
    with pytest.raises(lbkit.CannotRun, match=r"this machine has no interface 'eth7'\. There are: lo, eth0"):
        found(lan.balancer, interface="eth7")


def test_a_real_server_that_is_this_machine_is_not_testable_and_no_failure(lan):
    result = found(lan.balancer, real_server=(BALANCER, SERVERS[1]))
    assert (result.status, verdicts(result)) == ("up", ["not-testable-here", "ok"])


def test_an_answer_that_came_in_time_counts_though_this_process_was_held_up(lan):
    with lan.balancer.inside(), closing(Wire("eth0")) as wire:
        for rip in RIPS:
            wire.send(frames.who_has(rip, wire.mac, BALANCER))
        sleep(0.2)
        heard = [frame for _, frame in listen([wire], monotonic() - 0.1, lambda: False)]
    assert [(frame.address, frame.mac) for frame in heard] == [
        (rip, mac(one)) for rip, one in zip(RIPS, lan.servers, strict=True)
    ]


# --- among other checks ---


@pytest.fixture
def site_file(tmp_path) -> str:
    servers = [server("one", RIPS[0]), server("two", RIPS[1])]
    (tmp_path / "site.toml").write_text(site(vip("DICOM", f"{VIP}:{PORT}", *servers, mode="l4-dr")))
    return str(tmp_path / "site.toml")


def test_check_site_runs_it_for_a_layer_4_vip(lan, site_file):
    ran = lan.balancer.tried(str(LBKIT), "check", "site", "--site", site_file, "--json")
    rows = [(one["check"], one["server"], one["status"]) for one in json.loads(ran.stdout)["checks"]]
    assert (ran.returncode, ran.stderr) == (0, "")
    assert rows == [
        ("connect", None, "not-testable"),
        ("direct-routing", None, "up"),
        ("connect", "one", "up"),
        ("connect", "two", "up"),
    ]


def test_check_site_without_the_right_leaves_it_out_quietly(lan, site_file):
    ran = without_the_right(lan.balancer, "check", "site", "--site", site_file)
    assert (ran.returncode, "direct-routing" in ran.stdout) == (0, False)
    shown = without_the_right(lan.balancer, "check", "site", "--site", site_file, "-v").stdout
    assert f"not testable  DICOM direct-routing  {VIP}:{PORT}" in shown
    assert "direct-routing sends frames of its own, which needs CAP_NET_RAW" in shown


def test_the_real_servers_of_a_label_come_from_the_site_file(lan, site_file):
    with lan.balancer.inside():
        result = lbkit.check("direct-routing", "DICOM", site_file=site_file)
    assert (result.status, result.target) == ("up", f"{VIP}:{PORT}")
    assert [row["server"] for row in result.details["servers"]] == ["one", "two"]


def test_one_that_is_abandoned_ends_at_once_and_takes_back_what_it_opened(lan, sniff, monkeypatch):
    monkeypatch.setattr(course, "WINDOW", 1.0)
    firewall(lan.servers[0], f"tcp dport {PORT} drop")
    seen = sniff(lan.servers[0])

    async def begin() -> None:
        check = lbkit.Registry().kind("direct-routing").prepare({"real_server": SERVERS})
        async with Checker() as checker:
            checker.start(check, check.target(f"{VIP}:{PORT}"))
            await asyncio.sleep(1.1)  # the first SYN is out, and waits for another 0.9 s

    with lan.balancer.inside():
        asyncio.run(begin())
    sleep(0.5)
    assert [one.flags for one in seen.segments()] == [frames.SYN, frames.RST]
