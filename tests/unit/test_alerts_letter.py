import email
import os
import re
import time
from dataclasses import replace
from email.policy import default
from pathlib import Path

import pytest
from unit.mail_site import A, B, down, event
from unit.test_documented_commands import wrong

from lbkit.alerts.incident import Due, Incident, lean
from lbkit.alerts.letter import Scene, content, joined, letter_of
from lbkit.alerts.moments import lasted
from lbkit.alerts.outbox import MOST
from lbkit.alerts.recipients import Route

GOLDEN = Path(__file__).parent / "letters"
T = 1_764_000_000.0  # Mon 2025-11-24 17:00:00 CET
ROUTE = Route("lb@hospital.example", ("ops@hospital.example", "night@hospital.example"))
SCENE = Scene("CCW", "lb1", "0.1.0", {"WEB": ["b1"], "DICOM": []}, "lb2")


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def incident(*events, back=None, thread="", **more):
    first = {one.about: one for one in events}
    subject = f"{events[0].kind} {events[0].about or events[0].details.get('engine', '')}"
    open_ = {} if back else {place: one.when for place, one in first.items()}
    return Incident(subject, ROUTE, first, open_, "here", thread, back, **more)


def due(what, *incidents):
    return Due(what, f"0123456789abcdef.{what}", ROUTE, incidents)


LONG = "the body is “notificationServiceNotOperative” (31 bytes); “allServicesOperative” is expected"
DIED = incident(down("WEB", "a1", T), down("DICOM", "a1", T + 2, step="echo", reason="closed"))
VIP_DOWN = event(
    "vip-down",
    T + 1,
    "WEB is down: nobody serves it. a1 is down; b1 is drained, by anna@lb1: Windows updates. Its clients are turned away.",
    vip="WEB",
    who="anna@lb1",
    why="Windows updates",
)
FAILOVER = event(
    "failover", T, "lb1 is master now, and has the VIPs: lb2 has not answered since.", details={"to": "master"}
)
LOST = event("peer-lost", T + 5, "lb2 is lost (its agent answered 6 s ago). lb1 is alone: it has the VIPs.")
SPLIT = event("split-brain", T, "Split brain: both nodes hold themselves to be master, for 3 s. lbkit pair status")
LETTERS = {
    "real-server-dies": due("begin", DIED),
    "real-server-returns": due("end", incident(*DIED.first.values(), back=T + 725, thread="0123456789abcdef.begin")),
    "vip-goes-down": due("begin", incident(down("WEB", "a1", T, text=f"WEB/a1 is down: {LONG}.")), incident(VIP_DOWN)),
    "failover": due("begin", incident(LOST), incident(FAILOVER)),
    "comes-and-goes": due("begin", incident(down("WEB", "a1", T), again=2, calm=160.0)),
    "peer-returns": due("end", incident(LOST, back=T + 9005)),
    "split-brain": due("begin", incident(SPLIT)),
    "drift": due("begin", incident(event("drift-found", T, "Somebody changes IPVS.", details={"engine": "IPVS"}))),
    "certificate-ends": due(
        "begin",
        incident(
            event(
                "certificate-expiring", T, "client-cert ends in 14 days.", details={"name": "client-cert", "days": 14}
            )
        ),
    ),
    "test": due("test", incident(event("test", T, "This is a test of alerts.", who="anna@lb1"))),
}


def sent(one):
    return content(letter_of(one, SCENE), ROUTE.sender, ROUTE.to, T + 10)


@pytest.mark.parametrize("name", LETTERS)
def test_a_letter_is_byte_for_byte_the_one_that_was_read_by_a_person(name):
    file = GOLDEN / f"{name}.eml"
    if os.environ.get("LBKIT_WRITE_LETTERS"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(sent(LETTERS[name]).encode("ascii"))
    assert sent(LETTERS[name]).encode("ascii") == file.read_bytes()


def test_each_letter_that_is_kept_is_one_of_these():
    assert {file.stem for file in GOLDEN.iterdir()} == set(LETTERS)


@pytest.mark.parametrize("name", LETTERS)
def test_a_letter_is_read_as_it_was_meant_and_no_line_is_wider_than_a_terminal(name):
    read = email.message_from_bytes(sent(LETTERS[name]).encode("ascii"), policy=default)
    letter = letter_of(LETTERS[name], SCENE)
    assert (read["Subject"], read["From"]) == (letter.subject, ROUTE.sender)
    assert read["To"] == ", ".join(ROUTE.to)
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Message-ID"] == f"<{letter.ident}@hospital.example>"
    assert read["Date"].datetime.timestamp() == T + 10
    assert read.get_content().replace("\r\n", "\n") == letter.body
    assert max(map(len, letter.body.splitlines())) <= 72
    assert not read.defects


@pytest.mark.parametrize("name", LETTERS)
def test_what_a_letter_tells_to_type_can_be_typed(name):
    found = re.findall(r"(?m)^    lbkit (.*)$", letter_of(LETTERS[name], SCENE).body)
    assert found
    assert [said for one in found if (said := wrong(one.split()))] == []


def test_the_end_belongs_to_the_mail_of_the_beginning():
    read = email.message_from_string(sent(LETTERS["real-server-returns"]), policy=default)
    assert read["References"] == "<0123456789abcdef.begin@hospital.example>"
    begin = due("begin", incident(*DIED.first.values(), thread="0123456789abcdef.begin"))
    assert "References" not in sent(begin)  # to itself


HOSTILE = "x\r\nBcc: all@hospital.example\r\n\r\nhello \x1b[2J\u202e\u2028 ünïcode " + "w" * 300


@pytest.mark.parametrize(
    "kind", ["server-down", "vip-down", "failover", "peer-lost", "drift-found", "certificate-expiring", "test"]
)
def test_whatever_stands_in_an_event_no_header_comes_of_it_and_nothing_that_a_terminal_obeys(kind):
    told = event(
        kind,
        T,
        HOSTILE,
        vip=HOSTILE,
        server=HOSTILE,
        address=HOSTILE,
        step=HOSTILE,
        reason=HOSTILE,
        who=HOSTILE,
        why=HOSTILE,
    )
    one = letter_of(due("begin", incident(told)), Scene("CCW", "lb1", "0.1.0", {HOSTILE: [HOSTILE]}))
    text = content(one, ROUTE.sender, ROUTE.to, T)
    head = text.partition("\r\n\r\n")[0]
    names = re.findall(r"(?m)^([A-Za-z-]+):", head)
    assert sorted(names) == sorted(
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ]
    )
    body = email.message_from_string(text, policy=default).get_content()
    assert all(one.isprintable() for one in body.replace("\n", "").replace("\r", ""))
    assert max(map(len, text.split("\r\n"))) <= 998


def test_a_reason_without_a_space_makes_no_line_that_mail_servers_turn_away():
    told = incident(lean(event("vip-down", T, vip="WEB", who="w" * 2000, why="y" * 2000)))
    text = content(letter_of(due("begin", told), SCENE), ROUTE.sender, ROUTE.to, T)
    assert max(map(len, text.split("\r\n"))) <= 998


def test_a_long_domain_and_many_recipients_make_headers_that_are_read_back():
    domain = f"{'d' * 60}.{'e' * 60}.{'f' * 60}.example"
    letter = letter_of(LETTERS["real-server-returns"], SCENE)
    to = [f"operator-number-{number}@{domain}" for number in range(32)]
    read = email.message_from_string(content(letter, f"lb@{domain}", to, T), policy=default)
    assert read["Message-ID"] == f"<0123456789abcdef.end@{domain}>"
    assert read["References"] == f"<0123456789abcdef.begin@{domain}>"
    assert [one.addr_spec for one in read["To"].addresses] == to


@pytest.mark.parametrize("vip", ["W" * length for length in range(20, 64)])
def test_a_subject_is_one_line(vip):
    letter = letter_of(due("begin", incident(down(vip, "a1", T)), incident(VIP_DOWN)), SCENE)
    assert f"\r\nSubject: {letter.subject}\r\n" in content(letter, ROUTE.sender, ROUTE.to, T)


def test_of_a_storm_a_letter_has_the_first_and_how_many_more():
    storm = [incident(down("WEB", f"s{number}", T, f"192.0.2.{number}")) for number in range(200)]
    letter = letter_of(due("begin", *storm), SCENE)
    assert letter.subject == "[lbkit CCW] DOWN: s0 (WEB), s1 (WEB), s2 (WEB) and 197 more"
    assert "And 180 more: s20 (WEB), s21 (WEB)," in letter.body
    assert len(letter.body) < 16_000


@pytest.mark.parametrize("name", ["failover", "peer-returns", "real-server-returns"])
def test_an_end_and_a_failover_say_what_else_is_not_well(name):
    besides = [incident(LOST), incident(down("WEB", "b1", T)), incident(VIP_DOWN)]
    body = letter_of(LETTERS[name], replace(SCENE, besides=besides)).body
    assert "Also not well: DOWN: VIP WEB, b1 (WEB); PEER LOST: lb2." in body
    assert "Also" not in letter_of(LETTERS["drift"], replace(SCENE, besides=besides)).body


@pytest.mark.parametrize(
    ("days", "ends", "said"),
    [
        (14, T + 14 * 86_400, "14 days left"),
        (1, T + 90_000, "1 day left"),
        (0, T + 60, "less than a day left"),
        (0, T - 1, "has ended"),
    ],
)
def test_a_certificate_has_days_left_or_has_ended(days, ends, said):
    ending = event("certificate-expiring", T, details={"name": "client-cert", "days": days, "ends": ends})
    assert letter_of(due("begin", incident(ending)), SCENE).subject == f"[lbkit CCW] CERTIFICATE: client-cert, {said}"


def test_what_happened_often_stands_once_in_the_subject():
    often = [incident(event("failover", T + n, ident=f"{n}", details={"to": "master"})) for n in range(25)]
    letter = letter_of(due("begin", *often), SCENE)
    assert letter.subject == "[lbkit CCW] FAILOVER: lb1 has the VIPs (25 times)"
    assert "And 5 more: lb1 has the VIPs (5 times)." in letter.body


def test_an_end_says_how_often_it_came_and_went():
    body = letter_of(due("end", incident(down("WEB", "a1", T), back=T + 3600, times=37)), SCENE).body
    assert "It came and went 37 times." in " ".join(body.split())


def test_what_is_typed_to_look_further_shows_what_led_to_it_whenever_the_mail_is_read():
    assert "lbkit log --since 2025-11-24T16:55" in letter_of(LETTERS["real-server-dies"], SCENE).body
    assert "lbkit log --since 2025-11-24T16:55" in letter_of(LETTERS["real-server-returns"], SCENE).body


def test_clients_that_are_turned_away_stand_before_a_failover_in_the_subject():
    letter = letter_of(due("begin", incident(LOST), incident(FAILOVER), incident(VIP_DOWN)), SCENE)
    assert letter.subject == "[lbkit CCW] DOWN: VIP WEB; FAILOVER: lb1 has the VIPs; PEER LOST: lb2"


def test_what_a_machine_lost_for_the_same_reason_is_said_once_with_who_is_left_in_each_vip():
    letter = letter_of(due("begin", incident(*(down(vip, "a1", T) for vip in ("WEB", "DICOM", "HL7")))), SCENE)
    assert letter.body.count("is down: connect (refused)") == 1
    assert "    left in WEB: b1\n    left in DICOM: nobody\n    left in HL7: nobody\n" in letter.body
    unknown = incident(*(down(vip, "a1", T, step="", reason="") for vip in ("WEB", "DICOM")))
    assert letter_of(due("begin", unknown), SCENE).body.count("is down: connect (refused)") == 2


def test_a_machine_of_many_vips_has_each_by_name_and_no_mail_is_long():
    many = [
        incident(
            *(
                down(f"VIP_{vip}", f"s{number}", T, f"192.0.2.{number}", text="why " * 100, step=f"s{vip}")
                for vip in range(20)
            )
        )
        for number in range(40)
    ]
    letter = letter_of(due("begin", *many), SCENE)
    assert len(letter.body) < 40_000
    assert "And in VIP_2, VIP_3," in letter.body
    assert "s0 (192.0.2.0) is down in 20 VIPs." in letter.body


def test_the_worst_stands_first_in_the_subject():
    found = [incident(down("WEB", "a1", T)), incident(VIP_DOWN), incident(SPLIT)]
    assert letter_of(due("begin", *found), SCENE).subject == (
        "[lbkit CCW] SPLIT BRAIN: seen by lb1; DOWN: VIP WEB, a1 (WEB)"
    )


def test_a_real_server_that_nobody_stands_in_for_is_said_so():
    letter = letter_of(due("begin", incident(down("DICOM", "a1", T, B))), SCENE)
    assert "left in DICOM: nobody" in letter.body
    assert f"({B})" in letter.body
    assert A not in letter.body.replace(f"DICOM/a1 ({B})", "")


def test_a_mail_in_the_place_of_many_names_each_of_them():
    letter = joined([(T + number, f"[lbkit CCW] DOWN: s{number}", f"i{number}") for number in range(MOST // 2)], SCENE)
    assert letter.subject == "[lbkit CCW] 250 mails in one"
    assert letter.body.count("CET: [lbkit CCW] DOWN: s") == MOST // 2
    assert "lbkit log --since 2025-11-24T16:55" in letter.body


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"), (0, "0 s"), (45, "45 s"), (89, "89 s"), (90, "2 min"), (725, "12 min"), (5399, "1 h 30 min"),
        (7200, "2 h"), (12_000, "3 h 20 min"), (129_600, "1 d 12 h"), (172_800, "2 d"),
    ],
)  # fmt: skip
def test_a_duration_is_said_as_people_say_it(seconds, words):
    assert lasted(seconds) == words
