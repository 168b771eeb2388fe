"""The peers of a pair, over TLS: two HAProxies of a site replicate their tables, and let nobody else in."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import running
from interop.engines import short as short
from interop.remotes import free_port
from unit.site_text import server, site, vip

from lbkit.checks.registry import Registry
from lbkit.haproxy import guarded
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.render import render
from lbkit.site.load import load_site
from lbkit.testing import ThrowawayCA

NODES = [{"name": "lb1", "address": "127.0.0.11"}, {"name": "lb2", "address": "127.0.0.12"}]
STICKY = {"persistence": {"mode": "source-ip"}}
ONE, OTHER = "2001:db8::7", "2001:db8::8"
WITHIN = 10.0


@pytest.fixture
def tls(throwaway_ca):
    """A certificate for both ways, and its family."""
    both = throwaway_ca.issue("lb", usage=None)
    return {
        "certificates": {"lb": {"file": both.cert_file, "key_file": both.key_file}},
        "ca_families": {"lb": {"ca_file": throwaway_ca.ca_file, "crl_file": throwaway_ca.revocation_list()}},
    }


def loaded(folder: Path, node: str, port: int, pair, tables):
    """The site of `node`, its files in a folder of its own."""
    here = folder / node
    here.mkdir(exist_ok=True)
    vips = [vip("V", f"127.0.0.{'21' if node == 'lb1' else '22'}:{free_port()}", server("s", "127.0.0.1:9"), **STICKY)]
    settings = {
        "folder": str(here / "etc"),
        "runtime": str(here / "run"),
        "master_socket": str(here / "master.sock"),
        "stats_port": free_port(),
        "peer_port": port,
    }
    (here / "site.toml").write_text(site(*vips, haproxy=settings, pair={"nodes": NODES, **pair}, **tables))
    registry = Registry()
    return load_site(here / "site.toml", registry.models()), registry


@contextmanager
def node(folder, name, port, haproxy, pair, tables):
    made, registry = loaded(folder, name, port, pair, tables)
    files = render(made, registry.kind, name, haproxy.version).files
    with running(folder / name, files, haproxy) as found:
        yield found, made


def has(found, key):
    return f"key={key} " in found.ask("show table V")


def learns(found, key):
    assert found.ask(f"set table V key {key} data.server_id 1").strip() == ""
    assert has(found, key)


def until(condition, within=WITHIN):
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


SECURED = {"certificate": "lb", "ca": "lb"}


def test_two_nodes_replicate_over_tls_and_a_reload_keeps_the_table(haproxy, short, tls):
    port = free_port()
    with (
        node(short, "lb1", port, haproxy, SECURED, tls) as (one, site_1),
        node(short, "lb2", port, haproxy, SECURED, tls) as (two, _),
    ):
        assert until(lambda: "last_status=ESTA" in one.ask("show peers"))
        learns(one, ONE)
        assert until(lambda: has(two, ONE))
        learns(two, OTHER)
        assert until(lambda: has(one, OTHER))
        guarded.reload(Haproxy(site_1), {})
        assert until(lambda: has(one, ONE) and has(one, OTHER))


def test_who_has_no_certificate_of_the_family_gets_nothing(haproxy, short, tls):
    port = free_port()
    with (
        node(short, "lb1", port, haproxy, SECURED, tls) as (one, _),
        node(short, "lb2", port, haproxy, {}, tls) as (plain, _),
    ):
        learns(one, ONE)
        learns(plain, OTHER)
        assert not until(lambda: has(plain, ONE) or has(one, OTHER), 3.0)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.11", port), 3.0) as raw,
            context.wrap_socket(raw) as asked,
            pytest.raises(ssl.SSLError, match="certificate required"),
        ):
            asked.recv(1)


def test_a_certificate_of_another_family_is_refused(haproxy, short, tls, tmp_path):
    other = ThrowawayCA(tmp_path).issue("lb", usage=None)
    foreign = {**tls, "certificates": {"lb": {"file": other.cert_file, "key_file": other.key_file}}}
    port = free_port()
    with (
        node(short, "lb1", port, haproxy, SECURED, tls) as (one, _),
        node(short, "lb2", port, haproxy, SECURED, foreign) as (two, _),
    ):
        learns(one, ONE)
        assert not until(lambda: has(two, ONE) or "last_status=ESTA" in one.ask("show peers"), 3.0)
