"""Stick tables of real HAProxies: read, cleared, pinned, and read back."""

from __future__ import annotations

import socket
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interop.remotes import HOST
from interop.runtime_haproxy import admin, haproxy, runtime

from lbkit.errors import Misuse, NotDone

__all__ = ["admin", "haproxy", "runtime"]


def test_an_entry_is_set_moved_found_and_cleared(runtime):
    runtime.clear_table("STICKY")
    runtime.set_entry("STICKY", "1", 1)
    runtime.set_entry("STICKY", "1", 2)
    (entry,) = runtime.table("STICKY")
    assert (entry.key, entry.server_id, entry.expires_in) == ("1", 2, None)
    assert runtime.table("STICKY", key="1") == [entry]
    assert runtime.table("STICKY", key="2") == []
    assert runtime.table("STICKY", server_id=2) == [entry]
    assert runtime.table("STICKY", server_id=1) == []
    assert (runtime.count_entries("STICKY"), runtime.count_entries("STICKY", server_id=1)) == (1, 0)
    runtime.clear_table("STICKY", server_id=1)
    assert runtime.count_entries("STICKY") == 1
    runtime.clear_table("STICKY", key="1")
    assert runtime.table("STICKY") == []


def test_a_table_of_addresses_has_its_type_and_its_expiry(admin):
    admin.clear_table("SOURCE")
    admin.set_entry("SOURCE", "192.0.2.7", 2)
    (entry,) = admin.table("SOURCE")
    assert 3590 < entry.expires_in <= 3600
    info = next(one for one in admin.tables() if one.name == "SOURCE")
    assert (info.kind, info.size, info.used) == ("ip", 204800, 1)
    for key in ("not-an-address", "::1"):
        for call in (
            lambda key=key: admin.set_entry("SOURCE", key, 1),
            lambda key=key: admin.clear_table("SOURCE", key=key),
            lambda key=key: admin.table("SOURCE", key=key),
        ):
            with pytest.raises(Misuse, match=f"'{key}' can't be a key of table SOURCE, which has type ip"):
                call()
    assert admin.count_entries("SOURCE") == 1


def test_a_key_that_is_cut_short_is_not_done(admin):
    with pytest.raises(NotDone, match="or its keys are shorter than this one"):
        admin.set_entry("STICKY", "x" * 40, 1)
    admin.clear_table("STICKY")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(' ;\\<="#@$'), min_size=1)
)
def test_any_key_that_prints_comes_back_as_it_went_in(runtime, key):
    key = key.encode()[:30].decode(errors="ignore")
    runtime.set_entry("STICKY", key, 1)
    assert [one.key for one in runtime.table("STICKY", key=key)] == [key]
    runtime.clear_table("STICKY", key=key)
    assert runtime.table("STICKY") == []


def test_the_label_of_the_server_stands_in_an_entry_that_a_connection_made(haproxy, admin):
    admin.clear_table("STICKY")
    haproxy.connect("sticky")
    (entry,) = admin.table("STICKY")
    assert entry.server_key == {1: "s1", 2: "s2"}[entry.server_id]


def test_the_next_connection_goes_where_the_entry_says(haproxy, runtime):
    for ident, name in ((1, "s1"), (2, "s2"), (1, "s1")):
        runtime.set_entry("STICKY", "1", ident)
        source = "{}:{}".format(*haproxy.connect("sticky").getsockname())
        assert [one.server for one in runtime.sessions(backend="STICKY") if one.source == source] == [name]


def test_a_large_table_comes_whole_and_filters_are_haproxys(haproxy, admin):
    admin.clear_table("SOURCE")
    keys = [f"10.1.{n >> 8}.{n & 255}" for n in range(20_000)]
    admin.write(*(f"set table SOURCE key {key} data.server_id {1 if n % 4 else 2}" for n, key in enumerate(keys)))
    for way in (admin, haproxy.master.worker()):
        found = way.table("SOURCE")
        assert sorted(one.key for one in found) == sorted(keys)
        assert way.count_entries("SOURCE") == 20_000
        assert way.count_entries("SOURCE", server_id=2) == len(way.table("SOURCE", server_id=2)) == 5000
    admin.clear_table("SOURCE", server_id=2)
    assert admin.count_entries("SOURCE") == 15_000
    admin.clear_table("SOURCE")
    assert admin.count_entries("SOURCE") == 0


def test_a_table_is_cleared_while_connections_fill_it(haproxy, admin):
    stopped = False

    def crowd():
        while not stopped:
            with socket.create_connection((HOST, haproxy.ports["sticky"]), timeout=5):
                pass

    crowds = [Thread(target=crowd) for _ in range(4)]
    for one in crowds:
        one.start()
    try:
        for _ in range(20):
            admin.clear_table("STICKY")
    finally:
        stopped = True
        for one in crowds:
            one.join()
