"""`lbkit pair status` and the line of `lbkit overview`, on a machine where nothing of the pair runs."""

from __future__ import annotations

import json

import pytest
from unit.site_text import server, site, vip
from unit.test_cli import lbkit

from lbkit.operate.whereabouts import whereabouts
from lbkit.site.load import load_site

NODES = [{"name": name, "address": address} for name, address in (("lb1", "127.0.0.11"), ("lb2", "127.0.0.12"))]
SETTINGS = {
    "haproxy": {"folder": "etc", "runtime": "run", "master_socket": "run/master.sock"},
    "keepalived": {"folder": "etc", "pid_file": "run/keepalived.pid", "runtime": "run/vrrp"},
    "agent": {"socket": "run/agent.sock"},
}


@pytest.fixture
def place(tmp_path):
    """Makes a site, and gives the environment of its commands."""

    def made(**more):
        text = site(vip("WEB", "127.0.0.9:80", server("s1", "127.0.0.2:80")), **SETTINGS, **more)
        (tmp_path / "site.toml").write_text(text)
        return {"LBKIT_SITE": str(tmp_path / "site.toml"), "LBKIT_STATE": str(tmp_path / "state"), "LBKIT_NODE": ""}

    return made


@pytest.fixture
def paired(place):
    # nobody listens at port 1: no ssh of this machine is asked
    return place(pair={"nodes": NODES, "ssh": {"port": 1}}) | {"LBKIT_NODE": "lb1"}


def test_a_site_without_a_pair_is_exit_3_with_words(place):
    ran = lbkit("pair", "status", **place())
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "has no [pair]" in ran.stderr


def test_a_machine_that_is_no_node_is_exit_3_with_words(paired):
    ran = lbkit("pair", "status", **paired | {"LBKIT_NODE": "lb3"})
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "lb3" in ran.stderr


def test_where_nothing_runs_nobody_has_the_vips_and_each_thing_is_told(paired):
    ran = lbkit("pair", "status", **paired)
    assert (ran.returncode, ran.stderr) == (2, "")
    for said in ("lb1 does not have the VIPs", "keepalived does not run", "HAProxy does not run", "no agent answers",
                 "lbkit apply", "this node and lb2 have not met. → lbkit pair setup"):  # fmt: skip
        assert said in " ".join(ran.stdout.split())


def test_the_same_as_json_has_what_is_known_and_null_for_the_rest(paired):
    ran = lbkit("pair", "status", "--json", **paired)
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["code"], found["nodes"]["lb2"]) == (2, 2, None)
    assert found["nodes"]["lb1"]["keepalived"] == "dead"
    assert found["nodes"]["lb1"]["servers_up"] is None
    assert {one["level"] for one in found["findings"]} == {"outage", "wrong"}


def test_where_the_vips_are_is_one_line_only_with_a_pair_and_on_its_nodes(paired, place, monkeypatch):
    for name, value in paired.items():
        monkeypatch.setenv(name, value)
    loaded = load_site(paired["LBKIT_SITE"], {})
    assert whereabouts(loaded) == "lb1 (this node) does not have the VIPs (unknown): lbkit pair status"
    monkeypatch.setenv("LBKIT_NODE", "lb3")
    assert whereabouts(loaded) == ""
    assert whereabouts(load_site(place()["LBKIT_SITE"], {})) == ""
