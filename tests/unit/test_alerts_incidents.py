import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.mail_site import A, B, down, event, mail_site, up

from lbkit.alerts import incidents as module
from lbkit.alerts.incidents import Incidents
from lbkit.alerts.recipients import Routes

GATHER = 10.0
T = 1_000_000.0
TO_OPS = ("ops@hospital.example",)


class Told:
    """Incidents with a clock, and all that was due: what, when, and the subjects of it."""

    def __init__(self, site):
        self.routes = Routes(site, site.alerts)
        self.incidents = Incidents(GATHER, self.routes)
        self.due = []
        self.active = True

    def at(self, seconds, *events):
        """All that is due until then, one second after the other."""
        for one in self.incidents.take(events, T + seconds, self.active):
            self.due.append((one.what, seconds, sorted(incident.subject for incident in one.incidents), one.route.to))
        return self

    def each_second(self, start, stop):
        for second in range(start, stop):
            self.at(second)
        return self

    @property
    def said(self):
        return [(what, second, subjects) for what, second, subjects, _ in self.due]


@pytest.fixture
def told(tmp_path):
    return Told(mail_site(tmp_path))


def test_a_real_server_that_dies_in_two_vips_is_one_mail_at_its_death_and_one_at_its_return(told):
    told.at(0, down("WEB", "a1", T), down("DICOM", "a1", T)).each_second(1, 100)
    told.at(100, up("DICOM", "a1", T + 100)).at(103, up("WEB", "a1", T + 103)).each_second(104, 200)
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("end", 113, [f"server-down {A}"])]


def test_what_changes_within_the_window_is_one_mail(told):
    told.at(0, down("WEB", "a1", T)).at(9, down("WEB", "b1", T + 9, B), event("vip-down", T + 9, vip="WEB"))
    told.each_second(10, 60)
    assert told.said == [("begin", 10, [f"server-down {A}", f"server-down {B}", "vip-down WEB"])]


def test_what_was_back_by_the_end_of_the_window_makes_no_mail(told):
    told.at(0, down("WEB", "a1", T)).at(4, up("WEB", "a1", T + 4)).each_second(5, 60)
    assert told.said == []
    assert told.incidents.next == float("inf")


def test_what_comes_and_goes_stays_one_incident(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 20)
    for second in range(20, 60, 8):
        told.at(second, up("WEB", "a1", T + second)).at(second + 4, down("WEB", "a1", T + second + 4))
    told.at(70, up("WEB", "a1", T + 70)).each_second(71, 100)
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("end", 80, [f"server-down {A}"])]


def test_a_place_that_joins_what_was_told_is_silent_and_holds_up_the_end(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 30).at(30, down("DICOM", "a1", T + 30)).each_second(31, 60)
    told.at(60, up("WEB", "a1", T + 60)).each_second(61, 90).at(90, up("DICOM", "a1", T + 90)).each_second(91, 120)
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("end", 100, [f"server-down {A}"])]


def test_a_vip_that_is_down_by_a_place_that_joins_is_told(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 30)
    told.at(30, down("DICOM", "a1", T + 30), event("vip-down", T + 30, vip="DICOM")).each_second(31, 60)
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("begin", 40, ["vip-down DICOM"])]


@pytest.mark.parametrize("kind", ["vip-degraded", "vip-recovered"])
def test_a_vip_is_back_when_somebody_serves_it(told, kind):
    told.at(0, event("vip-down", T, vip="WEB")).each_second(1, 50).at(50, event(kind, T + 50, vip="WEB"))
    told.each_second(51, 90)
    assert told.said == [("begin", 10, ["vip-down WEB"]), ("end", 60, ["vip-down WEB"])]


def test_ends_that_follow_each_other_wait_for_each_other_at_most_as_long_again(told):
    addresses = [f"192.0.2.{number}" for number in range(50, 60)]
    told.at(0, *(down("WEB", f"s{number}", T, address) for number, address in enumerate(addresses))).at(30)
    for number, address in enumerate(addresses):
        for second in range(100 + 4 * number, 104 + 4 * number):
            told.at(second, *([up("WEB", f"s{number}", T + second, address)] if second == 100 + 4 * number else []))
    told.each_second(140, 200)
    ends = [(second, len(subjects)) for what, second, subjects in told.said if what == "end"]
    assert ends == [(120, 3), (132, 3), (144, 3), (146, 1)]


@pytest.mark.parametrize(("begin", "end"), [("peer-lost", "peer-found"), ("split-brain", "split-brain-ended")])
def test_what_happens_to_the_pair_begins_and_ends(told, begin, end):
    told.at(0, event(begin, T)).each_second(1, 20).at(20, event(end, T + 20)).each_second(21, 50)
    assert [(what, second) for what, second, _ in told.said] == [("begin", 10), ("end", 30)]


def test_drift_that_is_repaired_at_once_makes_no_mail_and_of_two_engines_each_has_its_own(told):
    ipvs, haproxy = {"engine": "IPVS"}, {"engine": "HAProxy"}
    told.at(0, event("drift-found", T, details=ipvs), event("drift-found", T, details=haproxy))
    told.at(1, event("drift-repaired", T + 1, details=ipvs)).each_second(2, 30)
    assert told.said == [("begin", 10, ["drift-found HAProxy"])]


@pytest.mark.parametrize("kind", ["failover", "configuration-rolled-back", "certificate-expiring", "events-lost"])
def test_what_has_no_end_is_told_once_and_forgotten_even_if_it_comes_again_after_a_crash(told, kind):
    one = event(kind, T)
    told.at(0, one).each_second(1, 20).at(20, one, event(kind, T + 20)).each_second(21, 60)
    assert [(what, second, len(subjects)) for what, second, subjects in told.said] == [
        ("begin", 10, 1),
        ("begin", 30, 1),
    ]
    assert told.incidents.as_dict()["incidents"] == []


def test_a_test_is_told_at_once_to_everybody_once(tmp_path):
    told = Told(mail_site(tmp_path, pair={"to": ["network@hospital.example"]}))
    one = event("test", T)
    told.at(0, one).at(1, one)
    assert [(what, second, to) for what, second, _, to in told.due] == [
        ("test", 0, TO_OPS),
        ("test", 0, ("network@hospital.example",)),
    ]


@pytest.mark.parametrize(
    "kind", ["intent-set", "maintenance-begun", "table-cleared", "reloaded", "configuration-applied", "vip-degraded"]
)
def test_what_operators_do_and_a_vip_that_only_lacks_a_real_server_make_no_mail(told, kind):
    told.at(0, event(kind, T, vip="WEB", server="a1")).each_second(1, 30)
    assert told.said == []


def test_the_passive_node_tells_nothing_and_counts_it_as_told(told):
    told.active = False
    told.at(0, down("WEB", "a1", T), event("failover", T), event("test", T)).each_second(1, 30)
    told.active = True
    told.each_second(30, 60)
    assert told.said == []
    told.at(60, up("WEB", "a1", T + 60)).each_second(61, 80)
    assert told.said == [("end", 70, [f"server-down {A}"])]


def test_a_node_that_becomes_passive_leaves_the_end_to_the_other_one(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 20)
    told.active = False
    told.at(20, up("WEB", "a1", T + 20)).each_second(21, 40)
    told.active = True
    told.each_second(40, 60)
    assert told.said == [("begin", 10, [f"server-down {A}"])]


def test_events_that_are_read_late_are_told_as_they_would_have_been(told):
    told.at(
        500, down("WEB", "a1", T), up("WEB", "a1", T + 5), down("WEB", "b1", T + 100, B), up("WEB", "b1", T + 200, B)
    )
    assert [(what, subjects) for what, _, subjects in told.said] == [
        ("begin", [f"server-down {B}"]),
        ("end", [f"server-down {B}"]),
    ]


def test_while_more_events_are_to_come_nothing_is_told_that_they_could_take_back(told):
    assert told.incidents.take([down("WEB", "a1", T)], T + 500, True, more=True) == []
    told.at(500, up("WEB", "a1", T + 5))
    assert told.said == []


def test_after_the_clock_was_set_back_nothing_waits_for_the_time_it_showed_before(told):
    told.at(0, down("WEB", "a1", T)).at(-3600).each_second(-3599, -3580)
    assert [second for _, second, _ in told.said] == [-3590]
    told.at(-3500, up("WEB", "a1", T - 3500)).at(-7200).each_second(-7199, -7180)
    assert [second for _, second, _ in told.said] == [-3590, -7190]


def test_a_real_server_whose_address_is_changed_while_it_is_down_ends_its_incident(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 20).at(20, up("WEB", "a1", T + 20, "192.0.2.99")).each_second(
        21, 40
    )
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("end", 30, [f"server-down {A}"])]


def test_what_is_taken_out_of_the_site_ends_without_a_mail(told):
    told.at(0, down("WEB", "a1", T), down("DICOM", "a1", T), down("WEB", "b1", T, B)).each_second(1, 20)
    told.at(20, up("WEB", "a1", T + 20, "", reason="removed"), up("WEB", "b1", T + 20, "", reason="removed"))
    told.each_second(21, 60)
    assert [what for what, _, _ in told.said] == ["begin"]
    told.at(60, up("DICOM", "a1", T + 60)).each_second(61, 90)
    assert told.said[1:] == [("end", 70, [f"server-down {A}"])]
    assert told.incidents.as_dict()["incidents"] == []


def test_each_set_of_recipients_has_incidents_of_its_own(tmp_path):
    told = Told(mail_site(tmp_path, layer_4={"to": ["dicom@hospital.example"]}))
    told.at(0, down("WEB", "a1", T)).each_second(1, 20).at(20, down("DICOM", "a1", T + 20)).each_second(21, 40)
    told.at(40, up("WEB", "a1", T + 40)).each_second(41, 60)
    assert [(what, second, to) for what, second, _, to in told.due] == [
        ("begin", 10, TO_OPS),
        ("begin", 30, ("dicom@hospital.example",)),
        ("end", 50, TO_OPS),
    ]


def test_an_incident_that_was_told_to_others_ends_for_them(tmp_path):
    told = Told(mail_site(tmp_path))
    told.at(0, down("WEB", "a1", T)).each_second(1, 20)
    site = mail_site(tmp_path, to=["new@hospital.example"])
    told.incidents = Incidents.of(told.incidents.as_dict(), GATHER, Routes(site, site.alerts))
    told.at(20, down("WEB", "a1", T + 20)).each_second(21, 40).at(40, up("WEB", "a1", T + 40)).each_second(41, 60)
    assert [(what, second, to) for what, second, _, to in told.due] == [("begin", 10, TO_OPS), ("end", 50, TO_OPS)]


def test_the_places_are_bounded_and_the_oldest_incidents_are_forgotten(told, monkeypatch):
    monkeypatch.setattr(module, "MOST", 5)
    for number in range(12):
        told.at(0, down("WEB", f"s{number}", T, f"192.0.2.{number}"))
    subjects = [one["subject"] for one in told.incidents.as_dict()["incidents"]]
    assert subjects == [f"server-down 192.0.2.{number}" for number in range(7, 12)]


def test_the_real_servers_that_are_down_are_known(told):
    told.at(0, down("WEB", "a1", T), down("DICOM", "a1", T), down("WEB", "b1", T, B)).at(5, up("WEB", "b1", T + 5, B))
    assert told.incidents.down() == {("WEB", "a1"), ("DICOM", "a1")}


# --- whatever happens ---

KINDS = ["server-down", "server-up", "vip-down", "vip-degraded", "vip-recovered", "peer-lost", "peer-found", "failover"]
HAPPENS = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(["WEB", "DICOM"]),
    st.sampled_from([("a1", A), ("b1", B), ("c1", A)]),
    st.sampled_from([0, 1, 3, 5, 9, 10, 11, 25]),  # seconds later
    st.sampled_from(["", "", "", "again", "removed", "reread", "passive", "active"]),
)


def happening(kind, vip, server, when, ident, removed):
    if kind.startswith("server"):
        more = {"vip": vip, "server": server[0], "address": server[1], "reason": "removed" if removed else ""}
    else:
        more = {"vip": vip} if kind.startswith("vip") else {}
    return event(kind, when, ident=ident, **more)


@given(st.lists(HAPPENS, max_size=60))
def test_whatever_happens_each_incident_has_one_beginning_and_at_most_one_end(tmp_path_factory, happens):
    site = SITES.setdefault(
        "one", mail_site(tmp_path_factory.mktemp("site"), layer_4={"to": ["dicom@hospital.example"]})
    )
    routes = Routes(site, site.alerts)
    incidents, now, active, idents = Incidents(GATHER, routes), T, True, count()
    open_threads, begun, was_passive, due = {}, set(), False, []

    def take(*events):
        for one in incidents.take(events, now, active):
            due.append(one)
            assert active
            for incident in one.incidents:
                whose = incident.subject, incident.route
                if one.what == "begin":
                    assert whose not in open_threads
                    assert incident.open
                    assert incident.thread == one.ident or not incident.has_end
                    if incident.has_end:
                        open_threads[whose] = one.ident
                else:
                    assert not incident.open
                    assert incident.back + GATHER <= now
                    assert was_passive or open_threads[whose] == incident.thread
                    open_threads.pop(whose, None)

    for kind, vip, server, later, how in happens:
        now += later
        active = {"passive": False, "active": True}.get(how, active)
        if not active:
            was_passive = True
            open_threads.clear()
        one = happening(kind, vip, server, now, f"{next(idents):04}", how == "removed")
        if how == "removed" and kind == "server-up":
            open_threads.clear()
            was_passive = True  # it ends without a word
        take(one)
        if how == "again":
            take(one)
        if how == "reread":
            values = json.loads(json.dumps(incidents.as_dict()))
            incidents = Incidents.of(values, GATHER, routes)
            assert incidents.as_dict() == values
    now += 1000
    take()
    begun = [one.ident for one in due]
    assert len(begun) == len(set(begun))
    assert all(one["told"] and one["open"] for one in incidents.as_dict()["incidents"])
    assert incidents.next == float("inf")
    assert incidents._places == sum(len(one["first"]) for one in incidents.as_dict()["incidents"])


SITES = {}
