"""A configuration that HAProxy refuses or does not hold, and a verb that is killed: what was there before is in force."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from interop.applied import haproxies, of, plain, tree, worker
from interop.applied import servers as servers
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.forked import forked
from interop.load import clients
from interop.operated import CHECK, HOST, Named, Operated, operated, own_port, three_vips
from unit.site_text import server, vip

from lbkit.errors import EngineError, RolledBack
from lbkit.haproxy import guarded, process
from lbkit.haproxy.master import Master
from lbkit.haproxy.program import Program
from lbkit.operate import apply as applying
from lbkit.operate import tables
from lbkit.operate.apply import diff
from lbkit.operate.drain import drain
from lbkit.operate.overview import overview
from lbkit.operate.reload import reload

TOO_MANY = 1_000_000  # connections, for the file descriptors that a process may have


def test_what_haproxy_refuses_to_read_changes_nothing(short: Path, servers: dict[str, Named]) -> None:
    a = plain("A", *servers.values())
    with operated(short, a, servers=servers) as site:
        site._settings["user"] = "no-such-user"
        site.write(a)
        before, pid = tree(short), worker(site)
        with pytest.raises(EngineError, match=r"no-such-user.* Nothing was changed"):
            site.apply()
        assert tree(short) == before
        assert worker(site) == pid


@pytest.mark.parametrize(
    ("place", "why"), [(f"{HOST}:", "another process has it"), ("192.0.2.1:", "that address is not on this machine")]
)
def test_where_haproxy_could_not_listen_nothing_is_changed_and_no_client_notices(
    short: Path, servers: dict[str, Named], place: str, why: str
) -> None:
    """HAProxy itself would find out in its reload, and refuse all clients for 2 seconds."""
    a = plain("A", *servers.values())
    with socket.create_server((HOST, own_port())) as held, operated(short, a, servers=servers) as site:
        site.write(a, vip("HELD", f"{place}{held.getsockname()[1]}", *of(*servers.values()), check=CHECK))
        before, pid = tree(short), worker(site)
        with clients(lambda: site.named("A"), 200) as counts, pytest.raises(EngineError, match=why):
            site.apply()
        assert set(counts) <= set(servers)
        assert tree(short) == before
        assert worker(site) == pid


def test_a_reload_that_fails_is_rolled_back_and_no_client_notices(
    short: Path, servers: dict[str, Named], haproxy: Program
) -> None:
    a = plain("A", *servers.values())
    with operated(short, a, servers=servers) as site:
        site._settings["max_connections"] = TOO_MANY
        site.write(a)
        before, pid = tree(short), worker(site)
        with clients(lambda: site.named("A"), 200) as counts:
            with pytest.raises(RolledBack) as rolled:
                site.apply()
            time.sleep(0.2)
        assert set(counts) == set(servers)
        assert tree(short) == before
        assert worker(site) == pid
        said = str(rolled.value)
        assert "the files are as they were before, and the engine runs with them again" in said
        assert ("FD limit" if haproxy.version >= (2, 8, 0) else "its log does") in said
        site._settings["max_connections"] = 2000
        site.write(a, plain("B", *servers.values()))
        assert site.apply().reloaded
        assert site.named("B") in servers


def test_a_first_start_that_fails_leaves_no_process_and_no_files(short: Path, servers: dict[str, Named]) -> None:
    site = Operated(short, plain("A", *servers.values()), servers=servers)
    site._settings["max_connections"] = TOO_MANY
    site.write(plain("A", *servers.values()))
    with pytest.raises(RolledBack, match=r"HAProxy does not start: .*FD limit"):
        site.apply()
    left = {name for name, (mode, _) in tree(short).items() if stat.S_ISREG(mode)}
    assert left <= {"site.toml", "etc/.lbkit-manifest.json.lock", "state/verbs.lock"}
    assert haproxies(site) == []


def test_a_first_start_that_does_not_read_back_leaves_no_process_and_no_files(
    short: Path, servers: dict[str, Named], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Operated(short, plain("A", *servers.values()), servers=servers)

    def lies(haproxy: Any) -> None:
        raise EngineError("it does not have what it was given.")

    monkeypatch.setattr(applying, "verify", lies)
    try:
        with pytest.raises(RolledBack):
            site.apply()
        assert haproxies(site) == []
        assert not site.haproxy.configuration.exists()
    finally:
        process.stop(site.haproxy)


def test_a_reload_that_does_not_read_back_is_rolled_back_with_all_that_was_in_force(
    short: Path, servers: dict[str, Named], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = servers.values()
    three = servers["three"] = Named("three", "127.0.0.3")
    a, goes = plain("A", one, two, three), plain("GOES", one, two)
    with operated(short, a, goes, servers=servers) as site:
        drain(site.site, site.asked("A", "two"))
        drain(site.site, site.asked("GOES", "one"))
        before, pid = tree(short), worker(site)
        state = [(one.backend, one.name, one.port, one.admin_state) for one in site.haproxy.runtime.servers()]
        moved = {"servers": [*of(one, two), server("three", f"{HOST}:{own_port()}")]}
        site.write({**a, **moved}, plain("COMES", one))

        def lies(haproxy: Any) -> None:
            raise EngineError("it does not have what it was given.")

        with monkeypatch.context() as patched:
            patched.setattr(applying, "verify", lies)
            with clients(lambda: site.named("A"), 100) as counts, pytest.raises(RolledBack):
                site.apply()
        assert set(counts) <= {"one", "three"}
        after = [(one.backend, one.name, one.port, one.admin_state) for one in site.haproxy.runtime.servers()]
        assert after == state
        assert worker(site) != pid
        assert tree(short) == before | {"site.toml": tree(short)["site.toml"]}


PHASES = (
    "the files are written",
    "the state file is written",
    "the new worker runs",
    "it has its entry",
    "all is done",
)


def killed_at(site: Operated, phase: str, verb: Callable[[], object]) -> None:
    """A verb in a process of its own, which is killed where `phase` begins."""

    def doomed() -> None:
        def die(*_: Any, **__: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        place, name = {
            "the files are written": (guarded, "_wait_until_it_can_teach"),
            "the state file is written": (Master, "reload"),
            "the new worker runs": (guarded, "_wait_for_entry"),
            "it has its entry": (guarded, "apply_intents"),
            "all is done": (applying, "verify"),
        }[phase]
        setattr(place, name, die)
        verb()

    with forked(doomed) as child:
        assert child.ended() == -signal.SIGKILL, f"it was not killed where {phase}: {child.said()}"


def test_what_was_killed_anywhere_is_mended_by_the_next_apply(short: Path, servers: dict[str, Named]) -> None:
    last, source, none = three_vips(*servers.values())
    with operated(short, last, source, none, servers=servers) as site:
        tables.pin(site.site, "LAST", "two")
        drain(site.site, site.asked("NONE", "one"))

        def mended(what: str) -> None:
            with clients(lambda: site.named("LAST"), 100) as counts:
                site.apply()
            assert set(counts) <= {"two"}, what
            views = {view.label: [one.engine for one in view.servers] for view in overview(site.site)}
            assert views == {"LAST": ["online"] * 2, "SOURCE": ["online"] * 2, "NONE": ["drain", "online"]}, what
            assert diff(site.site, site.kind_of) == (), what
            assert [path.name for path in (short / "run").iterdir() if "state" in path.name] == [], what
            assert site.tally("LAST", 10) == {"two": 10}, what

        for number, phase in enumerate(PHASES):
            site.write(last, source, {**none, "scheduler": ("first", "round-robin")[number % 2]})
            killed_at(site, phase, site.apply)
            mended(f"an apply, {phase}")
        for phase in PHASES[1:4]:
            killed_at(site, phase, lambda: reload(site.site, state=site.state))
            mended(f"a reload, {phase}")
