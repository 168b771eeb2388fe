"""The firewall as text, and what it would close of what is open now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.site_text import server, site, vip

import lbkit
from lbkit.firewall.listening import Listening, closed
from lbkit.firewall.openings import Opening
from lbkit.firewall.ruleset import file, render
from lbkit.firewall.session import Session, is_let_in
from lbkit.site.model import Site

SEVEN = vip("SEVEN", "192.0.2.10:443,8443", server("s", "192.0.2.200"))
FOUR = vip("FOUR", "192.0.2.11:104", server("s", "192.0.2.201"), mode="l4-dr")
SIX = {**vip("SIX", ":104", server("s", ":104", address="2001:db8::201"), mode="l4-dr"), "address": "2001:db8::11"}
NODES = [{"name": "lb1", "address": "192.0.2.2"}, {"name": "lb2", "address": "192.0.2.3"}]


def loaded(folder: Path, *vips: dict[str, Any], **more: Any) -> Site:
    path = folder / "site.toml"
    path.write_text(site(*vips, **more))
    return lbkit.load_site(path)


def rules(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("        ")]


def test_of_a_pair(tmp_path: Path) -> None:
    given = {"management": ["198.51.100.0/24", "2001:db8:9::/64"], "tcp_ports": [5666], "udp_ports": [123, 161]}
    one = loaded(tmp_path, SEVEN, FOUR, SIX, pair={"nodes": NODES, "ipvs_sync": True}, firewall=given)
    assert rules(render(one, "lb2")) == [
        "type filter hook prerouting priority raw; policy accept;",
        "ip daddr 192.0.2.11 tcp dport 104 notrack",
        "ip saddr 192.0.2.11 tcp sport 104 notrack",
        "ip6 daddr 2001:db8::11 tcp dport 104 notrack",
        "ip6 saddr 2001:db8::11 tcp sport 104 notrack",
        "type filter hook input priority filter; policy drop;",
        "iif lo accept",
        'ct state untracked ip daddr 192.0.2.11 tcp dport 104 accept comment "FOUR"',
        'ct state untracked ip6 daddr 2001:db8::11 tcp dport 104 accept comment "SIX"',
        'ip daddr 192.0.2.10 tcp dport { 443, 8443 } accept comment "SEVEN"',
        "ct state established,related accept",
        "icmp type { destination-unreachable, echo-request, time-exceeded, parameter-problem } accept",
        "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, "
        "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept",
        'socket wildcard 0 tcp flags & (syn | ack) == ack accept comment "open before this was loaded"',
        "ct state invalid counter drop",
        'ip saddr 198.51.100.0/24 tcp dport 22 accept comment "ssh"',
        'ip6 saddr 2001:db8:9::/64 tcp dport 22 accept comment "ssh"',
        'ip saddr 198.51.100.0/24 tcp dport 5666 accept comment "own"',
        'ip6 saddr 2001:db8:9::/64 tcp dport 5666 accept comment "own"',
        'ip saddr 198.51.100.0/24 udp dport { 123, 161 } accept comment "own"',
        'ip6 saddr 2001:db8:9::/64 udp dport { 123, 161 } accept comment "own"',
        'ip saddr 192.0.2.2 tcp dport 22 accept comment "peer_ssh"',
        'ip saddr 192.0.2.2 ip daddr 192.0.2.3 tcp dport 7778 accept comment "peer_tables"',
        'ip saddr 192.0.2.2 ip daddr 224.0.0.81 udp dport 8848 accept comment "peer_connections"',
        'ip saddr 192.0.2.2 meta l4proto 112 accept comment "VRRP"',
        'ip protocol igmp accept comment "switches ask who wants the connections"',
        'counter drop comment "the rest"',
    ]


def test_of_one_node_alone(tmp_path: Path) -> None:
    text = render(loaded(tmp_path, SEVEN))
    assert "notrack" not in text
    assert "112" not in text
    assert 'tcp dport 22 accept comment "ssh"' in rules(text)


def test_a_fallback_page_is_open_where_it_is_not_for_this_machine_alone(tmp_path: Path) -> None:
    assert "9081" not in render(loaded(tmp_path, SEVEN, fallback_page={}))
    there = render(loaded(tmp_path, SEVEN, fallback_page={"address": "192.0.2.2"}))
    assert 'ip daddr 192.0.2.2 tcp dport 9081 accept comment "fallback_page"' in rules(there)


def test_there_is_a_file_only_where_the_site_wants_one(tmp_path: Path) -> None:
    assert file(loaded(tmp_path, SEVEN)) == ()
    (made,) = file(loaded(tmp_path, SEVEN, firewall={"enabled": True, "file": "f.nft"}))
    assert made.path == tmp_path / "f.nft"


VIP = Opening("V", "tcp", (443,), ("192.0.2.10",))
SSH = Opening("ssh", "tcp", (22,), source=("198.51.100.0/24",))
OWN = Opening("own", "tcp", (5666,))


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (Listening("tcp", "192.0.2.10", 443), None),
        (Listening("tcp", "0.0.0.0", 443, "nginx"), "tcp port 443 (nginx) will answer at 192.0.2.10 alone"),
        (Listening("tcp", "192.0.2.2", 443), "tcp port 443 at 192.0.2.2 will be closed"),
        (Listening("udp", "192.0.2.10", 443), "udp port 443 at 192.0.2.10 will be closed"),
        (Listening("tcp", "::", 22, "sshd"), "tcp port 22 (sshd) will answer 198.51.100.0/24 alone"),
        (Listening("tcp", "0.0.0.0", 5666), None),
        (Listening("tcp", "192.0.2.2", 5666), None),
        (Listening("raw", "0.0.0.0", 112, "keepalived"), "IP protocol 112 (keepalived) will hear 192.0.2.3 alone"),
        (Listening("raw", "0.0.0.0", 89, "ospfd"), "IP protocol 89 (ospfd) will be closed"),
        (Listening("raw", "0.0.0.0", 1), None),
    ],
)
def test_what_it_closes_is_said(there: Listening, said: str | None) -> None:
    assert list(closed([there, there], [VIP, SSH, OWN], "192.0.2.3")) == ([said] if said else [])


def test_without_a_pair_nobodys_vrrp_is_heard() -> None:
    assert list(closed([Listening("raw", "0.0.0.0", 112)], [], None)) == ["IP protocol 112 will be closed"]


@pytest.mark.parametrize(
    ("session", "is_in"),
    [
        (Session("198.51.100.7", "192.0.2.2", 22), True),
        (Session("203.0.113.7", "192.0.2.2", 22), False),
        (Session("2001:db8::7", "2001:db8::2", 22), False),
        (Session("203.0.113.7", "192.0.2.10", 443), True),
        (Session("203.0.113.7", "192.0.2.2", 443), False),
        (Session("::1", "::1", 2222), True),
    ],
)
def test_whether_a_session_goes_on(session: Session, is_in: bool) -> None:
    assert is_let_in(session, [VIP, SSH, OWN]) is is_in
