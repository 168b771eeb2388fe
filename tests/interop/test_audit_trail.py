"""Each verb on a real HAProxy leaves one event, once it is in force: who, why, of what. What fails leaves none."""

from __future__ import annotations

import pytest
from interop.applied import plain
from interop.engines import haproxy_of
from interop.engines import short as short
from interop.operated import Operated
from interop.test_apply_fails import TOO_MANY
from interop.three import site as site

from lbkit.errors import NotRunning, Refused, RolledBack
from lbkit.haproxy.program import Program
from lbkit.operate import generation, tables
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.reload import reload
from lbkit.operate.weight import weight
from lbkit.state.events import Event
from lbkit.state.log import EventLog
from lbkit.state.who import who_asks


@pytest.fixture
def haproxy() -> Program:
    """Either does: what the verbs do with it is tried with both elsewhere."""
    return haproxy_of("2.6")


@pytest.fixture(autouse=True)
def _by_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50123 192.0.2.11 22")


def left(site: Operated) -> list[Event]:
    """What is in the log since it was looked at last; each by whoever runs this, from where."""
    found = list(EventLog(site.state).all())
    for path in (site.state / "events").glob("*.jsonl"):
        path.unlink()
    assert {(one.who, one.origin) for one in found} <= {(who_asks(), "ssh 192.0.2.7")}
    return found


def applied(site: Operated) -> None:
    generation.apply(site.file, site.site, site.kind_of, state=site.state)


def test_each_verb_on_a_real_server_leaves_one_event(site: Operated) -> None:
    drain(site.site, site.asked("LAST", "one", why="patches", until=1_900_000_000.0), move_sticky=True)
    weight(site.site, site.asked("NONE", "two"), 7)
    halt(site.site, site.asked("LAST", "one", why="they hang"))
    online(site.site, site.asked("LAST", "one"))
    found = left(site)
    assert [(one.kind, one.about, one.why) for one in found] == [
        ("intent-set", "LAST/one", "patches"),
        ("intent-set", "NONE/two", ""),
        ("intent-set", "LAST/one", "they hang"),
        ("intent-taken-back", "LAST/one", ""),
    ]
    assert found[0].text.startswith("one of LAST is drained until 2030-03-1")
    assert [one.text for one in found[1:]] == [
        "two of NONE is online with weight 7",
        "one of LAST is halted",
        "one of LAST is online again",
    ]
    assert {one.address for one in found} == {"127.0.0.1", "127.0.0.2"}
    assert found[1].details == {"wanted": "online", "weight": 7}


def test_a_verb_on_all_vips_leaves_an_event_for_each(site: Operated) -> None:
    drain(site.site, site.asked(None, "one", force=True))
    assert [one.about for one in left(site)] == ["LAST/one", "SOURCE/one", "NONE/one"]


def test_what_is_not_done_leaves_none(site: Operated) -> None:
    for verb in (drain, halt, online):
        verb(site.site, site.asked("LAST", "one", dry_run=True))
    weight(site.site, site.asked("LAST", "one", dry_run=True), 7)
    tables.clear(site.site, "LAST", state=site.state, dry_run=True)
    tables.pin(site.site, "LAST", "two", state=site.state, dry_run=True)
    reload(site.site, state=site.state, dry_run=True)
    generation.apply(site.file, site.site, site.kind_of, state=site.state, dry_run=True)
    drain(site.site, site.asked("NONE", "one"))
    assert len(left(site)) == 1
    with pytest.raises(Refused):
        drain(site.site, site.asked("NONE", "two"))
    (site.folder / "run" / "admin.sock").unlink()
    with pytest.raises(NotRunning):
        halt(site.site, site.asked("LAST", "one"))
    assert left(site) == []


def test_a_clear_and_a_pin_leave_one_event_each(site: Operated) -> None:
    for number in range(1, 4):
        site.named("SOURCE", f"127.0.6.{number}")
    tables.clear(site.site, "SOURCE", key="127.0.6.1", state=site.state, why="ticket 4711")
    tables.clear(site.site, "SOURCE", state=site.state)
    assert site.named("LAST") == "one"
    tables.pin(site.site, "LAST", "two", state=site.state, why="it is faster")
    one, every, pinned = left(site)
    assert (one.kind, one.about, one.details) == ("table-cleared", "SOURCE", {"entries": 1, "key": "127.0.6.1"})
    assert one.text.startswith("1 entry of table SOURCE taken out")  # it goes into logs, and may be a client's
    assert every.details == {"entries": 2}
    assert (one.why, every.why, pinned.why) == ("ticket 4711", "", "it is faster")
    assert (pinned.kind, pinned.about, pinned.address) == ("table-pinned", "LAST/two", "127.0.0.2")
    assert pinned.text == "LAST is pinned to two (before: one)"


def test_a_reload_leaves_one_event(site: Operated) -> None:
    reload(site.site, state=site.state)
    (event,) = left(site)
    assert event.kind == "reloaded"
    assert event.text == f"HAProxy reloaded: worker {event.details['worker']}; every intent is in force"


def test_an_apply_leaves_one_event_with_its_generation_where_it_changes_anything(site: Operated) -> None:
    applied(site)
    applied(site)
    (first,) = left(site)
    assert (first.kind, first.details) == ("configuration-applied", {"changes": 0, "generation": 1})
    site.write(plain("NEW", *site.servers.values()))
    applied(site)
    (second,) = left(site)
    assert second.text.startswith("generation 2 of site test is in force: 1 change; HAProxy reloaded")
    site.write(plain("NEWER", *site.servers.values()))
    generation.apply(site.file, site.site, site.kind_of, state=site.state, engines=["haproxy"])
    (part,) = left(site)
    assert part.text == "site test is in force (haproxy alone): 1 change; HAProxy reloaded"
    assert part.details == {"changes": 1}


def test_what_is_rolled_back_leaves_an_event_that_says_why(site: Operated) -> None:
    site._settings["max_connections"] = TOO_MANY
    site.write(plain("NEW", *site.servers.values()))
    with pytest.raises(RolledBack) as raised:
        applied(site)
    (event,) = left(site)
    assert (event.kind, event.text) == ("configuration-rolled-back", str(raised.value)[:2000])


def test_what_is_done_is_done_though_it_can_not_be_written_down(
    site: Operated, caplog: pytest.LogCaptureFixture
) -> None:
    (site.state / "events").write_text("")
    drain(site.site, site.asked("NONE", "one"))
    assert site.haproxy.look()["NONE"].servers["one"].wanted == "drain"
    assert "not in the log of events: one of NONE is drained" in caplog.text
