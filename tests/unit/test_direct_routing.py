"""What direct-routing takes for a target and for parameters, and what it knows of this machine's network."""

from __future__ import annotations

import asyncio
import json

import pytest
from unit.site_text import server, site, vip
from unit.test_cli import lbkit

from lbkit.checks.many import Checker
from lbkit.checks.registry import Registry
from lbkit.checks.target import Target
from lbkit.errors import CannotRun, Misuse
from lbkit_direct_routing import plugin
from lbkit_direct_routing.asking import Asking
from lbkit_direct_routing.observed import Named
from lbkit_direct_routing.routes import Own, own_addresses, route

PAIR = {"nodes": [{"name": "a", "address": "10.9.0.1"}, {"name": "b", "address": "10.9.0.2"}]}


@pytest.fixture
def asking(tmp_path):
    def make(*vips, **given):
        (tmp_path / "site.toml").write_text(site(*vips or SITE, pair=PAIR))
        return Asking(plugin.DirectRoutingParams.model_validate({"site_file": str(tmp_path / "site.toml"), **given}))

    return make


SITE = (
    vip("DICOM", "10.9.0.10:1115", server("one", "10.9.0.21"), server("two", "10.9.0.22:1115"), mode="l4-dr"),
    vip("MANY", "10.9.0.11:104,105", server("one", "10.9.0.21"), mode="l4-dr"),
    vip("WEB", "10.9.0.12:80", server("one", "10.9.0.21:80")),
    vip("SIX", "ADDRESS:104", server("one", "", address="2001:db8::2"), mode="l4-dr", address="2001:db8::1"),
)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("DICOM", "10.9.0.10:1115"),
        ("DICOM:1115", "10.9.0.10:1115"),
        ("10.9.0.10", "10.9.0.10:1115"),
        ("10.9.0.10:1115", "10.9.0.10:1115"),
        ("MANY:105", "10.9.0.11:105"),
        ("10.9.0.11:104", "10.9.0.11:104"),
    ],
)
def test_a_vip_is_given_by_label_or_address_and_its_port_is_the_sites(asking, text, target):
    assert str(asking().target(text)) == target


@pytest.mark.parametrize(("text", "target"), [("10.7.0.1", "10.7.0.1:104"), ("10.7.0.1:11112", "10.7.0.1:11112")])
def test_with_real_servers_an_address_needs_no_site_and_its_port_is_104(text, target):
    given = plugin.DirectRoutingParams(real_server=("10.7.0.2",), site_file="/no/such/file")
    assert str(Asking(given).target(text)) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MANY", r"this VIP has the ports 104, 105. Name one of them: MANY:104\."),
        ("NO_SUCH", r"no VIP of site test is labelled 'NO_SUCH'. Those of layer 4 are: DICOM, MANY, SIX\."),
        ("10.9.0.10:7", r"no VIP of site test is at 10.9.0.10:7\."),
        ("WEB", "WEB is of layer 7, whose real servers need no direct routing"),
        ("SIX", "direct-routing is for IPv4 only, and this VIP is 2001:db8::1"),
        ("2001:db8::1", "direct-routing is for IPv4 only"),
        ("a b", "this is no host name or address"),
    ],
)
def test_a_target_that_can_not_be_is_misuse_and_says_why(asking, text, says):
    with pytest.raises(Misuse, match=says):
        asking().target(text)


def test_real_servers_and_nodes_come_from_the_site(asking):
    asked = asking().asked(Target("10.9.0.10", 1115))
    assert asked.servers == (Named("one", "10.9.0.21"), Named("two", "10.9.0.22"))
    assert asked.nodes == (Named("a", "10.9.0.1"), Named("b", "10.9.0.2"))


def test_real_servers_that_are_given_are_the_only_ones(asking):
    asked = asking(real_server=("x=10.9.0.31", "10.9.0.32"), node=("10.9.0.3",)).asked(Target("10.9.0.10", 1115))
    assert asked.servers == (Named("x", "10.9.0.31"), Named("", "10.9.0.32"))
    assert asked.nodes == (Named("", "10.9.0.3"),)


@pytest.mark.parametrize("target", [Target("10.9.0.10", 7), Target("10.9.0.12", 80)])
def test_a_target_that_the_site_has_no_real_servers_for_can_not_be_run(asking, target):
    with pytest.raises(CannotRun):
        asking().asked(target)


@pytest.mark.parametrize("wrong", ["10.9.0", "one=", "=x", "a b=10.9.0.1", "2001:db8::1", "one=two=10.9.0.1"])
def test_a_real_server_that_is_no_address_is_misuse(wrong):
    with pytest.raises(Misuse, match=r"real_server: .* is no IPv4 address, and no LABEL=ADDRESS"):
        Registry().kind("direct-routing").prepare({"real_server": [wrong]})


def test_without_site_and_real_servers_the_command_says_what_to_give(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = lbkit("check", "direct-routing", "10.9.0.10")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "Or give the VIP's address, and its real servers with --real-server." in ran.stderr


# --- this machine's network, as the kernel tells it ---


def test_loopback_is_this_machine():
    found = route("127.0.0.9")
    assert (found.interface, found.local, found.router) == ("lo", True, "")
    assert Own("127.0.0.1", "lo") in own_addresses()


# --- in a site's plan ---


def test_check_site_has_a_row_for_each_port_that_hurts_no_exit_code(tmp_path):
    local = vip("DICOM", "127.0.0.9:1,2", server("one", "127.0.0.1"), mode="l4-dr")
    (tmp_path / "site.toml").write_text(site(local))
    ran = lbkit("check", "site", "--site", str(tmp_path / "site.toml"), "--json")
    rows = [one for one in json.loads(ran.stdout)["checks"] if one["check"] == "direct-routing"]
    assert [(row["target"], row["server"], row["status"], row["reason"]) for row in rows] == [
        ("127.0.0.9:1", None, "not-testable", "not-testable-here"),
        ("127.0.0.9:2", None, "not-testable", "not-testable-here"),
    ]


def test_a_checker_hands_on_that_it_can_not_be_run(asking):
    async def run():
        check = Registry().kind("direct-routing").prepare({"real_server": ["10.9.0.21"], "interface": "no-such0"})
        async with Checker() as checker:
            return await checker.start(check, Target("10.9.0.10", 104))

    with pytest.raises(CannotRun, match="this machine has no interface 'no-such0'"):
        asyncio.run(run())
