"""Mail to real mail servers on loopback."""

import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from interop.mail_server import MailServer
from interop.remotes import free_port
from unit.mail_site import B, down, event, mail_site, up

from lbkit.alerts.mail import Mail
from lbkit.errors import Misuse
from lbkit.site.model import Node, Pair
from lbkit.state.intents import Intent, Intents
from lbkit.state.log import EventLog

T = 1_900_000_000.0


class Clocked:
    """A receiver with a clock of its own; `at` gives it events and is the seconds after T."""

    def __init__(self, site, state):
        self.now = T
        self.site = site
        self.state = state
        self.mail = self.again()

    def again(self):
        """One that starts anew, after a crash."""
        self.mail = Mail(self.site, self.state, lambda: self.now)
        return self.mail

    def at(self, seconds, *events, active=True):
        self.now = T + seconds
        return self.mail.take(events, active)


@pytest.fixture
def server():
    with MailServer() as one:
        yield one


@pytest.fixture
def clocked(server, tmp_path):
    return Clocked(mail_site(tmp_path, smart_host_port=server.port), tmp_path / "state")


def dies_and_returns(clocked):
    clocked.at(0, down("WEB", "a1", T), down("DICOM", "a1", T))
    clocked.at(10)
    clocked.at(100, up("WEB", "a1", T + 100), up("DICOM", "a1", T + 100))
    clocked.at(110)


def test_a_real_server_of_two_vips_that_dies_and_returns_is_two_mails_of_one_thread(clocked, server):
    dies_and_returns(clocked)
    assert server.subjects == ["[lbkit test] DOWN: a1 (2 VIPs)", "[lbkit test] UP again after 2 min: a1 (2 VIPs)"]
    begin, end = server.mails
    assert end["References"] == begin["Message-ID"]
    assert "left in WEB: b1" in begin.get_content()
    assert server.envelopes[0].mail_from == "lb@hospital.example"
    assert server.envelopes[0].rcpt_tos == ["ops@hospital.example"]
    assert clocked.mail.trouble == ""


def test_the_passive_node_sends_nothing_and_the_end_once_it_is_active(clocked, server):
    clocked.at(0, down("WEB", "a1", T), active=False)
    clocked.at(10, active=False)
    clocked.at(100, up("WEB", "a1", T + 100))
    clocked.at(110)
    assert server.subjects == ["[lbkit test] UP again after 2 min: a1 (WEB)"]


def test_a_node_that_takes_over_says_what_the_dead_one_may_not_have_told(clocked, server):
    clocked.at(0, down("WEB", "a1", T), active=False)
    clocked.at(11, active=False)
    clocked.at(13, event("failover", T + 13, details={"to": "master"}))
    clocked.at(23)
    (mail,) = server.mails
    assert mail["Subject"] == "[lbkit test] FAILOVER: lb1 has the VIPs"
    assert "Also not well: DOWN: a1 (WEB)." in mail.get_content()


def test_it_says_when_it_wants_to_be_called(clocked):
    assert clocked.at(0, event("reloaded", T)) is None
    assert clocked.at(0, down("WEB", "a1", T)) == 10
    assert clocked.at(4) == 6
    assert clocked.at(10) is None
    assert clocked.at(20, *[event("reloaded", T + 20)] * Mail.at_once) == 0


def test_real_servers_that_are_down_or_taken_out_are_not_left(clocked, server):
    Intents(clocked.state.parent / "state").record(Intent("WEB", "b1", "drain"))
    clocked.at(0, down("WEB", "a1", T), down("DICOM", "b1", T, B), down("DICOM", "a1", T))
    clocked.at(10)
    (mail,) = server.mails
    assert "left in WEB: nobody" in mail.get_content()
    assert mail.get_content().count("left in DICOM: nobody") == 2


def test_each_vip_and_layer_and_the_pair_has_its_recipients_and_a_test_goes_to_all(server, tmp_path):
    site = mail_site(
        tmp_path,
        smart_host_port=server.port,
        layer_4={"to": ["dicom@hospital.example", "pacs@hospital.example"]},
        layer_7={"to": ["web@hospital.example"], "sender": "lb-web@hospital.example"},
        pair={"to": ["network@hospital.example"]},
    )
    clocked = Clocked(site, tmp_path)
    clocked.at(0, down("WEB", "a1", T), down("DICOM", "b1", T, B), event("failover", T), event("events-lost", T))
    clocked.at(10)
    sent = {(one.mail_from, tuple(one.rcpt_tos)) for one in server.envelopes}
    assert sent == {
        ("lb-web@hospital.example", ("web@hospital.example",)),
        ("lb@hospital.example", ("dicom@hospital.example", "pacs@hospital.example")),
        ("lb@hospital.example", ("network@hospital.example",)),
        ("lb@hospital.example", ("ops@hospital.example",)),
    }
    clocked.at(20, event("test", T + 20))
    assert {tuple(one.rcpt_tos) for one in server.envelopes[4:]} == {to for _, to in sent}
    assert server.subjects[4:] == ["[lbkit test] TEST: mail of lb1 arrives"] * 4


# --- a server that is away, a node that crashes ---


def test_while_the_server_is_away_mail_waits_and_then_goes_out_once_and_in_order(tmp_path):
    port = free_port()
    clocked = Clocked(mail_site(tmp_path, smart_host_port=port), tmp_path)
    dies_and_returns(clocked)
    assert f"2 mails can't be sent yet: 127.0.0.1:{port} can't be reached: Connection refused." in clocked.mail.trouble
    clocked.again()  # and the agent dies meanwhile
    waits = clocked.at(111)
    assert 0 < waits < 25
    with MailServer(port) as server:
        clocked.at(110 + 25)
        clocked.at(110 + 60)
        assert [one.split(":")[0] for one in server.subjects] == [
            "[lbkit test] DOWN",
            "[lbkit test] UP again after 2 min",
        ]
        assert clocked.mail.trouble == ""
        assert clocked.at(10_000) is None
        assert len(server.mails) == 2


def test_it_is_tried_again_later_and_later_for_three_days_then_given_up_and_recorded(tmp_path):
    clocked = Clocked(mail_site(tmp_path, smart_host_port=free_port()), tmp_path)
    clocked.at(0, event("test", T))
    waited, moment = [], 0.0
    while (pause := clocked.at(moment)) is not None:
        waited.append(pause)
        moment += max(pause, 0.001)
    assert 7 <= waited[0] <= 13
    assert all(later > sooner for sooner, later in zip(waited[:6:2], waited[2:8:2], strict=True))
    assert max(waited) <= 1800 * 1.25
    assert 3 * 86_400 < moment < 3 * 86_400 + 1800 * 1.25
    (lost,) = EventLog(tmp_path).all()
    assert (lost.kind, lost.details) == ("events-lost", {"undelivered": 1})
    assert "[lbkit test] TEST" in lost.text
    assert clocked.at(moment + 20, lost) is None  # no mail about that
    assert clocked.at(moment + 40) is None


PROGRAM = """
import os, sys
from pathlib import Path
from unit.mail_site import down, event, mail_site
from lbkit.alerts import mail
port, folder, T, where = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
def die(*_):
    os.kill(os.getpid(), 9)
if where == "after-it-was-written":
    mail.Outbox.send = die
elif where == "before-it-was-written":
    mail.disk.write = die
receiver = mail.Mail(mail_site(folder, smart_host_port=port), folder, lambda: T + 30)
receiver.take([down("WEB", "a1", T), event("failover", T, ident="f1")], True)
"""


@pytest.mark.parametrize("where", ["before-it-was-written", "after-it-was-written", "after-it-was-sent"])
def test_a_kill_between_loses_nothing_and_what_comes_again_is_not_told_twice(server, tmp_path, where):
    words = [sys.executable, "-c", PROGRAM, str(server.port), str(tmp_path), str(T), where]
    ended = subprocess.run(words, env={**os.environ, "PYTHONPATH": "tests"}, timeout=30, check=False)
    assert ended.returncode == (0 if where == "after-it-was-sent" else -signal.SIGKILL)
    clocked = Clocked(mail_site(tmp_path, smart_host_port=server.port), tmp_path)
    clocked.at(31, down("WEB", "a1", T), event("failover", T, ident="f1"))  # their place was not kept
    clocked.at(60)
    assert server.subjects == ["[lbkit test] FAILOVER: lb1 no longer has the VIPs; DOWN: a1 (WEB)"]


def test_what_a_node_was_killed_over_it_still_sends_when_it_is_passive_then(server, tmp_path):
    """The other one holds it to be told."""
    words = [sys.executable, "-c", PROGRAM, str(server.port), str(tmp_path), str(T), "after-it-was-written"]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": "tests"}, timeout=30, check=False)
    clocked = Clocked(mail_site(tmp_path, smart_host_port=server.port), tmp_path)
    clocked.at(60, active=False)
    assert len(server.mails) == 1


def test_a_disk_that_takes_nothing_makes_the_events_come_again_and_the_mail_is_sent_once(clocked, server, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    events = [down("WEB", "a1", T), event("failover", T)]
    with monkeypatch.context() as patched:
        patched.setattr("lbkit.alerts.mail.disk.write", full)
        for _ in range(3):
            with pytest.raises(Exception, match=r"alerts\.json can't be written: No space left on device\. Make room"):
                clocked.at(20, *events)
    clocked.at(21, *events)
    clocked.at(40)
    assert len(server.mails) == 1


def test_its_file_is_for_its_owner_alone_and_is_not_written_anew_for_nothing(clocked):
    clocked.at(0, down("WEB", "a1", T))
    file = clocked.state / "alerts.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.get("version") for one in json.loads(file.read_text())] == [1, None]
    before = file.stat().st_mtime_ns
    clocked.at(2, event("reloaded", T + 2))
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["", "[]", "{", '[{"version": 2}]', '[{"version": 1}]', "[" * 9999, "null"])
def test_a_file_that_is_none_of_ours_is_put_aside(tmp_path, content):
    (tmp_path / "alerts.json").write_text(content)
    Mail(mail_site(tmp_path), tmp_path)
    assert (tmp_path / "alerts.json.broken").read_text() == content
    (lost,) = EventLog(tmp_path).all()
    assert lost.kind == "events-lost"
    assert f"put aside as {tmp_path}/alerts.json.broken" in lost.text


def test_what_an_lbkit_of_before_has_written_is_read(clocked, server):
    clocked.at(0, down("WEB", "a1", T))
    clocked.at(10)
    file = clocked.state / "alerts.json"
    head, incident = json.loads(file.read_text())
    del head["over"], incident["again"], incident["times"], incident["calm"]
    file.write_text(json.dumps([head, incident | {"open": list(incident["open"])}]))
    clocked.again()
    clocked.at(100, up("WEB", "a1", T + 100))
    clocked.at(110)
    assert len(server.mails) == 2
    assert not list(clocked.state.glob("*.broken"))


def test_of_too_many_mails_the_oldest_become_one(tmp_path, monkeypatch):
    monkeypatch.setattr("lbkit.alerts.outbox.MOST", 10)
    port = free_port()
    clocked = Clocked(mail_site(tmp_path, smart_host_port=port), tmp_path)
    for number in range(25):
        clocked.at(number, event("test", T + number))
    with MailServer(port) as server:
        clocked.at(2000)
        assert len(server.mails) <= 10
        assert server.subjects[0].endswith("mails in one")
        assert server.subjects[-1].startswith("[lbkit test] TEST")


def test_who_is_refused_for_good_is_recorded_and_troubles_until_one_arrives(clocked, server):
    server.answers["ops@hospital.example"] = "550 5.1.1 unknown"
    clocked.at(0, event("test", T))
    (lost,) = EventLog(clocked.state).all()
    assert lost.text.endswith("(ops@hospital.example: 550 5.1.1 unknown)")
    assert clocked.mail.trouble == "mail to ops@hospital.example is refused: 550 5.1.1 unknown"
    server.answers.clear()
    clocked.at(100, event("test", T + 100))
    assert clocked.mail.trouble == ""
    assert len(server.mails) == 1


def test_one_that_comes_later_is_sent_to_those_alone_who_do_not_have_it(server, tmp_path):
    site = mail_site(tmp_path, smart_host_port=server.port, to=["a@a.example", "b@a.example"])
    clocked = Clocked(site, tmp_path)
    server.answers["b@a.example"] = "450 4.7.1 greylisted"
    clocked.at(0, event("test", T))
    server.answers.clear()
    clocked.at(20)
    clocked.at(2000)
    assert [one.rcpt_tos for one in server.envelopes] == [["a@a.example"], ["b@a.example"]]
    assert server.mails[0]["Message-ID"] == server.mails[1]["Message-ID"]


def test_what_waits_for_an_address_that_was_corrected_goes_to_the_right_one(server, tmp_path):
    server.answers["aerlts@a.example"] = "450 4.1.1 who is that"
    clocked = Clocked(
        mail_site(tmp_path, smart_host_port=server.port, to=["aerlts@a.example", "b@a.example"]), tmp_path
    )
    clocked.at(0, event("test", T))
    clocked.site = mail_site(tmp_path, smart_host_port=server.port, to=["alerts@a.example", "b@a.example"])
    clocked.again()
    clocked.at(60)
    assert [one.rcpt_tos for one in server.envelopes] == [["b@a.example"], ["alerts@a.example", "b@a.example"]]
    assert clocked.mail.trouble == ""


def test_what_waits_from_a_sender_that_was_corrected_goes_out_from_the_right_one(tmp_path):
    port = free_port()
    clocked = Clocked(mail_site(tmp_path, smart_host_port=port, sender="l8@hospital.example"), tmp_path)
    clocked.at(0, event("test", T))
    clocked.site = mail_site(tmp_path, smart_host_port=port)
    clocked.again()
    with MailServer(port) as server:
        clocked.at(60)
    assert (server.envelopes[0].mail_from, server.mails[0]["From"]) == ("lb@hospital.example",) * 2


def test_a_node_has_its_name_in_the_site(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LBKIT_NODE", "lb2")
    site = mail_site(tmp_path, smart_host_port=server.port)
    pair = Pair(nodes=(Node(name="lb1", address="192.0.2.3"), Node(name="lb2", address="192.0.2.4")))
    Clocked(site.model_copy(update={"pair": pair}), tmp_path).at(0, event("test", T))
    assert "To look further, on lb2:" in server.mails[0].get_content()


def test_a_site_without_alerts_has_no_mail(tmp_path):
    site = mail_site(tmp_path).model_copy(update={"alerts": None})
    with pytest.raises(Misuse, match=r"site test has no \[alerts\]"):
        Mail(site, tmp_path)
