import pytest
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
    told.at(70, up("WEB", "a1", T + 70)).each_second(71, 79)
    assert [one["times"] for one in told.incidents.as_dict()["incidents"]] == [6]
    told.each_second(79, 100)
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("end", 80, [f"server-down {A}"])]


def test_a_place_that_joins_what_was_told_is_silent_and_holds_up_the_end(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 30).at(30, down("DICOM", "a1", T + 30)).each_second(31, 60)
    told.at(60, up("WEB", "a1", T + 60)).each_second(61, 90).at(90, up("DICOM", "a1", T + 90)).each_second(91, 120)
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("end", 100, [f"server-down {A}"])]


def test_what_a_machine_loses_minutes_after_it_was_told_is_an_incident_of_its_own(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 30)
    told.at(7200, down("DICOM", "a1", T + 7200)).each_second(7201, 7260)
    (_, (_, second, (subject,))) = told.said
    assert (second, subject) == (7210, f"server-down {A}")
    told.at(7300, up("DICOM", "a1", T + 7300)).each_second(7301, 7330)
    told.at(7400, up("WEB", "a1", T + 7400)).each_second(7401, 7430)
    assert [second for what, second, _ in told.said if what == "end"] == [7310, 7410]
    assert told.incidents.as_dict()["incidents"] == []


def test_a_death_is_told_where_the_end_of_the_one_before_was_never_heard_of(told):
    told.at(0, down("WEB", "a1", T)).each_second(1, 30)
    told.at(86_400, down("WEB", "a1", T + 86_400)).each_second(86_401, 86_430)
    assert told.said == [("begin", 10, [f"server-down {A}"]), ("begin", 86_410, [f"server-down {A}"])]
    told.at(86_500, up("WEB", "a1", T + 86_500)).each_second(86_501, 86_530)
    assert told.said[2:] == [("end", 86_510, [f"server-down {A}"])]


def night(told, is_up, is_down, hours=8):
    """A real server that is up and down for so many seconds by turns."""
    for begin in range(0, hours * 3600, is_up + is_down):
        told.at(begin, down("WEB", "a1", T + begin))
        for second in range(begin + 5, begin + is_up + is_down, 5):
            told.at(second, *([up("WEB", "a1", T + second)] if second == begin + is_down else []))
    return told.said


@pytest.mark.parametrize("seconds", [15, 60, 300])
def test_what_comes_and_goes_all_night_is_a_few_mails(told, seconds):
    said = night(told, seconds, seconds)
    assert 2 <= len(said) <= 10
    assert said[-1][0] == "begin"
    told.each_second(8 * 3600, 10 * 3600)
    assert [what for what, _, _ in told.said] == ["begin", "end"] * (len(told.said) // 2)


def test_failovers_all_night_are_a_few_mails_and_what_dies_meanwhile_is_told_at_once(told):
    for second in range(0, 8 * 3600, 5):
        happens = [event("failover", T + second)] if second % 30 == 0 else []
        told.at(second, *happens, *([down("WEB", "a1", T + second)] if second == 7200 else []))
    told.each_second(8 * 3600, 9 * 3600)
    assert sum(len(subjects) for _, _, subjects in told.said) == 8 * 120 + 1
    assert len(told.said) < 30
    assert [second for _, second, subjects in told.said if f"server-down {A}" in subjects] == [7210]
    assert [second for _, second, _ in told.said[:5]] == [10, 40, 70, 100, 160]


def test_what_goes_for_less_than_a_window_is_told_the_fourth_time(told):
    said = night(told, 50, 5, hours=1)
    assert [(what, second) for what, second, _ in said] == [("begin", 3 * 55 + 10)]


def test_after_an_hour_that_was_well_an_end_is_told_as_soon_as_the_first(told):
    for begin in (0, 100, 5000):
        told.at(begin, down("WEB", "a1", T + begin)).each_second(begin + 1, begin + 20)
        told.at(begin + 20, up("WEB", "a1", T + begin + 20)).each_second(begin + 21, begin + 80)
    assert [second for what, second, _ in told.said if what == "end"] == [30, 160, 5030]


def test_what_else_is_not_well_is_known(told):
    told.at(0, down("WEB", "a1", T), event("vip-down", T, vip="WEB"), event("failover", T)).each_second(1, 30)
    ends = told.incidents.take([up("WEB", "a1", T + 40)], T + 40, True) + told.incidents.take([], T + 60, True)
    assert [[one.subject for one in told.incidents.besides(due)] for due in ends] == [["vip-down WEB"]]


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
    told.at(0, down("WEB", "a1", T), event("failover", T)).each_second(1, 30)
    told.active = True
    told.each_second(30, 60)
    assert told.said == []
    told.at(60, up("WEB", "a1", T + 60)).each_second(61, 80)
    assert told.said == [("end", 70, [f"server-down {A}"])]


def test_the_passive_node_sends_a_test_since_its_way_to_the_mail_server_is_its_own(told):
    told.active = False
    told.at(0, event("test", T))
    assert told.said == [("test", 0, ["test"])]


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


def test_after_the_clock_was_set_back_nothing_counts_as_coming_again(told):
    for begin in range(0, 600, 60):
        told.at(begin, event("failover", T + begin)).at(begin + 20)
    assert told.incidents.next > T + 600
    told.at(610, down("WEB", "a1", T + 610)).at(625).at(630, up("WEB", "a1", T + 630)).at(645)
    told.at(-7200, down("WEB", "a1", T - 7200)).each_second(-7199, -7180)
    assert told.said[-1][1] == -7190
    assert told.incidents.next == float("inf")
    assert [(one["subject"], one["again"]) for one in told.incidents.as_dict()["incidents"]] == [
        (f"server-down {A}", 0)
    ]


def test_what_was_over_is_remembered_so_far_and_no_further(told, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    for number in range(9):
        address = f"192.0.2.{number}"
        told.at(40 * number, down("WEB", "s", T + 40 * number, address)).at(40 * number + 15)
        told.at(40 * number + 20, up("WEB", "s", T, address)).at(40 * number + 35)
    assert list(told.incidents.as_dict()["over"]) == [f"server-down 192.0.2.{number}" for number in (6, 7, 8)]


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
