"""The commands of a pair as a stranger meets them, on a machine where nothing of a pair runs."""

from __future__ import annotations

import json
import sys
import time

import pytest
from unit.site_text import server, site, vip
from unit.test_cli import lbkit
from unit.test_operator_commands_misuse import completed

from lbkit.state import left
from lbkit.state.left import Left
from lbkit_cli.main import main

NODES = [{"name": name, "address": address} for name, address in (("lb1", "127.0.0.11"), ("lb2", "127.0.0.12"))]


@pytest.fixture
def paired(tmp_path):
    """A site with a pair that never met, as environment; this machine is lb1."""
    ssh = {"port": 1}  # nobody listens there: no ssh of this machine is asked
    ssh |= {"key_file": str(tmp_path / "pair" / "key"), "known_hosts_file": str(tmp_path / "pair" / "known_hosts")}
    settings = {
        "haproxy": {"folder": "etc", "runtime": "run", "master_socket": "run/master.sock"},
        "keepalived": {"folder": "etc", "pid_file": "run/keepalived.pid", "runtime": "run/vrrp"},
        "agent": {"socket": "run/agent.sock"},
        "pair": {"nodes": NODES, "ssh": ssh},
    }
    (tmp_path / "site.toml").write_text(site(vip("WEB", "192.0.2.50:80", server("s1", "127.0.0.2:80")), **settings))
    return {
        "LBKIT_SITE": str(tmp_path / "site.toml"),
        "LBKIT_STATE": str(tmp_path / "state"),
        "LBKIT_NODE": "lb1",
    }


@pytest.fixture
def ran(monkeypatch, capsys):
    """Runs a command in this process: its exit code, stdout and stderr."""

    def run(environment, *arguments):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["lbkit", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("lbkit failover --to ", ["lb1", "lb2"]),
        ("lbkit failover --to lb2", ["lb2"]),
        ("lbkit pair maintenance ", ["on", "off"]),
        ("lbkit pair maintenance on ", ["lb1", "lb2"]),
        ("lbkit pair setup --node ", ["lb1", "lb2"]),
        ("lbkit render keepalived --node ", ["lb1", "lb2"]),
        ("lbkit render nftables --node ", ["lb1", "lb2"]),
        ("lbkit pair ma", ["maintenance"]),
    ],
)
def test_nodes_are_completed(paired, line, names):
    assert completed(line, paired) == names


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["failover", "--to", "lb3"], 3, "'lb3' is none of the pair's nodes. Give lb1 or lb2."),
        (["failover", "--sessions", "some"], 3, "some"),
        (["failover", "--drain-timeout", "soon"], 3, "--drain-timeout: 'soon' is no duration"),
        (["pair", "maintenance", "perhaps"], 3, "perhaps"),
        (["pair", "maintenance", "on", "lb3"], 3, "'lb3' is none of the pair's nodes"),
        (["pair", "setup", "--peer", "a line"], 3, "is no invitation"),
        (["pair", "measure", "--for", "long"], 3, "--for: 'long' is no duration"),
        (["pair", "measure", "--show"], 3, "nothing was measured on this node yet"),
        (["pair", "replace-node"], 3, "was never applied here"),
        (["restore", "no-such-backup.json"], 3, "no-such-backup.json"),
        (["backup", "--secrets", "encrypt"], 3, "--password-file"),
        (["failover"], 4, "lbkit pair setup"),
        (["failback"], 4, ""),
        (["pair", "sync"], 4, "Apply it first: lbkit apply"),
    ],
)
def test_what_can_not_be_is_said_with_its_exit_code_and_nothing_on_stdout(paired, ran, arguments, code, says):
    found, out, err = ran(paired, *arguments)
    assert (found, out) == (code, "")
    assert says in err


def test_a_site_without_a_pair_is_misuse_for_each(ran, tmp_path):
    (tmp_path / "site.toml").write_text(site(vip("WEB", "192.0.2.50:80", server("s1", "127.0.0.2:80"))))
    there = {"LBKIT_SITE": str(tmp_path / "site.toml"), "LBKIT_STATE": str(tmp_path / "state")}
    commands = ("status", "sync", "leave", "replace-node", "maintenance on")
    for command in ("failover", "failback", "render keepalived", *(f"pair {one}" for one in commands)):
        code, out, err = ran(there, *command.split())
        assert (code, out) == (3, ""), command
        assert "has no [pair]" in err


def test_a_dry_run_says_would_in_each_line_and_touches_nothing(paired, ran, tmp_path):
    code, out, _ = ran(paired, "pair", "leave", "--dry-run")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert all(line.startswith("would: ") for line in out.splitlines())
    assert ran(paired, "pair", "maintenance", "on", "--dry-run")[1] == "would: lb1 is in maintenance\n"
    assert not (tmp_path / "state" / "maintenance").exists()
    assert not (tmp_path / "state" / "left.json").exists()


def test_maintenance_says_why_as_every_other_verb_does(paired, ran):
    ran(paired, "pair", "maintenance", "on", "--reason", "new kernel")
    assert "new kernel" in ran(paired, "pair", "status")[1]


def test_a_node_without_a_site_goes_by_its_name_in_the_environment(ran, tmp_path):
    there = {"LBKIT_SITE": str(tmp_path / "none.toml"), "LBKIT_STATE": str(tmp_path / "state"), "LBKIT_NODE": "lb2"}
    assert json.loads(ran(there, "pair", "setup", "--dry-run", "--json")[1])["node"] == "lb2"


def test_status_says_that_a_node_has_left(paired, ran, tmp_path):
    left.write(Left("lb2", "anna@lb2", time.time()), tmp_path / "state")
    assert "lb2 left the pair at" in ran(paired, "pair", "status")[1]


def test_no_color_is_honoured_where_colour_is_forced(paired):
    coloured = lbkit("pair", "status", FORCE_COLOR="1", **paired).stdout
    assert "\x1b[1;31m" in coloured
    assert "31m" not in lbkit("pair", "status", FORCE_COLOR="1", NO_COLOR="1", **paired).stdout


@pytest.fixture
def apart(paired, tmp_path):
    """The same with nodes that are two machines, as a pair has them."""
    file = tmp_path / "site.toml"
    file.write_text(file.read_text().replace("127.0.0.1", "192.0.2.1"))
    return paired


def test_doctor_looks_at_a_node_of_a_pair(apart):
    found = {one["name"]: one for one in json.loads(lbkit("doctor", "--json", **apart).stdout)}
    assert found["node of the pair"]["found"] == "lb1 at 192.0.2.11; the other one is lb2 at 192.0.2.12"
    assert {found[name]["state"] for name in ("keepalived of the site", "agent of the site", "way to lb2")} == {
        "absent"
    }
    assert "lbkit pair setup" in found["way to lb2"]["found"]
    assert {"kernel", "ssh", "sshd", "nft", "keepalived"} <= found.keys()
    elsewhere = {one["name"]: one for one in json.loads(lbkit("doctor", "--json", **apart | {"LBKIT_NODE": ""}).stdout)}
    assert elsewhere["node of the pair"]["state"] == "absent"


def test_doctor_says_that_a_keepalived_is_too_old(apart, tmp_path):
    (tmp_path / "bin").mkdir()
    old = tmp_path / "bin" / "keepalived"
    old.write_text("#!/bin/sh\necho 'Keepalived v2.0.20 (01/22,2020)' >&2\n")
    old.chmod(0o755)
    found = {one["name"]: one for one in json.loads(lbkit("doctor", "--json", PATH=f"{tmp_path}/bin", **apart).stdout)}
    assert found["keepalived"]["state"] == "wrong"
    assert "2.2 or later" in found["keepalived"]["found"]
