"""The operator's commands as far as they go without an engine: misuse, completion, intents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from unit.site_text import server, site, vip
from unit.test_cli import LBKIT, lbkit, started

from lbkit.state.intents import Intent, Intents


@pytest.fixture
def place(tmp_path):
    """A site that is not applied, and no intents, as environment."""
    both = [server("s1", "127.0.0.2:80"), server("s2", "127.0.0.3:80")]
    nodes = [{"name": name, "address": address} for name, address in (("lb1", "127.0.0.11"), ("lb2", "127.0.0.12"))]
    haproxy = {"folder": "etc", "runtime": "run", "master_socket": "run/master.sock"}
    vips = [vip("WEB", "127.0.0.9:80", *both), vip("HL7", "127.0.0.9:81", both[1])]
    (tmp_path / "site.toml").write_text(site(*vips, haproxy=haproxy, pair={"nodes": nodes}))
    return {"LBKIT_SITE": str(tmp_path / "site.toml"), "LBKIT_STATE": str(tmp_path / "state")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["drain", "WEB"], "WEB alone says not which real server of which VIP"),
        (["halt", "WEB", "s1", "--all-vips"], "WEB and --all-vips contradict each other"),
        (["drain", "WEB", "s1", "--for", "2"], "--for: '2' is no duration"),
        (["drain", "WEB", "s1", "--wait", "--timeout", "x"], "--timeout: 'x' is no duration"),
        (["drain", "WEB", "s1", "--sticky", "perhaps"], "perhaps"),
        (["drain", "NO_SUCH", "s1"], "no VIP of site test is labelled 'NO_SUCH'"),
        (["weight", "WEB", "s1", "257"], "256"),
        (["weight", "WEB", "s1", "heavy"], "integer"),
        (["pin", "WEB"], "Give RIP or --first"),
        (["pin", "WEB", "s1", "--first"], "Give RIP or --first"),
        (["show-table", "WEB", "--limit", "0"], "greater than or equal to 1"),
        (["show-table", "WEB"], "WEB has no table"),
        (["overview", "--watch", "--interval", "now"], "--interval: 'now' is no duration"),
        (["render", "nginx"], "No such command"),
        (["certs", "rotate", "NO_SUCH"], "NO_SUCH"),
    ],
)
def test_misuse_is_exit_3_with_a_message_and_nothing_on_stdout(place, arguments, says):
    ran = lbkit(*arguments, **place)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "arguments", [["overview"], ["drain", "WEB", "s1"], ["why", "WEB"], ["online", "s2", "--all-vips", "--dry-run"]]
)
def test_an_engine_that_does_not_run_is_exit_2_with_a_message(place, arguments):
    ran = lbkit(*arguments, **place)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("lbkit: ")
    assert "Traceback" not in ran.stderr


def test_a_watch_of_an_engine_that_does_not_run_goes_on_until_ctrl_c(place):
    command = [LBKIT, "overview", "--watch", "--interval", "20ms"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | place
    ) as it:
        said = [it.stderr.readline() for _ in range(2)]
        it.send_signal(signal.SIGINT)
        assert (it.wait(10), it.stdout.read()) == (0, "")
    assert all(line.startswith("lbkit: ") for line in said)


def test_a_command_that_fails_leaves_no_intent(place):
    lbkit("drain", "WEB", "s1", **place)
    assert json.loads(lbkit("intents", "--all", "--json", **place).stdout) == {"intents": [], "peer": None}


def test_a_node_of_the_pair_is_rendered_by_its_name(place):
    first, second = (lbkit("render", "haproxy", "--node", name, **place).stdout for name in ("lb1", "lb2"))
    assert "listen WEB" in first
    assert first != second
    assert lbkit("render", "haproxy", "--node", "lb3", **place).returncode == 3


def completed(line, place):
    ran = started(_LBKIT_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1), **place)
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("lbkit overview ", ["WEB", "HL7"]),
        ("lbkit drain W", ["WEB"]),
        ("lbkit drain WEB ", ["s1", "s2"]),
        ("lbkit halt HL7 ", ["s2"]),
        ("lbkit drain --all-vips s", ["s1", "s2"]),
        ("lbkit drain NO_SUCH ", []),
        ("lbkit why WEB s1", ["s1"]),
        ("lbkit pin HL7 ", ["s2"]),
        ("lbkit clear-table HL7 --server ", ["s1", "s2"]),
        ("lbkit apply --node ", ["lb1", "lb2"]),
    ],
)
def test_labels_are_completed(place, line, labels):
    assert completed(line, place) == labels


def test_the_site_that_is_named_before_is_the_one_that_completes(place, tmp_path):
    (tmp_path / "other.toml").write_text(site(vip("OTHER", "127.0.0.9:82", server("s9", "127.0.0.4:80"))))
    assert completed(f"lbkit overview --site {tmp_path}/other.toml ", place) == ["OTHER"]
    assert completed(f"lbkit drain --site {tmp_path}/other.toml OTHER ", place) == ["s9"]


@pytest.fixture
def recorded(place, tmp_path):
    now = time.time()
    more = {"who": "anna@lb1", "when": now}
    Intents(tmp_path / "state").record(
        Intent("A", "s1", "drain", why="updates", until=now + 7200, **more),
        Intent("B", "s1", "online", **more),
        Intent("C", "s1", "halt", until=now - 1, **more),
        Intent("D", "s1", "online", weight=5, **more),
        Intent("E", "s1", "drain", sticky=True, **more),
    )
    return place


def test_intents_lists_what_is_in_force_and_says_something(recorded):
    rows = lbkit("intents", **recorded).stdout.splitlines()[3:]
    assert [row.split()[0] for row in rows if row.strip()] == ["A", "D", "E"]
    assert "drain" in rows[0]
    assert "anna@lb1" in rows[0]
    assert "updates" in rows[0]
    assert "online, weight 5" in rows[1]
    assert "drain, sticky clients move" in rows[2]


def test_intents_all_has_those_too_that_are_over_or_online(recorded):
    found = json.loads(lbkit("intents", "--all", "--json", **recorded).stdout)["intents"]
    assert [one["vip"] for one in found] == ["A", "B", "C", "D", "E"]
    rows = lbkit("intents", "--all", **recorded).stdout.splitlines()
    assert [", over" in row for row in rows if " s1 " in row] == [False, False, True, False, False]


def test_no_intents_are_one_line(place):
    ran = lbkit("intents", **place)
    assert ran.returncode == 0
    assert ran.stdout == "no real server is asked to be out, or to have another weight\n"


def test_a_broken_store_of_intents_is_a_message(recorded, tmp_path):
    (tmp_path / "state" / "intents.json").write_text("{")
    ran = lbkit("intents", **recorded)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "intents.json can't be used" in ran.stderr


def test_doctor_says_which_haproxy_is_used_and_whether_the_sites_answers(place):
    found = {one["name"]: one for one in json.loads(lbkit("doctor", "--json", **place).stdout)}
    assert found["haproxy of the site"]["state"] == "absent"
    found = {
        one["name"]: one
        for one in json.loads(lbkit("doctor", "--json", LBKIT_HAPROXY="/nonexistent/haproxy", **place).stdout)
    }
    assert found["haproxy"]["state"] == "wrong"
    assert "/nonexistent/haproxy" in found["haproxy"]["found"]
