"""What the kernel's table is to hold, and the steps there: no kernel, no health but what is passed in."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.layer4 import VIP, after, asks, loaded, two
from unit.site_text import server

from lbkit.ipvs.difference import DestinationStep, ServiceStep, steps
from lbkit.ipvs.engine import states
from lbkit.ipvs.table import Destination, SeenDestination, SeenService, Service, Virtual
from lbkit.ipvs.wanted import of_site, table
from lbkit.state.intents import Intent

KEY = Virtual(VIP, 104)
S1, S2 = ("192.0.2.11", 104), ("192.0.2.12", 104)
UP = {("A", "s1"): "up", ("A", "s2"): "up"}


def weights(site, intents=None, health=None, now=None, shares=None):
    found = table(site, intents or {}, UP if health is None else health, now or {}, shares)
    return {place: one.weight for place, one in found[KEY][1].items()}


def has(*destinations: Destination, service: Service | None = None):
    there = {one.place: SeenDestination(one) for one in destinations}
    return {KEY: SeenService(service or Service(KEY), there)}


def test_a_site_as_it_is_written_has_every_real_server_in_with_its_weight():
    servers = (server("s1", "192.0.2.11"), server("s2", "192.0.2.12", weight=7))
    site = loaded(two(servers=servers), two("B", "1230,1231"))
    assert list(of_site(site)) == [KEY, Virtual(VIP, 1230), Virtual(VIP, 1231)]
    assert of_site(site)[KEY][1] == {S1: Destination(*S1, 100), S2: Destination(*S2, 7)}
    assert all(one.forwarding == "direct" for _, there in of_site(site).values() for one in there.values())


@pytest.mark.parametrize(
    ("scheduler", "kernels"), [("least-connections", "wlc"), ("round-robin", "wrr"), ("first", "fo")]
)
def test_a_scheduler_has_the_kernels_name(scheduler, kernels):
    assert of_site(loaded(two(scheduler=scheduler)))[KEY][0].scheduler == kernels


def test_source_ip_keeps_a_client_for_half_an_hour_unless_the_site_says_otherwise():
    assert of_site(loaded(two()))[KEY][0].persistence is None
    assert of_site(loaded(two(persistence={"mode": "source-ip"})))[KEY][0].persistence == 1800
    assert of_site(loaded(two(persistence={"mode": "source-ip", "timeout": "1m"})))[KEY][0].persistence == 60


def test_a_drained_server_stays_with_weight_0_and_a_halted_or_dead_one_is_out():
    site = loaded(two())
    assert weights(site, asks("drain")) == {S1: 0, S2: 100}
    assert weights(site, asks("halt")) == {S2: 100}
    assert weights(site, {}, UP | {("A", "s1"): "down"}) == {S2: 100}
    assert weights(site, asks("drain"), UP | {("A", "s1"): "down"}) == {S2: 100}


def test_an_operators_weight_holds_and_one_of_the_site_is_the_default():
    site = loaded(two())
    assert weights(site, asks("online", weight=30)) == {S1: 30, S2: 100}
    assert weights(site, asks("online", weight=0)) == {S1: 0, S2: 100}


def test_a_server_of_unknown_health_stays_as_the_kernel_has_it():
    site = loaded(two())
    unknown = UP | {("A", "s1"): "unknown"}
    assert weights(site, health=unknown) == {S2: 100}
    assert weights(site, health=unknown, now=has(Destination(*S1, 5))) == {S1: 100, S2: 100}


def test_a_server_that_nobody_watches_is_in():
    assert weights(loaded(two()), health={}) == {S1: 100, S2: 100}


def test_slow_start_gives_a_share_of_the_weight_and_never_none():
    site = loaded(two())
    assert weights(site, shares={("A", "s1"): 0.25}) == {S1: 25, S2: 100}
    assert weights(site, shares={("A", "s1"): 0.0001})[S1] == 1


def test_with_first_the_weights_are_the_order():
    """ip_vs_fo takes the highest weight, and of equal ones the one that was added last."""
    site = loaded(two(scheduler="first"))
    assert weights(site) == {S1: 2, S2: 1}
    assert weights(site, asks("drain")) == {S1: 0, S2: 1}


FALLBACK = {"address": "192.0.2.99", "port": 104}


def test_the_fallback_server_takes_over_when_none_takes_new_clients():
    site = loaded(two(fallback=FALLBACK))
    place = ("192.0.2.99", 104)
    assert place not in weights(site, {}, UP | {("A", "s1"): "down"})
    assert weights(site, asks("drain"), UP | {("A", "s2"): "down"}) == {S1: 0, place: 1}
    assert weights(site, {}, {("A", "s1"): "down", ("A", "s2"): "down"}) == {place: 1}


def test_the_fallback_server_waits_until_the_health_of_all_is_known():
    site = loaded(two(fallback=FALLBACK))
    assert weights(site, {}, {("A", "s1"): "unknown", ("A", "s2"): "down"}) == {}


# --- the steps ---


def test_nothing_is_done_where_nothing_differs():
    site = loaded(two())
    there = after({}, steps({}, of_site(site)))
    assert steps(there, of_site(site)) == []


def test_a_change_of_one_weight_is_one_step():
    site = loaded(two())
    there = after({}, steps({}, of_site(site)))
    assert steps(there, table(site, asks("drain"), UP, there)) == [
        DestinationStep("change", KEY, Destination(*S1, 0), 100)
    ]


def test_a_service_of_somebody_else_stays_and_one_of_ours_that_left_the_site_goes():
    other, ours = Virtual(VIP, 999), Virtual(VIP, 1000)
    there = {key: SeenService(Service(key)) for key in (other, ours)}
    todo = steps(there, {}, [ours, Virtual(VIP, 1001)])
    assert todo == [ServiceStep("remove", Service(ours))]


def test_a_destination_of_somebody_else_in_our_service_goes():
    site = loaded(two())
    there = has(Destination(*S1, 100), Destination(*S2, 100), Destination("192.0.2.66", 104, 9))
    assert [str(step) for step in steps(there, of_site(site))] == [f"removed {KEY} -> 192.0.2.66:104"]


def test_masquerading_in_the_place_of_direct_routing_is_changed_back():
    site = loaded(two())
    there = has(Destination(*S1, 100, "masquerade"), Destination(*S2, 100))
    assert steps(there, of_site(site)) == [DestinationStep("change", KEY, Destination(*S1, 100), 100)]


HEALTHS = st.fixed_dictionaries({("A", one): st.sampled_from(["up", "down", "unknown"]) for one in ("s1", "s2")})
INTENTS = st.dictionaries(
    st.sampled_from([("A", "s1"), ("A", "s2")]), st.sampled_from(["online", "drain", "halt"]), max_size=2
).map(lambda asked: {key: Intent(*key, wanted) for key, wanted in asked.items()})


@given(st.lists(st.tuples(INTENTS, HEALTHS), min_size=1, max_size=4), st.booleans())
def test_any_history_ends_in_what_is_wanted_and_never_empties_a_service_on_the_way(history, has_fallback):
    """The kernel would take each step; where both tables have a server for new clients, so has every one in between."""
    site = loaded(two(**({"fallback": FALLBACK} if has_fallback else {})))
    now = {}
    for intents, health in history:
        wanted = table(site, intents, health, now)
        todo = steps(now, wanted)
        serves = serving(now) and any(one.weight for one in wanted[KEY][1].values())
        for number in range(1, len(todo)):
            assert not serves or serving(after(now, todo[:number])), todo
        now = after(now, todo)
        assert {place: one.destination for place, one in now[KEY].destinations.items()} == wanted[KEY][1]
        assert steps(now, table(site, intents, health, now)) == []


def serving(there) -> bool:
    return KEY in there and any(one.destination.weight for one in there[KEY].destinations.values())


# --- what is seen of it ---


@pytest.mark.parametrize(("asked", "health"), list(product(["online", "drain", "halt"], ["up", "down"])))
def test_what_is_in_force_is_seen_as_it_is_wanted(asked, health):
    site = loaded(two())
    intents, healths = asks(asked), UP | {("A", "s1"): health}
    now = after({}, steps({}, table(site, intents, healths, {})))
    seen = states(site.vips, now, intents, healths)["A"].servers["s1"]
    assert (seen.wanted, seen.health, seen.weight) == (asked, health, 100)


def test_what_differs_is_seen_as_it_is():
    site = loaded(two())
    seen = states(site.vips, has(Destination(*S1, 0), Destination(*S2, 5)), {}, UP)["A"].servers
    assert (seen["s1"].wanted, seen["s1"].weight) == ("drain", 0)
    assert (seen["s2"].wanted, seen["s2"].weight) == ("online", 5)
    gone = states(site.vips, has(), {}, UP)["A"].servers["s1"]
    assert (gone.wanted, gone.health) == ("absent", "up")
    assert states(site.vips, {}, asks("drain"), {("A", "s1"): "down"})["A"].servers["s1"].wanted == "absent"


def test_a_site_weight_of_0_is_online_and_not_drained():
    site = loaded(two(servers=(server("s1", "192.0.2.11", weight=0), server("s2", "192.0.2.12"))))
    now = after({}, steps({}, of_site(site)))
    assert states(site.vips, now, {}, UP)["A"].servers["s1"].wanted == "online"
    assert states(site.vips, now, asks("drain"), UP)["A"].servers["s1"].wanted == "drain"


def test_counts_of_all_ports_are_added_up():
    site = loaded(two("A", "104,105"))
    now = {
        Virtual(VIP, port): SeenService(
            Service(Virtual(VIP, port)),
            {("192.0.2.11", port): SeenDestination(Destination("192.0.2.11", port, 100), 2, 3, 4)},
        )
        for port in (104, 105)
    }
    seen = states(site.vips, now, {}, UP)["A"]
    assert (seen.connections, seen.servers["s1"].connections) == (4, 4)
    assert (seen.servers["s1"].inactive, seen.servers["s1"].kept) == (6, 8)


def test_the_fallback_server_is_seen():
    site = loaded(two(fallback=FALLBACK))
    dead = {("A", "s1"): "down", ("A", "s2"): "down"}
    now = after({}, steps({}, table(site, {}, dead, {})))
    assert states(site.vips, now, {}, dead)["A"].fallback
    assert not states(site.vips, after({}, steps({}, of_site(site))), {}, UP)["A"].fallback
