"""What a real agent writes into the log of events: each thing that happens once, in order, over its own restarts."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from interop.agents import PATIENCE, AgentProcess, agent_process, eventually, l4, running, up_at
from interop.beside import Both, CommandLine, Web
from interop.engines import haproxy_of
from interop.engines import short as short
from interop.operated import HOST, Named, operated, own_port
from unit.changed import kinds
from unit.remotes import silent
from unit.site_text import server, site, vip

from lbkit.agent import sight
from lbkit.agent.picture import read
from lbkit.haproxy import process, program
from lbkit.haproxy.program import HAPROXY
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.reload import reload
from lbkit.state.events import Event
from lbkit.state.intents import Intent, Intents
from lbkit.state.log import EventLog

OFTEN = {"kind": "connect", "interval": "100ms", "rise": 1, "fall": 2}
OPERATORS = ("intent-set", "intent-taken-back", "reloaded", "configuration-applied")  # told by the verbs themselves
_A_LOOK = 1.5  # seconds in which the agent would have told one thing more


def told(state: Path) -> list[Event]:
    """What the agent has recorded so far."""
    return [one for one in EventLog(state).all() if one.kind not in OPERATORS]


def becomes(state: Path, *wanted: str) -> list[Event]:
    """All that is told, once it is this."""
    eventually(lambda: len(told(state)) >= len(wanted))
    assert kinds(told(state)) == list(wanted)
    return told(state)


# --- layer 4 ---


@pytest.fixture
def servers() -> Iterator[tuple[Named, Named]]:
    made = Named("one"), Named("two")
    yield made
    for one in made:
        one.die()


DEATH = ("server-down DICOM/one", "vip-degraded DICOM")
RETURN = ("server-up DICOM/one", "vip-recovered DICOM")


def four(*servers: Named) -> dict[str, object]:
    rows = [server(each.name, f"{each.host}:{each.port}") for each in servers]
    return l4("DICOM", "127.0.0.9:104", *rows, check=OFTEN)


def test_a_real_server_of_layer_4_dies_and_comes_back(servers, tmp_path):
    one, _ = servers
    with agent_process(tmp_path, four(*servers)) as agent:
        up_at(agent, "DICOM/one", "DICOM/two")
        begun = time.time()
        one.die()
        down, _ = becomes(agent.state_folder, *DEATH)
        assert begun < down.when < begun + 1.5
        assert (down.address, down.step, down.reason) == (HOST, "connect", "refused")
        assert down.node
        one.rise()
        becomes(agent.state_folder, *DEATH, *RETURN)
        counted = agent.client.state().counters
        assert counted == {"server-down": 1, "vip-degraded": 1, "server-up": 1, "vip-recovered": 1}


def test_an_agent_tells_what_has_happened_while_none_ran_and_nothing_that_was_told(servers, tmp_path):
    one, two = servers
    agent = AgentProcess(tmp_path)
    agent.write(four(*servers))
    with running(agent):
        up_at(agent, "DICOM/one", "DICOM/two")
        one.die()
        becomes(agent.state_folder, *DEATH)
        eventually(lambda: (seen := read(agent.state_folder)) is not None and seen.down)
        agent.stop(signal.SIGKILL)
    with running(agent):
        eventually(lambda: agent.health("DICOM/one") == "down")
        up_at(agent, "DICOM/two")
        two.die()
        becomes(agent.state_folder, *DEATH, "server-down DICOM/two", "vip-down DICOM")
        assert agent.stop() == 0
    one.rise()
    with running(agent):
        both = (*DEATH, "server-down DICOM/two", "vip-down DICOM")
        becomes(agent.state_folder, *both, "server-up DICOM/one", "vip-degraded DICOM")


def test_one_that_only_observes_records_what_it_sees(servers, tmp_path):
    one, _ = servers
    with agent_process(tmp_path, four(*servers), flags=("--observe",)) as agent:
        up_at(agent, "DICOM/one", "DICOM/two")
        one.die()
        becomes(agent.state_folder, *DEATH)


def test_what_was_seen_in_the_last_moment_is_recorded_by_the_end(servers, tmp_path):
    agent = AgentProcess(tmp_path)
    agent.write(four(*servers))
    with running(agent):
        up_at(agent, "DICOM/one", "DICOM/two")
        servers[0].die()
        eventually(lambda: agent.client.state().counters)
        assert agent.stop() == 0
    assert "server-down DICOM/one" in kinds(told(agent.state_folder))


def test_what_somebody_else_changes_in_ipvs_is_drift_once(listener, tmp_path):
    row = l4("DICOM", "127.0.0.9:104", server("one", listener(silent).target), check=OFTEN)
    with agent_process(tmp_path, row, flags=("--looks-often",)) as agent:
        up_at(agent, "DICOM/one")
        drift = agent.record.with_suffix(".drift")
        drift.write_text("add 127.0.0.1:104")
        found, repaired = becomes(agent.state_folder, "drift-found", "drift-repaired")
        assert found.text == "IPVS was not as lbkit had left it. Put right: add 127.0.0.1:104."
        assert repaired.details == {"engine": "IPVS"}
        for _ in range(2):
            eventually(lambda: not drift.exists())
            drift.write_text("add 127.0.0.1:104")
        becomes(agent.state_folder, "drift-found", "drift-repaired", "drift-found")


def test_without_ipvs_nobody_serves_layer_4_and_that_is_told_once_over_a_restart_of_the_agent(listener, tmp_path):
    agent = AgentProcess(tmp_path)
    agent.write(l4("DICOM", "127.0.0.9:104", server("one", listener(silent).target), check=OFTEN))
    broken = agent.record.with_suffix(".broken")
    with running(agent, "--looks-often"):
        up_at(agent, "DICOM/one")
        broken.write_text("this kernel has no IPVS. As root: modprobe ip_vs")
        (down,) = becomes(agent.state_folder, "vip-down DICOM")
        assert down.text.endswith("IPVS can't be reached: this kernel has no IPVS. As root: modprobe ip_vs")
        eventually(lambda: read(agent.state_folder))
        agent.stop()
    with running(agent, "--looks-often"):
        up_at(agent, "DICOM/one")
        time.sleep(_A_LOOK)
        becomes(agent.state_folder, "vip-down DICOM")
        broken.unlink()
        becomes(agent.state_folder, "vip-down DICOM", "vip-recovered DICOM")


def test_a_certificate_that_ends_soon_is_told_once_and_once_renewed_it_is_forgotten(listener, tmp_path):
    ca, file = trustme.CA(), tmp_path / "ccw.pem"

    def issue(days: float) -> None:
        end = datetime.now(UTC) + timedelta(days=days)
        ca.issue_cert("ccw", not_after=end).cert_chain_pems[0].write_to_path(str(file))

    issue(5)
    agent = AgentProcess(tmp_path)
    row = l4("DICOM", "127.0.0.9:104", server("one", listener(silent).target), check=OFTEN)
    text = {"agent": {"socket": str(agent.socket)}, "certificates": {"ccw": {"file": str(file)}}}
    agent.site.write_text(site(row, **text))
    with running(agent, "--looks-often"):
        (event,) = becomes(agent.state_folder, "certificate-expiring")
        assert event.details["days"] == 5
        eventually(lambda: read(agent.state_folder))
        agent.stop()
    with running(agent, "--looks-often"):
        time.sleep(_A_LOOK / 2)
        issue(400)
        agent.client.reload()
        eventually(lambda: not read(agent.state_folder).expiring)
        becomes(agent.state_folder, "certificate-expiring")


def test_an_intent_whose_time_is_up_is_told_once_and_no_old_one(listener, tmp_path):
    row = l4("DICOM", "127.0.0.9:104", server("one", listener(silent).target), check=OFTEN)
    agent = AgentProcess(tmp_path)
    agent.write(row)
    store = Intents(agent.state_folder)
    store.record(Intent("OLD", "one", "halt", until=time.time() - 100))
    with running(agent):
        up_at(agent, "DICOM/one")
        until = time.time() + 1.0
        store.record(Intent("DICOM", "one", "drain", who="anna@lb1", why="updates", until=until))
        (event,) = becomes(agent.state_folder, "intent-expired DICOM/one")
        assert (event.who, event.why, event.address) == ("anna@lb1", "updates", HOST)
        assert until <= event.when < until + 1.5
        agent.stop()
    with running(agent):
        up_at(agent, "DICOM/one")
        store.record(Intent("DICOM", "one", "halt", until=time.time() + 0.5))
        becomes(agent.state_folder, "intent-expired DICOM/one", "intent-expired DICOM/one")


# --- layer 7 ---


@pytest.fixture
def both(short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """WEB in front of the servers one and two, which are up, by HAProxy's own check."""
    monkeypatch.setenv(HAPROXY, haproxy_of("2.8").path)
    with ExitStack() as ends:
        servers = Web("one"), Web("two", "127.0.0.2")
        rows = [server(each.name, f"{each.host}:{each.port}") for each in servers]
        row = vip("WEB", f"{HOST}:{own_port()}", *rows, check=OFTEN)
        settings = {"socket": str(short / "agent.sock"), "check_port": own_port()}
        site = ends.enter_context(operated(short, row, servers={one.name: one for one in servers}, agent=settings))
        made = Both(site, CommandLine(site), *servers)
        ends.callback(lambda: _ended(made.agent))
        made.agent.start()
        eventually(lambda: _of_layer_7(made.agent) == {"one": "up", "two": "up"})
        yield made


def _ended(agent: CommandLine) -> None:
    if agent.process.poll() is None:
        agent.process.kill()
    agent.process.wait(10)


def _of_layer_7(agent: CommandLine) -> dict[str, str]:
    state = agent.answer()
    web = state.layer_7.get("WEB") if state else None
    return {label: one.health for label, one in web.servers.items()} if web else {}


DEATH_7 = ("server-down WEB/one", "vip-degraded WEB")
RETURN_7 = ("server-up WEB/one", "vip-recovered WEB")


def test_a_real_server_of_layer_7_dies_and_comes_back_and_the_agent_is_started_anew_meanwhile(both: Both) -> None:
    state = both.site.state
    both.one.die()
    down, _ = becomes(state, *DEATH_7)
    assert (down.step, down.reason, down.address) == ("connect", "refused", HOST)
    assert "1 of 2 real servers serves" in down.text
    assert both.agent.stop() == 0
    both.agent.start()
    eventually(lambda: _of_layer_7(both.agent) == {"one": "down", "two": "up"})
    both.one.rise()
    becomes(state, *DEATH_7, *RETURN_7)


@pytest.mark.parametrize("again", ["reload_by_hand", "crash_and_start"])
def test_a_haproxy_that_is_started_anew_is_no_storm_of_events(both: Both, again: str) -> None:
    both.one.die()
    becomes(both.site.state, *DEATH_7)
    getattr(both, again)()
    both.until("down", "WEB/one")
    eventually(lambda: _of_layer_7(both.agent) == {"one": "down", "two": "up"})
    both.one.rise()
    becomes(both.site.state, *DEATH_7, *RETURN_7)


def test_intents_that_somebody_elses_reload_has_lost_are_drift_and_no_down(both: Both) -> None:
    drain(both.site.site, both.site.asked("WEB", "one"))
    reload(both.site.site, state=both.site.state)  # lbkit's own keeps them
    both.reload_by_hand()
    found, _ = becomes(both.site.state, "drift-found", "drift-repaired")
    assert found.details == {"engine": "HAProxy", "changes": 1}
    assert found.text.endswith("Put right: WEB/one.")


def test_an_operator_who_halts_both_takes_the_vip_down_and_is_named(both: Both) -> None:
    halt(both.site.site, both.site.asked("WEB", "one", why="updates"))
    time.sleep(_A_LOOK)
    assert told(both.site.state) == []
    until = time.time() + 2.0
    halt(both.site.site, both.site.asked("WEB", "two", force=True, until=until))
    (down,) = becomes(both.site.state, "vip-down WEB")
    assert down.who
    assert "one is halted by" in down.text
    eventually(lambda: len(told(both.site.state)) >= 3)
    assert time.time() >= until
    assert sorted(kinds(told(both.site.state))[1:]) == ["intent-expired WEB/two", "vip-recovered WEB"]


def test_a_haproxy_that_stays_away_or_runs_without_a_vip_is_a_vip_that_is_down(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.monotonic()
    process.stop(both.site.haproxy)
    (down,) = becomes(both.site.state, "vip-down WEB")
    assert time.monotonic() - begun > 4.0
    assert "HAProxy does not answer" in down.text
    assert both.agent.client.state().layer_7 == {}
    process.start(both.site.haproxy, program.find())
    becomes(both.site.state, "vip-down WEB", "vip-recovered WEB")
    monkeypatch.setattr(sight, "EVERY", 0.1)
    monkeypatch.setattr(sight, "_LASTS", dict.fromkeys(sight._LASTS, 0.3))
    configuration = both.site.haproxy.configuration
    configuration.write_text(configuration.read_text().replace("listen WEB ", "listen OTHER "))
    both.reload_by_hand()

    async def missing() -> dict[str, str]:
        seen = sight.Sight(lambda: None)
        seen.take(both.site.site)
        async with asyncio.timeout(PATIENCE):
            while not seen.missing:
                await asyncio.sleep(0.01)
        seen.close()
        return seen.missing

    assert asyncio.run(missing()) == {"WEB": "HAProxy runs, and does not have it. Apply the site: lbkit apply"}
