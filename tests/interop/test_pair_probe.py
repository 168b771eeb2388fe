"""Two real HAProxies of a pair: whether tables get across is seen, in both directions and in both versions."""

from __future__ import annotations

import os
import signal

import pytest
from interop.engines import HAPROXIES, haproxy_of, rendered, running
from interop.engines import short as short
from interop.remotes import free_port
from interop.test_haproxy_peers import SECURED, node, until
from interop.test_haproxy_peers import tls as tls
from unit.site_text import server, vip

from lbkit.errors import EngineError
from lbkit.haproxy import peers
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.runtime import Runtime


def session(runtime: Runtime, name: str) -> peers.PeerSession:
    return next(one for one in peers.sessions(runtime) if one.name == name)


@pytest.mark.parametrize(("one", "other"), [(one, other) for one in HAPROXIES for other in HAPROXIES if one <= other])
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_an_entry_gets_across_both_ways_until_the_other_one_is_gone(one, other, secured, short, tls):
    port = free_port()
    pair, tables = (SECURED, tls) if secured else ({}, {})
    with node(short, "lb1", port, haproxy_of(one), pair, tables) as (_, site_1):
        here = Haproxy(site_1).runtime
        with node(short, "lb2", port, haproxy_of(other), pair, tables) as (_, site_2):
            there = Haproxy(site_2).runtime
            assert until(lambda: session(here, "lb2").established and session(there, "lb1").established)
            assert (session(here, "lb1").local, session(here, "lb1").established) == (True, False)
            assert 0 <= session(here, "lb2").heard <= 5
            for source, target in ((here, there), (there, here)):
                peers.set_probe(source, key := f"key.{'here' if source is here else 'there'}")
                assert peers.has_probe(target, key, 5.0)
            assert not peers.has_probe(here, "key.of-nobody", 0.05)
        assert until(lambda: not session(here, "lb2").established)
        assert session(here, "lb2").heard is None


def test_what_was_set_while_the_other_one_hung_gets_across_once_it_goes_on(short):
    port = free_port()
    with (
        node(short, "lb1", port, haproxy_of("2.6"), {}, {}) as (_, site_1),
        node(short, "lb2", port, haproxy_of("2.8"), {}, {}) as (_, site_2),
    ):
        here, there = Haproxy(site_1).runtime, Haproxy(site_2).runtime
        assert until(lambda: session(here, "lb2").established)
        worker = int(there.info()["Pid"])
        os.kill(worker, signal.SIGSTOP)
        peers.set_probe(here, "key.late")
        assert until(lambda: not session(here, "lb2").established)
        os.kill(worker, signal.SIGCONT)
        assert until(lambda: peers.has_probe(there, "key.late", 0.0), 30.0)


@pytest.mark.parametrize("version", HAPROXIES)
def test_a_haproxy_that_runs_without_a_pair_says_so(version, short):
    files = rendered(short, vip("V", f"127.0.0.21:{free_port()}", server("s", "127.0.0.1:9")))
    with running(short, files, haproxy_of(version)) as found:
        runtime = Runtime(str(found.runtime / "admin.sock"))
        assert [one.name for one in peers.sessions(runtime)] == ["local"]
        with pytest.raises(EngineError):
            peers.set_probe(runtime, "key")
        with pytest.raises(EngineError):
            peers.has_probe(runtime, "key", 0.0)
