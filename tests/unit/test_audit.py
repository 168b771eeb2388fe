"""Who asked, from where, and what a verb says of it in the log of events."""

from __future__ import annotations

import os
import pty
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from unit.site_text import server, site, vip

from lbkit import Registry, load_site
from lbkit.errors import NotDone, Refused, RolledBack
from lbkit.operate import audit, bundle, handover, leave
from lbkit.operate.failover import Order, failover
from lbkit.operate.maintenance import maintenance
from lbkit.operate.receive import Here
from lbkit.operate.replace_node import replace_node
from lbkit.operate.sync import Sync
from lbkit.pair.link import Link
from lbkit.pair.meeting import Invitation
from lbkit.site.model import Ssh
from lbkit.state import applied
from lbkit.state.intents import Intent
from lbkit.state.log import EventLog
from lbkit.state.who import from_where, who_asks
from lbkit_cli.pair_setup import _Meeting, _take


@pytest.fixture(autouse=True)
def _not_by_ssh(monkeypatch):
    """Whoever runs these tests."""
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr("os.getppid", lambda: 1)


@pytest.fixture
def loaded(tmp_path):
    nodes = [{"name": name, "address": address} for name, address in (("lb1", "192.0.2.11"), ("lb2", "192.0.2.12"))]
    (tmp_path / "site.toml").write_text(
        site(
            vip("WEB", "192.0.2.50:80", server("one", "192.0.2.1:80"), server("two", "192.0.2.2:80")),
            pair={"nodes": nodes, "ssh": {"key_file": "key", "known_hosts_file": "known_hosts", "port": 1}},
            keepalived={"runtime": "vrrp"},
        )
    )
    (tmp_path / "vrrp").mkdir()
    return load_site(tmp_path / "site.toml")


@pytest.fixture
def here(tmp_path, loaded, monkeypatch):
    """Node lb2, which lb1 asks."""
    monkeypatch.setenv("LBKIT_NODE", "lb2")
    return Here(tmp_path / "site.toml", lambda: loaded, Registry().kind, tmp_path)


def logged(folder):
    return list(EventLog(folder).all())


# --- who ---

_WHO = "from lbkit.state.who import who_asks; print(who_asks().partition('@')[0])"


def asked_by(setting, **environment):
    """Who it is said to be in a process whose login is `setting`, "": nobody's; None where the kernel lets nobody set it."""
    login = f"if {setting!r}: open('/proc/self/loginuid', 'w').write({setting!r})\n"
    ran = subprocess.run(
        [sys.executable, "-c", login + _WHO], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    return ran.stdout.strip() if not ran.returncode else None


def test_it_is_who_logged_in_whatever_su_and_the_environment_say():
    found = asked_by("65534", SUDO_USER="somebody-else")
    if found is None:
        pytest.skip(reason="the kernel keeps no logins, or does not let this user set one")
    assert found == "nobody"
    assert asked_by("54321") == "54321"


def test_without_a_login_it_is_who_called_sudo_or_the_user_of_the_process():
    if Path("/proc/self/loginuid").exists() and Path("/proc/self/loginuid").read_text() != str(2**32 - 1):
        pytest.skip(reason="this is run by somebody who has logged in")
    assert asked_by("", SUDO_USER="anna") == "anna"
    assert asked_by("") == pwd.getpwuid(os.getuid()).pw_name


# --- from where ---


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("192.0.2.7 50123 192.0.2.11 22", "ssh 192.0.2.7"),
        ("2001:db8::7 50123 2001:db8::11 22", "ssh 2001:db8::7"),
        ("fe80::7%eth0 50123 fe80::11%eth0 22", "ssh fe80::7%eth0"),
    ],
)
def test_who_came_by_ssh_came_from_there(monkeypatch, given, where):
    monkeypatch.setenv("SSH_CONNECTION", given)
    assert from_where() == where


@pytest.mark.parametrize("given", ["", " ", "UNKNOWN 65535 UNKNOWN 65535", "\x1b[2J 1 2 3"])
def test_what_is_no_address_is_nowhere(monkeypatch, given):
    monkeypatch.setenv("SSH_CONNECTION", given)
    assert not from_where().startswith("ssh")


_ASKS = "from lbkit.state.who import from_where; print(from_where())"
_ASKS_ALONE = f"import os; os.getppid = lambda: 1; {_ASKS}"
_CLEAN = {name: value for name, value in os.environ.items() if name != "SSH_CONNECTION"}


def test_sudo_takes_the_connection_away_and_the_shell_that_called_it_has_it_still():
    root = '"$0" -c "$1"; true'  # as of `sudo -i`: another shell in between
    shell = ["sh", "-c", f'(env -u SSH_CONNECTION sh -c \'{root}\' "$0" "$1"; true); true', sys.executable, _ASKS]
    ran = subprocess.run(
        shell, env=_CLEAN | {"SSH_CONNECTION": "192.0.2.7 1 192.0.2.11 22"}, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "ssh 192.0.2.7\n"


def test_who_sits_at_a_terminal_is_told_by_its_name():
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs).removeprefix("/dev/")
    ran = subprocess.run(
        [sys.executable, "-c", _ASKS_ALONE], env=_CLEAN, stdin=theirs, stdout=subprocess.PIPE, text=True, check=True
    )
    os.close(ours)
    os.close(theirs)
    assert ran.stdout == f"{name}\n"


def test_what_runs_by_itself_comes_from_nowhere():
    ran = subprocess.run(
        [sys.executable, "-c", _ASKS_ALONE],
        env=_CLEAN,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=True,
    )
    assert ran.stdout == "\n"


# --- intents ---


@pytest.mark.parametrize(
    ("before", "now", "kind", "text"),
    [
        (None, {"wanted": "drain"}, "intent-set", "one of WEB is drained"),
        (None, {"wanted": "halt"}, "intent-set", "one of WEB is halted"),
        (None, {"wanted": "online", "weight": 7}, "intent-set", "one of WEB is online with weight 7"),
        ({"wanted": "drain"}, {"wanted": "online"}, "intent-taken-back", "one of WEB is online again"),
        (
            {"wanted": "drain", "weight": 7},
            {"wanted": "online", "weight": 7},
            "intent-taken-back",
            "one of WEB is online again with weight 7",
        ),
        (
            {"wanted": "online", "weight": 7},
            {"wanted": "online"},
            "intent-taken-back",
            "one of WEB is online with the site's weight",
        ),
        (None, {"wanted": "online"}, "intent-taken-back", "one of WEB is online"),
    ],
)
def test_what_becomes_of_an_intent_is_said_in_a_sentence(tmp_path, loaded, before, now, kind, text):
    was = Intent("WEB", "one", **before) if before else None
    audit.intents(loaded, [Intent("WEB", "one", who="anna@lb1", why="updates", **now)], [was], tmp_path)
    (event,) = logged(tmp_path)
    assert (event.kind, event.text) == (kind, text)
    assert (event.vip, event.server, event.address) == ("WEB", "one", "192.0.2.1")
    assert (event.who, event.why) == ("anna@lb1", "updates")


def test_an_intent_that_ends_by_itself_says_when(tmp_path, loaded, monkeypatch):
    audit.intents(loaded, [Intent("WEB", "one", "drain", sticky=True, until=1_900_000_000.0)], [], tmp_path)
    (event,) = logged(tmp_path)
    assert event.text.startswith("one of WEB is drained until 2030-03-1")
    assert event.details == {"wanted": "drain", "sticky": True, "until": "2030-03-17T17:46:40.000Z"}


def test_each_intent_is_compared_with_what_was_asked_of_that_server(tmp_path, loaded):
    before = [Intent("WEB", "two", "halt"), Intent("WEB", "one", "online", weight=3)]
    audit.intents(
        loaded, [Intent("WEB", "one", "online"), Intent("WEB", "two", "online")], before, tmp_path, "node lb9"
    )
    assert [one.text for one in logged(tmp_path)] == [
        "one of WEB is online with the site's weight",
        "two of WEB is online again",
    ]
    assert {one.origin for one in logged(tmp_path)} == {"node lb9"}


# --- what is too long, and what fails ---


def test_a_text_without_end_is_cut_and_is_no_reason_to_fail(tmp_path):
    audit.note("reloaded", "x" * 5000, tmp_path, why="y" * 5000, who_else="z" * 5000)
    (event,) = logged(tmp_path)
    assert (len(event.text), len(event.why), len(event.details["who_else"])) == (2000, 2000, 2000)


def test_what_is_rolled_back_is_in_the_log_and_raised_all_the_same(tmp_path):
    with pytest.raises(RolledBack), audit.rolled_back(tmp_path):
        raise RolledBack("HAProxy does not take it")
    (event,) = logged(tmp_path)
    assert (event.kind, event.level, event.text) == ("configuration-rolled-back", "warning", "HAProxy does not take it")
    assert event.who == who_asks()


# --- verbs that need no engine ---


def test_maintenance_leaves_an_event_where_it_is_asked_for_once_it_changes(here, tmp_path, loaded):
    with Link(loaded, loaded.pair.nodes[0], command=["false"]) as link:
        maintenance(here, True, why="memory", order=Order(dry_run=True), link=link)
        maintenance(here, True, why="memory", link=link)
        maintenance(here, True, why="memory", link=link)
    (event,) = logged(tmp_path)
    assert (event.kind, event.text) == ("maintenance-begun", "lb2 is in maintenance")
    assert (event.who, event.why) == (who_asks(), "memory")


def test_a_failover_leaves_an_event_as_it_begins_though_nothing_comes_of_it(here, tmp_path, monkeypatch):
    monkeypatch.setattr("lbkit.operate.failover._within", lambda here: 0.1)
    with pytest.raises(Refused):
        failover(here, Order())
    failover(here, Order(force=True, dry_run=True))
    assert logged(tmp_path) == []
    with pytest.raises(NotDone):
        failover(here, Order(force=True, why="new memory"))
    (event,) = logged(tmp_path)
    assert (event.kind, event.who, event.why) == ("failover-asked", who_asks(), "new memory")
    assert event.details == {"old": "lb1", "new": "lb2", "sessions": "cut"}


def test_a_node_that_gives_the_vips_up_unasked_is_in_maintenance_and_the_log_says_so(here, tmp_path, monkeypatch):
    monkeypatch.setattr("lbkit.operate.failover.held", lambda site: ["192.0.2.50"])
    monkeypatch.setattr("lbkit.operate.failover.move_unasked", lambda *rest: (0.1, 0))
    failover(here, Order(force=True))
    asked, begun = logged(tmp_path)
    assert (asked.kind, begun.kind, begun.text) == ("failover-asked", "maintenance-begun", "lb2 is in maintenance")
    assert begun.why == "failover"


def test_a_node_that_is_let_in_leaves_an_event_where_that_is_new(tmp_path, monkeypatch):
    monkeypatch.setenv("LBKIT_STATE", str(tmp_path))
    new = iter((True, False))
    monkeypatch.setattr("lbkit.pair.meeting.let_in", lambda *rest: next(new))
    monkeypatch.setattr("lbkit.pair.meeting.know", lambda *rest: False)
    way = Ssh.model_validate({"user": pwd.getpwuid(os.getuid()).pw_name})
    for _ in range(2):
        _take(_Meeting("lb1", tmp_path / "site.toml", None, way), Invitation("lb2", "ssh-ed25519 A", ()))
    (event,) = logged(tmp_path)
    assert (event.kind, event.text) == ("node-let-in", f"lb2 may run lbkit pair-receive here, as {way.user}")
    assert (event.who, event.details) == (who_asks(), {"node": "lb2"})


_TAKES = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    assert asked.get("who") or asked["ask"] == "sync.state"
    applied = {"generation": 0, "digest": "", "node": "", "who": "", "when": 0, "history": []}
    print(json.dumps({"ok": True, "applied": applied, "changes": [], "steps": [], "warnings": []}), flush=True)
"""


def test_a_sync_leaves_an_event_once_the_other_node_has_it(here, tmp_path, loaded):
    applied.note(bundle.digest(here.site_file), "lb2", tmp_path)
    with Link(loaded, loaded.pair.nodes[0], command=[sys.executable, "-c", _TAKES]) as link:
        work = Sync(loaded, here.site_file, link, tmp_path)
        work.look()
        assert logged(tmp_path) == []
        work.carry_out()
    (event,) = logged(tmp_path)
    assert (event.kind, event.text) == ("site-synced", "lb1 has generation 1 of this node's site in force")
    assert (event.who, event.details) == (who_asks(), {"node": "lb1", "generation": 1})


def test_a_node_that_is_replaced_leaves_an_event(here, tmp_path, loaded, monkeypatch):
    monkeypatch.setattr("lbkit.operate.replace_node._home", lambda user, peer: tmp_path)
    monkeypatch.setattr("lbkit.pair.meeting.invitation", lambda name, key: Invitation(name, "ssh-ed25519 A", ()))
    applied.note(bundle.digest(here.site_file), "lb2", tmp_path)
    for dry_run in (True, False):
        replace_node(loaded, here.site_file, tmp_path, force=True, dry_run=dry_run)
    (event,) = logged(tmp_path)
    assert (event.kind, event.text) == ("node-replaced", "lb1: its old machine is let in no more")
    assert (event.who, event.details) == (who_asks(), {"node": "lb1"})


# --- what the other node asks ---


def test_maintenance_that_the_other_node_asks_for_is_in_the_log_here_once_it_changes(here, tmp_path):
    asked = {"value": True, "who": "anna@lb1", "why": "memory", "from": "lb1"}
    handover.maintain(here, asked)
    handover.maintain(here, asked)
    handover.maintain(here, asked | {"value": False})
    begun, ended = logged(tmp_path)
    assert (begun.kind, begun.text, begun.details) == ("maintenance-begun", "lb2 is in maintenance", {"node": "lb2"})
    assert (begun.who, begun.why, begun.origin) == ("anna@lb1", "memory", "node lb1")
    assert (ended.kind, ended.text) == ("maintenance-ended", "lb2 is no longer in maintenance")


def test_what_this_node_asks_of_itself_its_verb_records(here, tmp_path):
    handover.maintain(here, {"value": True, "who": "anna@lb2", "why": ""})
    handover.prefer(here, {"value": True, "old": "lb1", "new": "lb2", "sessions": "keep", "who": "anna@lb2"})
    assert logged(tmp_path) == []


def test_a_failover_that_the_other_node_begins_is_in_the_log_here(here, tmp_path):
    asked = {"value": True, "who": "anna@lb1", "why": "new memory", "from": "lb1"}
    handover.prefer(here, asked | {"old": "lb1", "new": "lb2", "sessions": "keep"})
    handover.prefer(here, asked)  # it ends so
    (event,) = logged(tmp_path)
    assert (event.kind, event.level) == ("failover-asked", "info")
    assert event.text == "the VIPs are to move from lb1 to lb2; open sessions: keep"
    assert (event.who, event.why, event.origin) == ("anna@lb1", "new memory", "node lb1")
    assert event.details == {"old": "lb1", "new": "lb2", "sessions": "keep"}


def test_that_the_other_node_has_left_is_in_the_log_here(here, tmp_path):
    leave.told(here, {"node": "lb1", "who": "anna@lb1"})
    (event,) = logged(tmp_path)
    assert (event.kind, event.text, event.who, event.origin) == (
        "node-left",
        "lb1 has left the pair",
        "anna@lb1",
        "node lb1",
    )


def test_a_node_of_before_does_not_say_its_name():
    assert audit.by_peer({}) == ("", "the other node")
