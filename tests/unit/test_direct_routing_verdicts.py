"""From what was seen on a network to the verdict of direct-routing."""

from __future__ import annotations

import pytest

from lbkit_direct_routing.observed import Asked, Named, Observed, Seen
from lbkit_direct_routing.verdict import judge

ONE, TWO = Named("one", "10.9.0.21"), Named("two", "10.9.0.22")
NODE = Named("b", "10.9.0.2")
ASKED = Asked("10.9.0.10", 104, (ONE, TWO))
MAC_1, MAC_2, MAC_NODE, STRANGER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:0b", "02:00:00:00:00:ff"


def seen(server=ONE, mac=MAC_1, of_vip="accepted", **more):
    return Seen(server, macs=[mac] if mac else [], of_vip=of_vip, **more)


def verdict(*servers, claims=(), held=True, nodes=None, looked_for=False):
    return judge(
        Observed(ASKED, held, looked_for, list(servers), dict.fromkeys(claims, "eth0"), nodes or {}),
    )


@pytest.mark.parametrize(
    ("server", "step", "reason", "says"),
    [
        (seen(of_vip="refused"), "syn", "refused", "nothing listens on 10.9.0.10:104"),
        (seen(of_vip="rejected", icmp=(3, 10)), "syn", "prohibited", "ICMP 3/10, host administratively prohibited"),
        (seen(of_vip="rejected", icmp=(3, 77)), "syn", "prohibited", "ICMP 3/77, destination unreachable"),
        (seen(of_vip="expired", icmp=(11, 0)), "syn", "forwards", "ip_forward"),
        (seen(of_vip="silent", of_rip="accepted"), "syn", "not-on-loopback", "weak host model"),
        (seen(of_vip="silent", of_rip="refused"), "syn", "not-on-loopback", "weak host model"),
        (seen(of_vip="silent", of_rip="silent"), "syn", "silent", "neither 10.9.0.10:104 nor 10.9.0.21:104"),
        (seen(of_vip="silent"), "syn", "silent", "neither"),
        (seen(of_vip="not-asked"), "syn", "timed-out", "Give more with --timeout."),
        (seen(mac=None), "arp", "unreachable", "does not answer ARP for its own address"),
        (seen(mac=None, way="none"), "arp", "unreachable", "no route"),
        (seen(mac=None, way="router", router="10.9.0.254"), "arp", "other-segment", "the router 10.9.0.254"),
    ],
)
def test_each_answer_has_its_reason_its_step_and_a_sentence_that_names_the_server(server, step, reason, says):
    found = verdict(server, seen(TWO, MAC_2))
    assert (found.up, found.step, found.reason) == (False, step, reason)
    assert found.message.startswith("one (10.9.0.21) ")
    assert says in found.message
    assert [row["verdict"] for row in found.details["servers"]] == [reason, "ok"]


def test_several_servers_that_fail_have_a_sentence_each_and_the_first_gives_the_reason():
    found = verdict(seen(of_vip="refused"), seen(TWO, None))
    assert (found.reason, found.step) == ("refused", "syn")
    assert found.message.count("one (10.9.0.21)") == found.message.count("two (10.9.0.22)") == 1


def test_a_server_that_answers_arp_and_refuses_is_told_both():
    found = verdict(seen(of_vip="refused"), claims=[MAC_1])
    assert (found.reason, found.details["servers"][0]["verdict"]) == ("arp-answered", "arp-answered")
    assert "nothing listens on" in found.details["servers"][0]["why"]


def test_a_server_without_label_is_named_by_its_address():
    assert "`lbkit render real-server 10.9.0.21`" in verdict(seen(Named("", "10.9.0.21")), claims=[MAC_1]).message


@pytest.mark.parametrize(
    ("held", "nodes", "claims", "whose", "up"),
    [
        (True, {}, [STRANGER], ["unknown"], False),
        (False, {}, [STRANGER], ["the balancer that holds the VIP"], True),
        (False, {}, [STRANGER, MAC_NODE], ["unknown", "unknown"], False),
        (False, {MAC_NODE: NODE}, [MAC_NODE], ["node b (10.9.0.2)"], True),
        (False, {MAC_NODE: NODE}, [STRANGER, MAC_NODE], ["unknown", "node b (10.9.0.2)"], False),
        (False, {}, [MAC_1, STRANGER], ["real server one (10.9.0.21)", "the balancer that holds the VIP"], False),
    ],
)
def test_who_may_answer_arp_depends_on_who_holds_the_vip(held, nodes, claims, whose, up):
    found = verdict(seen(), held=held, nodes=nodes, claims=claims)
    assert [row["whose"] for row in found.details["arp"]] == whose
    assert found.up is up
    assert found.reason == ("ok" if up else "arp-answered")


def test_both_nodes_that_hold_the_vip_are_a_warning():
    found = verdict(seen(), held=True, nodes={MAC_NODE: NODE}, claims=[MAC_NODE])
    assert (found.up, "is the pair in two parts" in found.details["warnings"][0]) == (True, True)


def test_an_address_that_two_macs_answer_for_is_a_warning():
    double = Seen(ONE, macs=[MAC_1, STRANGER], of_vip="accepted")
    (warning,) = verdict(double).details["warnings"]
    assert warning.startswith(f"{MAC_1} and {STRANGER} both answer ARP for one (10.9.0.21)")


@pytest.mark.parametrize(("looked_for", "claims", "warned"), [(True, [], 1), (True, [MAC_NODE], 0), (False, [], 0)])
def test_a_vip_that_nobody_holds_is_a_warning_where_somebody_should(looked_for, claims, warned):
    found = verdict(seen(), held=False, looked_for=looked_for, claims=claims)
    assert (found.up, len(found.details.get("warnings", ()))) == (True, warned)


def test_a_server_that_is_this_machine_does_not_count():
    found = verdict(seen(mac=None, way="this-machine", of_vip="not-asked"), seen(TWO, MAC_2))
    assert (found.up, found.message[:31]) == (True, "1 real server takes packets for")
