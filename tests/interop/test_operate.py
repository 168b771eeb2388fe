"""The operator's verbs on a real HAProxy, of both versions, with real connections."""

from __future__ import annotations

import time

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.load import clients
from interop.operated import Operated, three_vips
from interop.three import site as site
from interop.three import until

from lbkit.errors import Misuse, NotRunning, Refused, WaitRanOut
from lbkit.haproxy import persistence, process
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.statistics_page import StatisticsPage
from lbkit.operate import both_tables, tables
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.overview import overview, overview_of_page
from lbkit.operate.reload import reload
from lbkit.operate.wait import wait
from lbkit.operate.weight import weight
from lbkit.operate.why import why
from lbkit.state.intents import Intents


def seen(site: Operated, vip: str) -> dict[str, tuple[str, str]]:
    view = overview(site.site, [vip], site.state)[0]
    return {server.label: (server.engine, server.health) for server in view.servers}


def test_a_drained_server_of_a_last_successful_vip_gets_no_new_connection(site: Operated) -> None:
    with site.connect("LAST") as open_one:
        assert open_one.recv(64) == b"one\n"
        done = drain(site.site, site.asked("LAST", "one", why="patches"))[0]
        assert site.tally("LAST", 50) == {"two": 50}
        open_one.sendall(b"still there")
        assert open_one.recv(64) == b"still there"
    assert (done.connections, done.entries) == (1, 0)
    assert seen(site, "LAST")["one"] == ("drain", "up")


def test_clients_that_the_table_keeps_stay_on_a_drained_server_unless_they_are_moved(site: Operated) -> None:
    sources = [f"127.0.5.{number}" for number in range(1, 41)]
    before = {source: site.named("SOURCE", source) for source in sources}
    kept = [source for source in sources if before[source] == "one"]
    assert kept
    done = drain(site.site, site.asked("SOURCE", "one"))[0]
    assert done.entries == len(kept)
    assert "--sticky move" in done.warnings[0]
    assert {site.named("SOURCE", source) for source in kept} == {"one"}
    moved = drain(site.site, site.asked("SOURCE", "one"), move_sticky=True)[0]
    assert moved.entries == 0
    assert {site.named("SOURCE", source) for source in sources} == {"two"}


def test_a_halt_ends_open_connections_those_of_old_workers_too(site: Operated) -> None:
    before = site.connect("LAST")
    assert before.recv(64) == b"one\n"
    reload(site.site, state=site.state)
    since = site.connect("LAST")
    assert since.recv(64) == b"one\n"
    view = overview(site.site, ["LAST"], site.state)[0].servers[0]
    assert (view.connections, view.old_connections) == (2, 1)
    done = halt(site.site, site.asked("LAST", "one"))[0]
    assert done.connections == 0
    for connection in (before, since):
        assert connection.recv(64) == b""
        connection.close()
    assert site.tally("LAST", 20) == {"two": 20}
    assert seen(site, "LAST")["one"] == ("halt", "unknown")


def test_a_server_that_is_online_again_takes_clients_and_the_vip_stays_stuck(site: Operated) -> None:
    halt(site.site, site.asked("LAST", "one"))
    assert site.named("LAST") == "two"
    done = online(site.site, site.asked("LAST", "one"))[0]
    assert "lbkit pin LAST one" in done.warnings[0]
    until(lambda: seen(site, "LAST")["one"] == ("online", "up"))
    assert site.tally("LAST", 20) == {"two": 20}
    view = overview(site.site, ["LAST"], site.state)[0]
    assert view.stuck_to == "two"
    assert "lbkit pin LAST --first" in view.warnings[0]


def test_a_pinned_vip_goes_back_without_any_failure(site: Operated) -> None:
    drain(site.site, site.asked("LAST", "one"))
    assert site.named("LAST") == "two"
    online(site.site, site.asked("LAST", "one"))
    done = tables.pin(site.site, "LAST", first=True)
    assert done.server == "one"
    assert site.tally("LAST", 30) == {"one": 30}


def test_a_connection_that_is_being_made_does_not_take_a_pin_back(
    site: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy HAProxy writes the server of before once more; here that is done for it, right after the first try."""
    put, engine, tries = both_tables.Ours.put, Haproxy(site.site), []

    def put_and_lose(ours: both_tables.Ours, entries: dict[str, str]) -> None:
        put(ours, entries)
        if not tries:
            engine.runtime.set_entry("LAST", persistence.KEY, engine.id_of("LAST", "one"))
        tries.append(entries)

    monkeypatch.setattr(both_tables.Ours, "put", put_and_lose)
    assert site.named("LAST") == "one"
    tables.pin(site.site, "LAST", "two")
    assert len(tries) == 2
    assert site.tally("LAST", 30) == {"two": 30}


def test_a_server_that_is_down_is_not_pinned_unless_it_is_forced(site: Operated) -> None:
    site.servers["two"].die()
    until(lambda: seen(site, "LAST")["two"][1] == "down")
    with pytest.raises(Refused, match="two of LAST is down"):
        tables.pin(site.site, "LAST", "two")
    assert tables.pin(site.site, "LAST", "two", force=True).warnings


def test_a_cleared_table_has_no_entry_that_is_older_than_the_clear(site: Operated) -> None:
    for number in range(1, 101):
        site.named("SOURCE", f"127.0.6.{number}")
    assert tables.show(site.site, "SOURCE").used == 100
    with clients(lambda: site.named("SOURCE", "127.0.7.1"), 300):
        time.sleep(0.2)
        tables.clear(site.site, "SOURCE")
        assert {entry.key for entry in tables.show(site.site, "SOURCE").entries} <= {"127.0.7.1"}


def test_entries_are_cleared_by_key_and_by_server(site: Operated) -> None:
    sources = [f"127.0.6.{number}" for number in range(1, 31)]
    named = {source: site.named("SOURCE", source) for source in sources}
    tables.clear(site.site, "SOURCE", key=sources[0])
    tables.clear(site.site, "SOURCE", server="two")
    left = {entry.key for entry in tables.show(site.site, "SOURCE").entries}
    assert left == {source for source in sources[1:] if named[source] == "one"}
    assert {entry.server for entry in tables.show(site.site, "SOURCE", server="one").entries} == {"one"}


def test_a_clear_can_end_the_connections_of_those_it_names(site: Operated) -> None:
    with site.connect("LAST") as connection:
        assert connection.recv(64) == b"one\n"
        assert tables.clear(site.site, "LAST", end_sessions=True).connections == 1
        assert connection.recv(64) == b""


def test_the_last_server_that_serves_is_not_taken_out_unless_it_is_forced(site: Operated) -> None:
    drain(site.site, site.asked("NONE", "one"))
    for verb in (drain, halt):
        with pytest.raises(Refused, match="two is the last real server that serves NONE"):
            verb(site.site, site.asked("NONE", "two"))
    with pytest.raises(Refused):
        weight(site.site, site.asked("NONE", "two"), 0)
    assert seen(site, "NONE")["two"] == ("online", "up")
    assert drain(site.site, site.asked("NONE", "two", force=True))[0].warnings
    assert overview(site.site, ["NONE"], site.state)[0].colour == "red"


def test_a_server_that_is_down_may_be_taken_out_though_no_other_serves(site: Operated) -> None:
    drain(site.site, site.asked("NONE", "one"))
    site.servers["two"].die()
    until(lambda: seen(site, "NONE")["two"][1] == "down")
    halt(site.site, site.asked("NONE", "two"))


def test_a_dry_run_says_what_would_be_done_and_does_nothing(site: Operated) -> None:
    before = site.haproxy.runtime.servers()
    for verb in (drain, halt):
        assert verb(site.site, site.asked("LAST", "one", dry_run=True))[0].steps
    assert weight(site.site, site.asked("NONE", "one", dry_run=True), 7)[0].steps
    assert [(one.name, one.admin_state, one.weight) for one in site.haproxy.runtime.servers()] == [
        (one.name, one.admin_state, one.weight) for one in before
    ]
    assert Intents(site.state).all() == ()


def test_a_real_server_is_taken_out_of_every_vip_at_once(site: Operated) -> None:
    both = site.asked(None, "one", force=True)
    done = drain(site.site, both)
    assert [one.vip for one in done] == ["LAST", "SOURCE", "NONE"]
    assert {vip: seen(site, vip)["one"][0] for vip in ("LAST", "SOURCE", "NONE")} == dict.fromkeys(
        ("LAST", "SOURCE", "NONE"), "drain"
    )


def test_waiting_ends_when_the_last_connection_has_and_else_runs_out(site: Operated) -> None:
    connection = site.connect("LAST")
    assert connection.recv(64) == b"one\n"
    reload(site.site, state=site.state)
    done = drain(site.site, site.asked("LAST", "one"))
    told: list[str] = []
    with pytest.raises(WaitRanOut, match="0 open connections and 1 of before a reload"):
        wait(site.site, done, 0.3, lambda left: told.extend(map(str, left)))
    assert told
    connection.close()
    wait(site.site, done, 10)
    assert done[0].connections == 0


def test_intents_and_weights_outlive_a_reload_and_a_restart(site: Operated) -> None:
    drain(site.site, site.asked("NONE", "one"))
    halt(site.site, site.asked("SOURCE", "two"))
    weight(site.site, site.asked("LAST", "two"), 7)
    wanted = {"NONE": ("drain", "online"), "SOURCE": ("online", "halt"), "LAST": ("online", "online")}

    def in_force() -> dict[str, tuple[str, ...]]:
        return {v.label: tuple(s.engine for s in v.servers) for v in overview(site.site, state=site.state)}

    reload(site.site, state=site.state)
    assert in_force() == wanted
    assert not [s.drift for v in overview(site.site, state=site.state) for s in v.servers if s.drift]
    process_restarted(site)
    assert in_force() == wanted
    assert overview(site.site, ["LAST"], site.state)[0].servers[1].weight == 7


def process_restarted(site: Operated) -> None:
    process.stop(site.haproxy)
    assert site.apply().started


def test_drift_between_intent_and_engine_is_shown_and_an_apply_ends_it(site: Operated) -> None:
    site.haproxy.runtime.set_state("NONE", "two", "maint")
    drifting = overview(site.site, ["NONE"], site.state)[0].servers[1]
    assert drifting.drift == "HAProxy has it halted, and online is wanted: lbkit apply brings it back"
    assert site.apply().steps[0] == "NONE/two brought back to what is wanted of it"
    assert overview(site.site, ["NONE"], site.state)[0].servers[1].drift == ""


def test_an_intent_whose_time_is_up_is_over(site: Operated) -> None:
    drain(site.site, site.asked("NONE", "one", until=time.time() + 0.3))
    until(lambda: Intents(site.state).all() == ())
    assert "online is wanted" in overview(site.site, ["NONE"], site.state)[0].servers[0].drift
    site.apply()
    assert seen(site, "NONE")["one"] == ("online", "up")


def test_a_verb_that_fails_leaves_no_intent_behind(site: Operated) -> None:
    (site.folder / "run" / "admin.sock").unlink()
    with pytest.raises(NotRunning):
        drain(site.site, site.asked("NONE", "one"))
    assert Intents(site.state).of("NONE", "one") is None


def test_why_says_health_intent_and_what_to_type_next(site: Operated) -> None:
    site.servers["two"].die()
    until(lambda: seen(site, "LAST")["two"][1] == "down")
    drain(site.site, site.asked("LAST", "one", why="patch day", force=True))
    told = why(site.site, "LAST", state=site.state)
    said = {about: " ".join(sentences) for about, sentences in told.paragraphs}
    assert told.title.startswith("LAST is red")
    assert "patch day" in said["one"]
    assert "connect: refused" in said["two"]
    assert "New clients are turned away." in said["where traffic goes"]
    assert told.next == ["lbkit online LAST one", "lbkit check site LAST --real-only -v"]


def test_names_that_are_not_there_are_told_with_what_could_be_meant(site: Operated) -> None:
    with pytest.raises(Misuse, match="Did you mean LAST"):
        drain(site.site, site.asked("LASR", "one"))
    with pytest.raises(Misuse, match=r"There are: one, two\."):
        drain(site.site, site.asked("LAST", "nine"))


def test_a_table_is_for_vips_that_have_one(site: Operated) -> None:
    with pytest.raises(Misuse, match="NONE has no table"):
        tables.show(site.site, "NONE")
    with pytest.raises(Misuse, match="only a Last Successful VIP can be pinned"):
        tables.pin(site.site, "SOURCE", "one")
    with pytest.raises(Misuse, match="name the real server, or give --first"):
        tables.pin(site.site, "LAST")


def test_the_statistics_page_tells_the_same_of_health_and_of_who_is_out(site: Operated) -> None:
    site.servers["two"].die()
    until(lambda: all(seen(site, vip)["two"][1] == "down" for vip in ("LAST", "SOURCE", "NONE")))
    halt(site.site, site.asked("SOURCE", "one", force=True))
    drain(site.site, site.asked("NONE", "one", force=True))
    page = StatisticsPage(f"http://127.0.0.1:{site.site.haproxy.stats_port}/")
    views = overview_of_page(site.site, page)
    found = {view.label: [(one.engine, one.health) for one in view.servers] for view in views}
    assert found == {
        "LAST": [("online", "up"), ("online", "down")],
        "SOURCE": [("halt", "unknown"), ("online", "down")],
        "NONE": [("drain", "up"), ("online", "down")],
    }
    assert [view.colour for view in views] == ["yellow", "red", "red"]
    assert [view.colour for view in overview(site.site, state=site.state)] == ["yellow", "red", "red"]


def test_an_intent_for_what_the_site_no_longer_has_is_forgotten_with_a_word(site: Operated) -> None:
    drain(site.site, site.asked("NONE", "one", why="patches"))
    first, second, _ = three_vips(site.servers["one"], site.servers["two"])
    site.write(first, second)
    (told,) = site.apply().warnings
    assert "NONE/one is no longer in the site: forgotten is drain by " in told
    assert Intents(site.state).of("NONE", "one") is None


def test_a_drain_warns_of_clients_that_the_table_keeps_only_where_there_are_any(site: Operated) -> None:
    assert drain(site.site, site.asked("SOURCE", "one", dry_run=True))[0].warnings == []
    site.named("SOURCE")
    (kept,) = tables.show(site.site, "SOURCE").entries
    assert "1 client that the table keeps" in drain(site.site, site.asked("SOURCE", kept.server or ""))[0].warnings[0]
