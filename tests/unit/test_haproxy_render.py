"""What each key of a site becomes in haproxy.cfg, and in the files beside it.

`haproxy/ccw.cfg` is the profile ccw as it is rendered for lb1. To have it written anew, after a change that is wanted:
LBKIT_REGENERATE=1 pytest tests/unit/test_haproxy_render.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unit.site_text import server, site, vip

from lbkit.checks.registry import Registry
from lbkit.errors import Misuse
from lbkit.haproxy.native import by_agent
from lbkit.haproxy.render import Rendered, render
from lbkit.lint import lint
from lbkit.site import profiles
from lbkit.site.load import load_site

GOLDEN = Path(__file__).parent / "haproxy" / "ccw.cfg"
S = server("s", "192.0.2.11:80")


@pytest.fixture
def rendered(tmp_path):
    """`rendered(vip, …, key=…)`: of a site."""

    def make(*vips: dict[str, Any], node: str | None = None, version=(2, 8, 0), **more: Any) -> Rendered:
        (tmp_path / "site.toml").write_text(site(*vips, **more))
        registry = Registry()
        return render(load_site(tmp_path / "site.toml", registry.models()), registry.kind, node, version)

    return make


@pytest.fixture
def identities(throwaway_ca, tmp_path):
    ca, client = throwaway_ca, throwaway_ca.client
    return {
        "ca_families": {"F": {"ca_file": ca.ca_file, "crl_file": ca.revocation_list()}, "G": {"ca_file": ca.ca_file}},
        "certificates": {"c": {"file": client.cert_file, "key_file": client.key_file}},
    }


def section(made: Rendered, head: str) -> list[str]:
    """The lines of the section that begins with `head`."""
    _, found, rest = f"\n{made.configuration}".partition(f"\n{head}")
    assert found, head
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [one.strip() for one in lines]


def of_vip(made: Rendered) -> list[str]:
    return section(made, "listen V ")


def names(made: Rendered) -> dict[str, tuple[int, bool]]:
    """Each file's mode, and whether it is secret."""
    root = made.files[-1].path.parent
    return {str(file.path.relative_to(root)): (file.mode, file.secret) for file in made.files}


# --- the whole ------------------------------------------------------------------------------------------------------


def test_the_profile_ccw_is_rendered_as_it_was_reviewed(tmp_path, throwaway_ca, monkeypatch):
    (tmp_path / "tls").mkdir()
    client = throwaway_ca.client
    (tmp_path / "tls/ca-cert.pem").write_bytes(Path(throwaway_ca.ca_file).read_bytes())
    (tmp_path / "tls/client-cert.pem").write_bytes(
        Path(client.cert_file).read_bytes() + Path(client.key_file).read_bytes()
    )
    (tmp_path / "site.toml").write_text(profiles.text("ccw"))
    registry = Registry()
    made = render(load_site(tmp_path / "site.toml", registry.models()), registry.kind, "lb1").configuration
    if os.environ.get("LBKIT_REGENERATE") == "1":
        GOLDEN.write_text(made)
    assert made == GOLDEN.read_text()


def test_the_same_site_gives_the_same_bytes(rendered):
    one = vip("V", "192.0.2.1:80", S, protocol="http", persistence={"mode": "http-cookie"})
    assert rendered(one).files == rendered(one).files


def test_layer_4_is_not_haproxys(rendered):
    made = rendered(vip("V", "192.0.2.1:80", S), vip("L4", "192.0.2.2:80", server("s", "192.0.2.9"), mode="l4-dr"))
    assert "L4" not in made.configuration


def test_a_site_is_loaded_and_linted_without_the_template_engine():
    code = "import sys, lbkit.lint, lbkit.site.load; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- one key after the other ----------------------------------------------------------------------------------------

COOKIE = {"protocol": "http", "persistence": {"mode": "http-cookie"}}


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, ["balance leastconn"]),
        ({"scheduler": "first"}, ["balance first"]),
        ({"scheduler": "round-robin"}, ["balance roundrobin"]),
        ({"persistence": {"mode": "source-ip"}},
         ["stick-table type ipv6 size 100000 expire 30m peers _pair", "stick on src"]),
        ({"persistence": {"mode": "source-ip", "timeout": "2h"}},
         ["stick-table type ipv6 size 100000 expire 2h peers _pair"]),
        ({"persistence": {"mode": "last-successful"}},
         ["stick-table type integer size 100000 peers _pair", "stick on int(1)"]),
        ({"persistence": {"mode": "last-successful", "timeout": "720m"}},
         ["stick-table type integer size 100000 expire 12h peers _pair"]),
        (COOKIE, ["cookie lb-V insert indirect nocache httponly attr SameSite=Lax",
                  "server s 192.0.2.11:80 id 1 cookie s"]),
        ({"protocol": "http", "persistence": {"mode": "http-cookie", "timeout": "1h"}},
         ["cookie lb-V insert indirect nocache httponly attr SameSite=Lax maxidle 1h"]),
        ({"client_timeout": "90s", "server_timeout": "250ms"}, ["timeout client 90s", "timeout server 250ms"]),
        ({"protocol": "http", "client_timeout": "5s"}, ["timeout client 5s", "timeout http-keep-alive 5s"]),
        ({"protocol": "http", "x_forwarded_for": True},
         ["option forwardfor", "http-request set-header X-Forwarded-Proto http"]),
        ({"proxy_protocol": True},
         ["default-server send-proxy-v2 check inter 5s rise 2 fall 3 check-send-proxy weight 100"]),
        ({"source_address": "192.0.2.9"}, ["server s 192.0.2.11:80 id 1 source 192.0.2.9"]),
        ({"transparent": True}, ["server s 192.0.2.11:80 id 1 source 0.0.0.0 usesrc clientip"]),
        ({"fallback": {"address": "127.0.0.1", "port": 9081}},
         ["server s         192.0.2.11:80  id 1", "server _fallback 127.0.0.1:9081 id 1000 backup non-stick no-check"]),
        ({"proxy_protocol": True, "fallback": {"address": "::1", "port": 9081}},
         ["server _fallback [::1]:9081    id 1000 backup non-stick no-check no-send-proxy-v2"]),
        ({"check": {"kind": "connect", "interval": "10s", "rise": 1, "fall": 7, "timeout": "3s", "port": 9}},
         ["timeout check 3s", "default-server check inter 10s rise 1 fall 7 port 9 weight 100"]),
        ({"check": {"kind": "connect", "fast_interval": "500ms"}, "slow_start": "30s"},
         ["default-server check inter 5s fastinter 500ms rise 2 fall 3 slowstart 30s weight 100"]),
    ],
)  # fmt: skip
def test_a_key_of_a_vip_becomes_these_lines(more, wanted, rendered):
    check = more.get("check", "connect")
    found = of_vip(
        rendered(vip("V", "192.0.2.1:80", S, check=check, **{k: v for k, v in more.items() if k != "check"}))
    )
    assert [one for one in wanted if one not in found] == []


def test_a_vip_without_these_keys_has_none_of_their_lines(rendered):
    assert of_vip(rendered(vip("V", "192.0.2.1:80", S))) == [
        "bind 192.0.2.1:80",
        "balance leastconn",
        "timeout check 5s",
        "default-server check inter 5s rise 2 fall 3 weight 100",
        "server s 192.0.2.11:80 id 1",
    ]


def test_what_all_servers_share_is_said_once_and_the_rest_at_each(rendered):
    rows = [server("a", "192.0.2.11:80", weight=1), server("long", "192.0.2.112:8080", weight=0)]
    found = of_vip(rendered(vip("V", "192.0.2.1:80", *rows)))
    assert found[-3:] == [
        "default-server check inter 5s rise 2 fall 3",
        "server a    192.0.2.11:80    id 1 weight 1",
        "server long 192.0.2.112:8080 id 2 weight 0",
    ]


def test_no_real_server_is_a_backup(rendered):
    rows = [server(name, f"192.0.2.{i}:80") for i, name in enumerate("abc", 11)]
    made = rendered(vip("V", "192.0.2.1:80", *rows, scheduler="first", persistence={"mode": "last-successful"}))
    assert "backup" not in made.configuration


def test_servers_without_port_are_checked_at_each_port_of_the_vip(rendered):
    found = of_vip(rendered(vip("V", "192.0.2.1:80,81", server("s", "192.0.2.11"))))
    assert found[:2] == ["bind 192.0.2.1:80", "bind 192.0.2.1:81"]
    assert found[4:7] == ["option tcp-check", "tcp-check connect default port 80", "tcp-check connect default port 81"]
    assert found[-1] == "server s 192.0.2.11 id 1"


def test_tls_at_the_vip_and_towards_the_servers(rendered, identities):
    ends = {"certificate": "c", "ca": "F"}
    secured = server("s", "192.0.2.11:80", re_encrypt=True, verify="F", server_name="s.test", client_certificate="c")
    fallback = {"address": "127.0.0.1", "port": 1}
    one = vip("V", "192.0.2.1:80", secured, termination=ends, fallback=fallback, **COOKIE)
    found = of_vip(rendered(one, **identities))
    assert found[0] == (
        "bind 192.0.2.1:80 ssl crt tls/certificates/c.pem alpn h2,http/1.1 verify required ca-file tls/families/F.pem "
        "crl-file tls/families/F.crl"
    )
    assert "cookie lb-V insert indirect nocache httponly secure attr SameSite=Lax" in found
    assert found[-3] == (
        "default-server ssl verify required ca-file tls/families/F.pem crl-file tls/families/F.crl verifyhost s.test "
        "sni str(s.test) crt tls/certificates/c.pem check inter 5s rise 2 fall 3 check-ssl check-sni s.test weight 100"
    )
    assert found[-1].endswith("id 1000 backup non-stick no-check no-ssl no-check-ssl")


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        ({}, "ssl verify none check"),
        ({"server_name": "s.test"}, "ssl verify none sni str(s.test) check"),
        ({"verify": "G"}, "ssl verify required ca-file tls/families/G.pem check"),
    ],
)
def test_a_server_is_verified_as_far_as_the_site_says(terms, wanted, rendered, identities):
    secured = server("s", "192.0.2.11:80", re_encrypt=True, **terms)
    assert f"default-server {wanted} inter" in rendered(vip("V", "192.0.2.1:80", secured), **identities).configuration


def test_what_only_some_servers_verify_by_is_not_said_for_the_fallback(rendered, identities):
    rows = [server("a", "192.0.2.11:80", re_encrypt=True), server("b", "192.0.2.12:80", re_encrypt=True, verify="G")]
    fallback = {"address": "127.0.0.1", "port": 1}
    found = of_vip(rendered(vip("V", "192.0.2.1:80", *rows, fallback=fallback), **identities))
    assert "default-server check inter 5s rise 2 fall 3 weight 100" in found
    assert found[-1].endswith("id 1000 backup non-stick no-check")


def test_tables_have_places_for_twice_the_connections(rendered):
    one = vip("V", "192.0.2.1:80", S, persistence={"mode": "last-successful"})
    made = rendered(one, haproxy={"max_connections": 200_000})
    assert "stick-table type integer size 400000 peers _pair" in of_vip(made)
    assert "maxconn 200000" in section(made, "global")


def test_user_and_group_are_those_of_the_site(rendered):
    found = section(rendered(vip("V", "192.0.2.1:80", S), haproxy={"user": "proxy", "group": "ops"}), "global")
    assert {"user proxy", "group ops"} <= set(found)
    assert "stats socket /run/haproxy/admin.sock mode 660 group ops level admin expose-fd listeners" in found
    assert not {one.split()[0] for one in section(rendered(vip("V", "192.0.2.1:80", S)), "global")} & {"user", "group"}


@pytest.mark.parametrize("version", [(2, 6, 12), (2, 9, 0)])
def test_with_a_transparent_vip_haproxy_keeps_what_it_needs(version, rendered):
    one = vip("V", "192.0.2.1:80", S, transparent=True)
    made = rendered(one, haproxy={"user": "proxy"}, version=version)
    found = section(made, "global")
    assert ("user proxy" in found) == ("setcap cap_net_admin" in found) == (version >= (2, 9, 0))
    assert [(name, mode) for name, (mode, _) in names(made).items()][:2] == [
        ("transparent.nft", 0o644),
        ("transparent.sh", 0o755),
    ]


def test_the_peers_are_the_pairs_nodes_or_one_alone(rendered):
    one = vip("V", "192.0.2.1:80", S)
    alone = rendered(one)
    assert section(alone, "peers _pair") == ["peer local 127.0.0.1:7778"]
    assert "localpeer local" in section(alone, "global")
    nodes = [{"name": "lb1", "address": "2001:db8::2"}, {"name": "lb2", "address": "2001:db8::3"}]
    paired = rendered(one, pair={"nodes": nodes}, haproxy={"peer_port": 1024}, node="lb2")
    assert section(paired, "peers _pair")[:2] == ["peer lb1 [2001:db8::2]:1024", "peer lb2 [2001:db8::3]:1024"]
    assert section(paired, "peers _pair")[-1].startswith("table probe ")
    assert "localpeer lb2" in section(paired, "global")


def test_the_fallback_page_is_there_when_it_is_asked_for(rendered, tmp_path):
    one = vip("V", "192.0.2.1:80", S)
    assert "_fallback_page" not in rendered(one).configuration
    made = rendered(one, fallback_page={"port": 99})
    assert "bind 127.0.0.1:99" in section(made, "frontend _fallback_page")
    page = next(file.content.decode() for file in made.files if file.path.name == "fallback.html")
    assert "test is not available" in page
    assert not re.search(r"(src|href)=|url\(|https?:", page)
    (tmp_path / "own.html").write_text("own")
    own = rendered(one, fallback_page={"file": "own.html"})
    assert next(file.content for file in own.files if file.path.name == "fallback.html") == b"own"


# --- files ----------------------------------------------------------------------------------------------------------


def test_identities_are_secret_and_whole_and_only_those_that_are_used_are_written(rendered, identities, throwaway_ca):
    unused = {"file": "/nowhere"}
    identities["certificates"]["unused"] = unused
    ends = {"certificate": "c", "ca": "F"}
    made = rendered(vip("V", "192.0.2.1:80", S, termination=ends), **identities)
    assert names(made) == {
        "tls/certificates/c.pem": (0o600, True),
        "tls/families/F.pem": (0o644, False),
        "tls/families/F.crl": (0o644, False),
        "haproxy.cfg": (0o644, False),
    }
    assert made.files[0].content.count(b"-----BEGIN ") == 2
    assert all(b"\n\n" not in file.content for file in made.files[:-1])
    assert made.certificates == {"c": made.files[0].path}
    assert made.ca_families == {"F": made.files[1].path}
    assert made.revocation_lists == {"F": made.files[2].path}
    grouped = rendered(vip("V", "192.0.2.1:80", S, termination=ends), haproxy={"group": "ops"}, **identities)
    assert grouped.files[0].mode == 0o640


def test_a_certificate_that_cannot_be_read_is_misuse_that_names_it(rendered):
    ends = {"certificate": "c"}
    with pytest.raises(Misuse, match=r"none\.pem can't be read"):
        rendered(vip("V", "192.0.2.1:80", S, termination=ends), certificates={"c": {"file": "none.pem"}})


def test_servers_with_different_hosts_have_a_map_of_them(rendered):
    rows = [server("a", "192.0.2.11:80"), server("b", "192.0.2.12:8080")]
    made = rendered(vip("V", "192.0.2.1:80", *rows, check={"kind": "https-get", "tls": False}))
    assert made.files[0].path.name == "V.map"
    assert made.files[0].content == b"a 192.0.2.11\nb 192.0.2.12:8080\n"
    one = rendered(vip("V", "192.0.2.1:80", *rows, check={"kind": "https-get", "tls": False, "host": "h%"}))
    assert list(names(one)) == ["haproxy.cfg"]
    assert "hdr Host h%% hdr" in one.configuration


def test_a_c_echo_says_what_it_sends_and_how_much_has_to_come_before_it_decides(rendered):
    found = of_vip(rendered(vip("V", "192.0.2.1:104", S, check={"kind": "c-echo"})))
    start = found.index("option tcp-check")
    shapes = [re.sub(r"(send-binary) [0-9a-f]+$", r"\1 …", one) for one in found[start + 1 : start + 7]]
    assert shapes == [
        "tcp-check connect default",
        "tcp-check send-binary …",
        "tcp-check expect min-recv 6 rbinary ^0200",
        "tcp-check expect min-recv 107 rbinary 2100....01..00",
        "tcp-check send-binary …",
        "tcp-check expect min-recv 64 rbinary "
        "00000001020000003080.*00002001020000000100.*00000008020000000101.*0000000902000000(0000)",
    ]


# --- refusals -------------------------------------------------------------------------------------------------------


def test_what_haproxy_cannot_do_is_misuse_with_every_place_and_lint_says_the_same(rendered, tmp_path):
    check = {"kind": "connect", "interval": "25d"}
    rows = [vip(name, f"192.0.2.{i}:80", S, check=check) for i, name in enumerate("VW", 1)]
    with pytest.raises(Misuse) as e:
        rendered(*rows)
    found = lint(tmp_path / "site.toml", Registry().models(), kind_of=Registry().kind)
    assert str(e.value).splitlines() == [f"{one.key}: {one.message} ({one.rule})" for one in found]
    assert len(found) == 2


BUSY = {"kind": "c-echo", "busy": "up", "timeout": "9s"}


def test_of_servers_whose_check_haproxy_cannot_run_it_asks_the_agent(rendered):
    rows = [server("a", "192.0.2.11:104", weight=1), server("b", "192.0.2.12:104", re_encrypt=True)]
    fallback = {"address": "127.0.0.1", "port": 1}
    one = vip("V", "192.0.2.1:104", *rows, check=BUSY, fallback=fallback, proxy_protocol=True, slow_start="1m")
    made = rendered(one, agent={"check_port": 99})
    assert "; check c-echo every 5s by the agent\n" in made.configuration
    assert of_vip(made) == [
        "bind 192.0.2.1:104",
        "balance leastconn",
        "timeout check 1s",
        "default-server send-proxy-v2 agent-check agent-addr 127.0.0.1 agent-port 99 agent-inter 1s slowstart 1m",
        'server a         192.0.2.11:104 id 1    agent-send "V/a\\n" weight 1',
        'server b         192.0.2.12:104 id 2    agent-send "V/b\\n" ssl verify none weight 100',
        "server _fallback 127.0.0.1:1    id 1000 backup non-stick no-check no-send-proxy-v2 no-agent-check",
    ]


def test_the_agent_is_asked_as_often_as_it_checks_where_that_is_more_often(rendered):
    made = rendered(vip("V", "192.0.2.1:104", S, check={**BUSY, "interval": "200ms"}))
    assert "agent-inter 200ms" in made.configuration


def test_the_files_of_a_check_that_the_agent_runs_are_not_haproxys(rendered, identities):
    check = {"kind": "https-get", "redirects": 1, "ca_file": identities["ca_families"]["F"]["ca_file"]}
    rows = [S, server("t", "192.0.2.12:8080")]
    assert list(names(rendered(vip("V", "192.0.2.1:80", *rows, check=check)))) == ["haproxy.cfg"]


def test_the_agent_watches_what_haproxy_cannot_and_what_nobody_can_prepare(tmp_path):
    rows = [
        vip("own", "192.0.2.1:80", S, check={"kind": "connect"}),
        vip("busy", "192.0.2.2:104", S, check=BUSY),
        vip("layer-4", "192.0.2.3:104", server("s", "192.0.2.11"), check=BUSY, mode="l4-dr"),
        vip("unknown", "192.0.2.4:80", S, check={"kind": "no-such-check"}),
    ]
    (tmp_path / "site.toml").write_text(site(*rows))
    loaded = load_site(tmp_path / "site.toml", Registry().models())
    assert [one.label for one in by_agent(loaded, Registry().kind)] == ["busy", "unknown"]


def test_an_ipv6_source_stands_in_brackets(rendered):
    """HAProxy takes what is behind the last colon for a port."""
    of_ipv6 = {"label": "s", "address": "2001:db8::10", "port": 80}
    found = of_vip(rendered(vip("V", "192.0.2.1:80", of_ipv6, source_address="2001:db8::1")))
    assert "server s [2001:db8::10]:80 id 1 source [2001:db8::1]" in found
