"""The page of metrics: by Prometheus' rules, and true to what the agent knows."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from unit.site_text import server, vip
from unit.told_figures import DOWN, PAIR, UP, everything, of, site_of

from lbkit.metrics.failures import MOST, Failures
from lbkit.metrics.page import METRICS, page
from lbkit.state.intents import Intent
from lbkit.state.observed import VipState
from lbkit.state.pair import PeerSeen


def read(figures):
    """{(metric, labels): value}, as Prometheus' own library reads the page; no series may come twice."""
    found = {}
    for family in text_string_to_metric_families("".join(page(figures))):
        for sample in family.samples:
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in found
            found[series] = sample.value
    return found


def value(figures, metric, **labels):
    """Of one series, None where there is none."""
    return read(figures).get((metric, frozenset(labels.items())))


def which(figures, metric, label, **labels):
    """Of a set of states, the one that is set; the others are there, and are not."""
    values = {dict(named)[label]: one for (name, named), one in read(figures).items() if name == metric
              and labels.items() <= dict(named).items()}  # fmt: skip
    assert len(values) > 2
    (found,) = [state for state, one in values.items() if one == 1]
    assert sum(values.values()) == 1
    return found


@pytest.fixture
def full(tmp_path):
    return everything(tmp_path)


# --- form ---


def test_every_metric_has_its_samples_and_is_announced_once_before_them(full):
    text = "".join(page(full))
    for kind in ("HELP", "TYPE"):
        assert re.findall(rf"^# {kind} (\w+) ", text, re.M) == [metric.name for metric in METRICS]
    assert {family.name for family in text_string_to_metric_families(text) if not family.samples} == set()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_the_rules_of_prometheus(metric):
    # https://prometheus.io/docs/practices/naming, as `promtool check metrics` looks at them
    assert re.fullmatch(r"lbkit(_[a-z0-9]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(gauge|counter|ms|millis\w*|minutes|hours|days|percent|kilo\w*)(_|$)", metric.name)
    assert not {"seconds", "bytes"} & set(metric.name.removesuffix("_total").split("_")[:-1])  # a unit stands last
    assert metric.meaning.endswith((".", ")"))
    assert "\n" not in metric.meaning


def test_nothing_that_somebody_said_comes_in(full):
    assert "SAID" not in "".join(page(full))


def test_a_label_is_read_back_as_it_is(full):
    odd = 'a"b\\c\nd'
    figures = replace(full, state=replace(full.state, receivers={odd: "", odd + "2": "x"}))
    assert (value(figures, "lbkit_receiver_trouble", receiver=odd)) == 0
    assert (value(figures, "lbkit_receiver_trouble", receiver=odd + "2")) == 1


def test_the_page_comes_in_small_pieces_of_whole_lines(full):
    many = {f"r{number}": "" for number in range(1000)}
    parts = list(page(replace(full, state=replace(full.state, receivers=many))))
    assert max(part.count("\n") for part in parts) <= 66
    assert all(part.endswith("\n") for part in parts if part)
    assert "".join(parts).count("# TYPE lbkit_receiver_trouble ") == 1


def test_the_number_of_series_goes_with_the_places_of_the_site(tmp_path):
    def series(servers):
        few = [server(f"s{number}", f"192.0.2.{number + 11}") for number in range(servers)]
        loaded = site_of(tmp_path, vip("V", "192.0.2.1:104", *few, mode="l4-dr"))
        return len(read(of(loaded, {"V": VipState({one["label"]: UP for one in few})})))

    assert series(30) - series(20) == series(20) - series(10)


# --- the node ---


def test_of_the_node_it_says_what_the_agent_says(full):
    found = read(full)
    expected = {
        ("lbkit_build_info", "version", "0.1.0"): 1,
        ("lbkit_events_total", "kind", "server-down"): 2,
        ("lbkit_events_total", "kind", "failover"): 0,  # so that the first is seen as an increase
        ("lbkit_receiver_trouble", "receiver", "mail"): 0,
        ("lbkit_receiver_trouble", "receiver", "traps"): 1,
    }
    for (metric, label, name), wanted in expected.items():
        assert found[metric, frozenset({(label, name)})] == wanted
    for metric, wanted in (
        ("lbkit_agent_lag_seconds", 0.0015),
        ("lbkit_agent_trouble", 1),
        ("lbkit_reconcile_duration_seconds", 0.002),
    ):
        assert found[metric, frozenset()] == wanted
    assert value(full, "lbkit_certificate_expiry_timestamp_seconds", kind="certificate", name="own") == 1_800_000_000
    assert value(full, "lbkit_check_failures_total", vip="FOUR", server="b", reason="refused") == 5


def test_of_a_check_it_says_how_long_each_step_took_and_what_failed(full):
    up, down = {"vip": "FOUR", "server": "a"}, {"vip": "FOUR", "server": "b"}
    up |= {"check": "c-echo", "target": "192.0.2.11:104"}
    down |= {"check": "c-echo", "target": "192.0.2.12:104"}
    assert [value(full, "lbkit_check_up", **one) for one in (up, down)] == [1, 0]
    assert value(full, "lbkit_check_duration_seconds", **up) == 0.25
    assert value(full, "lbkit_check_step_duration_seconds", step="echo", **up) == 0.0625
    assert value(full, "lbkit_check_failure", step="connect", reason="refused", **down) == 1


def with_pair(full, pair):
    return replace(full, state=replace(full.state, pair=pair))


def test_of_the_pair_it_says_who_is_what(full):
    assert which(full, "lbkit_pair_role", "role", node="lb1") == "master"
    assert which(full, "lbkit_pair_peer_role", "role", node="lb2") == "backup"
    assert value(full, "lbkit_pair_peer_role", node="lb1", role="master") is None
    assert value(full, "lbkit_pair_peer_reachable") == 1
    assert value(full, "lbkit_pair_split_brain") == 0
    assert value(full, "lbkit_pair_can_serve") == 1


def test_of_a_pair_that_is_in_trouble_it_says_so(full):
    lost = PeerSeen(answer_age=90.0, role="backup", trouble="no route")
    figures = with_pair(full, replace(PAIR, role="fault", can_serve=False, split_brain="both", peer=lost))
    assert which(figures, "lbkit_pair_role", "role", node="lb1") == "fault"
    assert which(figures, "lbkit_pair_peer_role", "role", node="lb2") == "unknown"
    assert value(figures, "lbkit_pair_peer_reachable") == 0
    assert value(figures, "lbkit_pair_split_brain") == 1
    assert value(figures, "lbkit_pair_can_serve") == 0


@pytest.mark.parametrize(("advert_age", "role"), [(0.4, "master"), (30.0, "unknown"), (None, "unknown")])
def test_a_peer_whose_agent_is_silent_is_master_while_its_adverts_are_heard(full, advert_age, role):
    silent = PeerSeen(advert_age=advert_age, answer_age=90.0, role="backup", trouble="no route")
    assert which(with_pair(full, replace(PAIR, peer=silent)), "lbkit_pair_peer_role", "role", node="lb2") == role


def test_a_peer_that_was_never_heard_is_not_reached(full):
    assert value(with_pair(full, replace(PAIR, peer=PeerSeen())), "lbkit_pair_peer_reachable") == 0


def test_a_node_without_a_pair_says_nothing_of_one(full):
    assert "lbkit_pair" not in "".join(page(with_pair(full, None)))


# --- VIPs and real servers ---


@pytest.fixture
def two(tmp_path):
    """Figures of a layer-7 VIP with real servers a and b in these states; None: HAProxy says nothing of it."""
    both = server("a", "192.0.2.11:80"), server("b", "192.0.2.12:80")
    loaded = site_of(tmp_path, vip("V", "192.0.2.1:80", *both))

    def make(a, b, unseen="", **more):
        servers = {label: one for label, one in (("a", a), ("b", b)) if one is not None}
        seen = {"V": VipState(servers, 9, unseen=unseen)} if servers else {}
        return of(loaded, {}, seen, **more)

    return make


HALTED = UP._replace(wanted="halt", health="unknown")


@pytest.mark.parametrize(
    ("a", "b", "is_"),
    [
        (UP, UP, "whole"),
        (UP, DOWN, "degraded"),
        (UP, HALTED, "degraded"),
        (UP._replace(health="unknown"), UP, "whole"),  # it is in until a check fails
        (UP, UP._replace(weight=0), "degraded"),
        (UP, None, "degraded"),
        (DOWN, HALTED, "down"),
        (None, None, "unknown"),
    ],
)
def test_a_vip_is_what_its_real_servers_make_of_it(two, a, b, is_):
    assert which(two(a, b), "lbkit_vip_state", "state", vip="V") == is_


def test_a_vip_whose_engine_can_not_be_looked_at_is_unknown_and_has_no_figures(two):
    figures = two(UP, UP, unseen="it hangs")
    assert which(figures, "lbkit_vip_state", "state", vip="V") == "unknown"
    assert value(figures, "lbkit_vip_connections", vip="V") is None
    assert value(figures, "lbkit_drift", vip="V") is None
    assert value(figures, "lbkit_server_effective_weight", vip="V", server="a") is None
    assert value(figures, "lbkit_server_connections", vip="V", server="a") is None
    assert value(figures, "lbkit_vip_servers_up", vip="V") == 2  # by the agent's own checks
    assert which(figures, "lbkit_server_health", "health", vip="V", server="a") == "up"


def test_how_many_are_up_is_about_health_alone(two):
    figures = two(UP._replace(wanted="drain"), DOWN)
    assert value(figures, "lbkit_vip_servers", vip="V") == 2
    assert value(figures, "lbkit_vip_servers_up", vip="V") == 1
    assert value(figures, "lbkit_vip_connections", vip="V") == 9


def test_health_and_intent_are_two_things(two):
    asked = Intent("V", "a", "drain", when=5.0)
    figures = two(DOWN, UP, intents={("V", "a"): asked})
    assert which(figures, "lbkit_server_health", "health", vip="V", server="a") == "down"
    assert which(figures, "lbkit_server_intent", "intent", vip="V", server="a") == "drain"
    assert which(figures, "lbkit_server_intent", "intent", vip="V", server="b") == "online"
    assert value(figures, "lbkit_intent_timestamp_seconds", vip="V", server="a") == 5
    assert value(figures, "lbkit_intent_timestamp_seconds", vip="V", server="b") is None


@pytest.mark.parametrize(("intent", "is_told"), [({"weight": 50}, True), ({}, False)])
def test_an_intent_is_forgotten_only_if_it_asks_for_something(two, intent, is_told):
    figures = two(UP, UP, intents={("V", "a"): Intent("V", "a", "online", when=5.0, **intent)})
    assert (value(figures, "lbkit_intent_timestamp_seconds", vip="V", server="a") is not None) == is_told


@pytest.mark.parametrize(
    ("state", "weight"),
    [(UP, 100), (UP._replace(share=0.25), 25), (DOWN, 0), (UP._replace(wanted="drain"), 0), (HALTED, 0), (None, None)],
)
def test_the_effective_weight_is_what_new_clients_meet(two, state, weight):
    assert value(two(state, UP), "lbkit_server_effective_weight", vip="V", server="a") == weight


@pytest.mark.parametrize(
    ("state", "intent", "drift"),
    [
        (UP, None, 0),
        (DOWN, None, 0),
        (UP._replace(wanted="drain"), None, 1),
        (UP._replace(wanted="drain"), {"wanted": "drain"}, 0),
        (UP, {"wanted": "halt"}, 1),
        (UP, {"wanted": "online", "weight": 50}, 1),
        (UP._replace(weight=50), {"wanted": "online", "weight": 50}, 0),
        (UP._replace(weight=50), None, 1),
        (None, None, 1),
    ],
)
def test_drift_is_what_the_engine_has_otherwise_than_is_wanted(two, state, intent, drift):
    intents = {("V", "a"): Intent("V", "a", **intent)} if intent else {}
    assert value(two(state, UP, intents=intents), "lbkit_drift", vip="V") == drift


def test_entries_are_those_of_haproxy_and_on_layer_4_the_clients_that_are_kept(full):
    assert value(full, "lbkit_table_entries", vip="SEVEN") == 1
    assert value(full, "lbkit_table_entries", vip="FOUR") == 4
    assert value(replace(full, entries={}), "lbkit_table_entries", vip="SEVEN") is None


# --- what is counted ---


def test_of_each_place_the_first_reasons_are_counted_and_what_comes_later_together():
    failures = Failures()
    for number in range(MOST + 3):
        failures.add(("V", "a"), f"reason-{number}")
    failures.add(("V", "a"), "reason-0")
    failures.add(("V", "b"), "late")
    counts = failures.all()
    assert counts["V", "a"] == {**{f"reason-{n}": 1 for n in range(MOST)}, "reason-0": 2, "other": 3}
    assert counts["V", "b"] == {"late": 1}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20).map(str)), max_size=80))
def test_no_count_is_lost_none_falls_and_there_are_never_many(added):
    failures, before = Failures(), {}
    for number, (place, reason) in enumerate(added, 1):
        failures.add(("V", place), reason)
        now = {(key, name): count for key, counts in failures.all().items() for name, count in counts.items()}
        assert sum(now.values()) == number
        assert all(now[one] >= count for one, count in before.items())
        before = now
    assert all(len(counts) <= MOST + 1 for counts in failures.all().values())


def test_places_that_are_gone_are_forgotten():
    failures = Failures()
    failures.add(("V", "a"), "refused")
    failures.add(("V", "b"), "refused")
    failures.keep({("V", "b")})
    assert failures.all() == {("V", "b"): {"refused": 1}}
