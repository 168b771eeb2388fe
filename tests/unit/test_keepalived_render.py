"""What a site becomes in keepalived.conf.

`keepalived/ccw.conf` is the profile ccw as it is rendered for lb1. To have it written anew, after a change that is wanted:
LBKIT_REGENERATE=1 pytest tests/unit/test_keepalived_render.py
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from unit.site_text import server, site, vip

from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.pair import addresses, asks_haproxy, render
from lbkit.site import profiles
from lbkit.site.load import load_site
from lbkit.state.folder import FOLDER

GOLDEN = Path(__file__).parent / "keepalived" / "ccw.conf"
S = server("s", "192.0.2.21:80")
ONE = vip("ONE", "192.0.2.50:80", S)
FOUR = vip("FOUR", "192.0.2.51:80", server("s", "192.0.2.21"), mode="l4-dr")
SIX = {**FOUR, "label": "SIX", "address": "2001:db8::50", "servers": [{"label": "s", "address": "2001:db8::21"}]}
NODES = [{"name": "lb1", "address": "192.0.2.11"}, {"name": "lb2", "address": "192.0.2.12"}]


@pytest.fixture
def loaded(tmp_path):
    """`loaded(vip, …, key=…)`: a site, with `pair` beside its nodes."""

    def make(*vips: dict[str, Any], pair: dict[str, Any] | None = None, **more: Any) -> Any:
        given = {"nodes": NODES, **(pair or {})}
        (tmp_path / "site.toml").write_text(site(*(vips or (ONE,)), pair=given, **more))
        return load_site(tmp_path / "site.toml", Registry().models())

    return make


def text(found: Any, node: str = "lb1", **more: Any) -> str:
    (file,) = render.render(found, node, **more)
    return file.content.decode()


def block(configuration: str, head: str) -> list[str]:
    """The lines between `head {` and its `}`."""
    found = re.search(rf"^( *){re.escape(head)} {{\n(.*?)^\1}}", configuration, re.MULTILINE | re.DOTALL)
    assert found, head
    return [line.strip() for line in found[2].splitlines()]


# --- the whole ------------------------------------------------------------------------------------------------------


def test_the_profile_ccw_is_rendered_as_it_was_reviewed(tmp_path, monkeypatch):
    monkeypatch.delenv("LBKIT_STATE", raising=False)
    monkeypatch.setattr("sys.executable", "/opt/python/bin/python3.11")
    monkeypatch.setattr("lbkit.pair.asks_haproxy.__file__", "/opt/lbkit/lbkit/pair/asks_haproxy.py")
    (tmp_path / "site.toml").write_text(profiles.text("ccw"))
    made = text(load_site(tmp_path / "site.toml", Registry().models()))
    if os.environ.get("LBKIT_REGENERATE") == "1":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(made)
    assert made == GOLDEN.read_text()


def test_both_nodes_get_the_same_but_for_who_they_are(loaded):
    here = loaded(ONE, FOUR)
    one, two = text(here, "lb1").splitlines(), text(here, "lb2").splitlines()
    differ = [(a.strip(), b.strip()) for a, b in zip(one, two, strict=True) if a != b]
    assert differ[1:] == [
        ("router_id lb1", "router_id lb2"),
        ("priority 245", "priority 244"),
        ("unicast_src_ip 192.0.2.11", "unicast_src_ip 192.0.2.12"),
        ("192.0.2.12 min_ttl 255 max_ttl 255", "192.0.2.11 min_ttl 255 max_ttl 255"),
    ]


def test_a_site_without_a_pair_gives_nothing(tmp_path):
    (tmp_path / "site.toml").write_text(site(ONE))
    assert render.render(load_site(tmp_path / "site.toml", Registry().models())) == ()


# --- addresses ------------------------------------------------------------------------------------------------------


def test_all_addresses_move_each_once_on_the_interface_of_its_network(loaded):
    nodes = [
        {**one, "networks": {"198.51.100.0/24": "eth1", "198.51.100.128/25": "eth2", "2001:db8::/64": "eth3"}}
        for one in NODES
    ]
    again = vip("AGAIN", "192.0.2.50:81", S)
    pair = {"nodes": nodes, "floating_addresses": ["198.51.100.4", "198.51.100.200", "192.0.2.51"]}
    assert block(text(loaded(ONE, FOUR, again, SIX, pair=pair)), "virtual_ipaddress_excluded") == [
        "192.0.2.50/32 dev eth0",
        "192.0.2.51/32 dev eth0",
        "2001:db8::50/128 dev eth3 preferred_lft 0",
        "198.51.100.4/32 dev eth1",
        "198.51.100.200/32 dev eth2",
    ]


def test_adverts_name_an_address_that_does_not_depend_on_the_vips(loaded):
    first, second = loaded(ONE), loaded(FOUR, SIX)
    assert block(text(first), "virtual_ipaddress") == ["169.254.0.51/32 dev lo"]
    assert block(text(second), "virtual_ipaddress") == ["169.254.0.51/32 dev lo"]
    other = loaded(pair={"router_id": 7})
    assert block(text(other), "virtual_ipaddress") == ["169.254.0.7/32 dev lo"]
    assert addresses.anchor(other) not in addresses.floating(other)


def test_nodes_that_speak_ipv6_name_one_of_ipv6(loaded):
    nodes = [{"name": "lb1", "address": "2001:db8::11"}, {"name": "lb2", "address": "2001:db8::12"}]
    made = text(loaded(ONE, SIX, pair={"nodes": nodes}))
    assert block(made, "virtual_ipaddress") == ["fe80::112:33/128 dev lo preferred_lft 0"]
    assert block(made, "virtual_ipaddress_excluded")[0] == "192.0.2.50/32 dev eth0"


# --- what is tracked ------------------------------------------------------------------------------------------------


def test_each_tracked_file_has_its_weight_and_what_an_operator_says_outlives_a_boot(loaded, monkeypatch, tmp_path):
    monkeypatch.delenv("LBKIT_STATE", raising=False)
    made = text(loaded())
    found = {
        name: (path, int(weight))
        for name, path, weight in re.findall(r'^track_file (\w+) {\n    file "(.*)"\n    weight (-?\d+)\n}', made, re.M)
    }
    assert found == {
        "haproxy_down": ("/run/lbkit/vrrp/haproxy_down", -40),
        "servers_down": ("/run/lbkit/vrrp/servers_down", -20),
        "maintenance": (f"{FOLDER}/maintenance", -10),
        "prefer": (f"{FOLDER}/prefer", 5),
        "holder": ("/run/lbkit/vrrp/holder", 3),
        "fault": ("/run/lbkit/vrrp/fault", 0),
    }
    assert block(made, "track_file") == list(found)
    assert f'"{tmp_path}/kept/prefer"' in text(loaded(), state=tmp_path / "kept")


def test_only_the_interfaces_that_the_site_names_are_tracked_and_each_counts(loaded):
    assert "track_interface" not in text(loaded())
    assert block(text(loaded(pair={"track_interfaces": ["eth1"]})), "track_interface") == ["eth1 weight -93"]
    many = [f"eth{number}" for number in range(1, 17)]
    lines = block(text(loaded(pair={"track_interfaces": many})), "track_interface")
    assert lines == [f"{one} weight -5" for one in many]


def test_haproxy_is_asked_at_its_socket_where_the_site_has_layer_7_alone(loaded):
    made = text(loaded(ONE, haproxy={"runtime": "/run/other"}))
    (script,) = re.findall(r'script "(.*)"', made)
    python, *flags, program, socket = script.split()
    assert (flags, socket) == (["-I", "-S"], "/run/other/admin.sock")
    assert Path(python).samefile(sys.executable)
    assert Path(program).samefile(asks_haproxy.__file__)
    assert block(made, "track_script") == ["haproxy_silent"]
    assert not re.search(r"^ *(vrrp_script|track_script)", text(loaded(FOUR)), re.MULTILINE)


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"), [("1s", "1"), ("200ms", "0.2"), ("10ms", "0.01"), ("1s500ms", "1.5"), ("40s", "40")]
)
def test_adverts_are_told_in_seconds_and_hundredths(given, wanted, loaded):
    assert f"    advert_int {wanted}\n" in text(loaded(pair={"advert_interval": given}))


def test_preempt_changes_nothing_here_for_the_agent_knows_it(loaded):
    assert text(loaded()) == text(loaded(pair={"preempt": True}))
    assert not re.search(r"^ *nopreempt", text(loaded()), re.MULTILINE)


@pytest.mark.parametrize("given", ['a"b', "a$b", "a\nb", "a'b", "a!b", "a#b", "é"])
def test_a_path_that_keepalived_would_read_otherwise_is_refused(given, loaded):
    with pytest.raises(Misuse, match="keepalived can't be told"):
        render.render(loaded(), "lb1", state=Path("/var", given))
