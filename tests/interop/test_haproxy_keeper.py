"""The keeper of intents beside a real HAProxy that others reload, kill, start, and set servers of by hand."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.load import clients
from interop.operated import Operated
from interop.three import site as site
from interop.three import until
from unit.site_text import server, vip
from unit.site_text import site as site_text

import lbkit
from lbkit.agent import haproxy as keeping
from lbkit.agent.haproxy import HaproxyKeeper
from lbkit.haproxy import process, program
from lbkit.haproxy.runtime import Runtime
from lbkit.operate import tables
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.overview import overview
from lbkit.operate.reload import reload
from lbkit.operate.weight import weight
from lbkit.state.intents import Intents

WITHIN = 1.0  # seconds


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "EVERY", 0.01)


class Kept:
    """A keeper that runs. `said`: its log. `mended`: what it has put right."""

    def __init__(self, site: Operated) -> None:
        self.said: list[str] = []
        self.mended: list[str] = []
        self.keeper = HaproxyKeeper(site.site, site.state, self.said.append, self.mended.extend)
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self.keeper.run())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def kept(site: Operated) -> Iterator[Kept]:
    made = Kept(site)
    try:
        yield made
    finally:
        made.end()


def in_force(site: Operated) -> dict[str, list[str]]:
    return {view.label: [one.engine for one in view.servers] for view in overview(site.site, state=site.state)}


def asked(site: Operated) -> dict[str, list[str]]:
    """A drain, a halt and a weight, of three VIPs; what is in force by then."""
    drain(site.site, site.asked("NONE", "one"))
    halt(site.site, site.asked("SOURCE", "two"))
    weight(site.site, site.asked("LAST", "one"), 7)
    return {"LAST": ["online", "online"], "SOURCE": ["online", "halt"], "NONE": ["drain", "online"]}


def weights(site: Operated) -> list[int]:
    return [one.weight for one in overview(site.site, ["LAST"], site.state)[0].servers]


def pid(site: Operated) -> str:
    return site.haproxy.runtime.info()["Pid"]


def reload_by_hand(site: Operated) -> None:
    before = pid(site)
    os.kill(next(one.pid for one in site.haproxy.master.processes() if one.kind == "master"), signal.SIGUSR2)
    until(lambda: pid(site) != before)


def crash(site: Operated) -> None:
    for one in site.haproxy.master.processes():
        os.kill(one.pid, signal.SIGKILL)


@pytest.mark.parametrize("again", [False, True], ids=["reloaded", "killed-and-started"])
def test_what_operators_asked_is_in_force_within_a_second_whoever_has_started_the_worker(
    site: Operated, again: bool
) -> None:
    wanted = asked(site)
    with kept(site) as keeper:
        time.sleep(keeping.EVERY)
        if again:
            crash(site)
            until(lambda: bool(keeper.keeper.trouble))
            process.start(site.haproxy, program.find())
        else:
            reload_by_hand(site)
        begun = time.monotonic()
        until(lambda: in_force(site) == wanted and weights(site) == [7, 100])
        assert time.monotonic() - begun < WITHIN
        assert site.tally("NONE", 10) == {"two": 10}
        until(lambda: "NONE/one" in keeper.said[-1] or "NONE/one" in keeper.said[-2])
        assert sum("HAProxy has a new worker" in line for line in keeper.said) == 1
        assert sorted(keeper.mended) == ["LAST/one", "NONE/one", "SOURCE/two"]


def test_without_the_keeper_a_reload_by_hand_forgets_what_operators_asked(site: Operated) -> None:
    asked(site)
    reload_by_hand(site)
    assert set().union(*in_force(site).values()) == {"online"}


def test_a_server_is_back_online_within_a_second_when_its_time_is_up_and_no_other_is_touched(site: Operated) -> None:
    asked(site)
    until_when = time.time() + 1.0
    (was,) = [one for one in Intents(site.state).all() if one.vip == "NONE"]
    with kept(site) as keeper:
        until(lambda: keeper.keeper._worker is not None)
        Intents(site.state).record(replace(was, until=until_when))
        site.haproxy.runtime.set_state("NONE", "two", "drain")  # by hand
        assert in_force(site)["NONE"] == ["drain", "drain"]
        until(lambda: in_force(site)["NONE"] == ["online", "drain"])
        assert until_when - 0.05 < time.time() < until_when + WITHIN
        until(lambda: len(keeper.said) == 1)
        assert keeper.said == ["The time of what was asked is up; online again: NONE/one."]
        time.sleep(2 * keeping.EVERY)
        assert len(keeper.said) == 1
        assert in_force(site) == {
            "LAST": ["online", "online"],
            "SOURCE": ["online", "halt"],
            "NONE": ["online", "drain"],
        }


@pytest.mark.usefixtures("often")
def test_what_is_done_by_hand_at_haproxy_stays(site: Operated) -> None:
    with kept(site) as keeper:
        until(lambda: keeper.keeper._worker is not None)
        site.haproxy.runtime.set_state("NONE", "one", "maint")
        time.sleep(0.3)
        assert in_force(site)["NONE"] == ["halt", "online"]
        assert keeper.said == []


@pytest.mark.usefixtures("often")
def test_guarded_reloads_under_load_misroute_nobody_while_the_keeper_runs(site: Operated) -> None:
    tables.pin(site.site, "LAST", "two")
    drain(site.site, site.asked("NONE", "one"))
    with (
        kept(site) as keeper,
        clients(lambda: site.named("LAST"), 300) as last,
        clients(lambda: site.named("NONE"), 50) as none,
    ):
        for _ in range(8):
            reload(site.site, state=site.state)
        until(lambda: keeper.keeper._worker is not None and keeper.keeper._worker.pid == pid(site))
    assert set(last) == {"two"}
    assert set(none) == {"two"}
    assert keeper.keeper.trouble == ""
    assert [line for line in keeper.said if "all was so already" not in line] == []
    assert keeper.mended == []


@pytest.mark.usefixtures("often")
def test_while_another_lbkit_is_at_work_it_waits_and_names_it_when_that_takes_too_long(
    site: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_HELD_UP", 0.5)
    wanted = asked(site)
    with kept(site) as keeper:
        until(lambda: keeper.keeper._worker is not None)
        with Intents(site.state).alone():
            reload_by_hand(site)
            time.sleep(0.3)
            assert set().union(*in_force(site).values()) == {"online"}
            assert keeper.said == []
            until(lambda: "another lbkit has held" in keeper.keeper.trouble)
        until(lambda: in_force(site) == wanted and not keeper.keeper.trouble)
        assert len(keeper.said) == 3


@pytest.mark.usefixtures("often")
def test_that_haproxy_is_away_is_said_once_and_that_it_is_back(site: Operated) -> None:
    with kept(site) as keeper:
        until(lambda: keeper.keeper._worker is not None)
        process.stop(site.haproxy)
        until(lambda: "nobody answers at" in keeper.keeper.trouble)
        time.sleep(0.3)
        assert len(keeper.said) == 1
        process.start(site.haproxy, program.find())
        until(lambda: keeper.keeper.trouble == "")
        assert keeper.said[-1] == "HAProxy is as it should be again."


@pytest.mark.usefixtures("often")
def test_a_broken_store_is_trouble_and_nothing_is_taken_for_asked_or_not(site: Operated) -> None:
    wanted = asked(site)
    path = site.state / "intents.json"
    content = path.read_bytes()
    with kept(site) as keeper:
        until(lambda: keeper.keeper._worker is not None)
        path.write_text("{")
        until(lambda: "can't be used" in keeper.keeper.trouble)
        assert in_force_by_haproxy(site) == wanted
        path.write_bytes(content)
        until(lambda: keeper.keeper.trouble == "")


def in_force_by_haproxy(site: Operated) -> dict[str, list[str]]:
    return {label: [one.wanted for one in state.servers.values()] for label, state in site.haproxy.look().items()}


def test_looking_costs_a_request_and_nothing_else(site: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock is taken, no server asked about: twice a second, for years."""
    asked(site)
    Intents(site.state).record(*(replace(one, until=1.0) for one in Intents(site.state).all() if one.vip == "NONE"))
    keeper = HaproxyKeeper(site.site, site.state, lambda said: None, lambda mended: None)
    keeper.look()
    requests: list[str] = []
    ask = Runtime.ask
    monkeypatch.setattr(Runtime, "ask", lambda self, command: requests.append(command) or ask(self, command))
    (site.state / "verbs.lock").unlink()
    keeper.look()
    assert requests == ["show info"]
    assert not (site.state / "verbs.lock").exists()


def test_a_site_without_layer_7_has_nothing_to_keep(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(site_text(vip("D", "127.0.0.1:104", server("s", "127.0.0.2"), mode="l4-dr")))
    said: list[str] = []
    asyncio.run(HaproxyKeeper(lbkit.load_site(tmp_path / "site.toml"), tmp_path, said.append, said.extend).run())
    assert said == []
