"""Verbs that meet: two operators, a reload that runs, an engine that dies in the middle."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.forked import forked
from interop.operated import Operated
from interop.three import site as site
from interop.three import until

from lbkit.errors import EngineError, LbkitError, NotRunning, Refused
from lbkit.haproxy import persistence, process
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.overview import overview
from lbkit.operate.reload import reload
from lbkit.state.intents import Intents

DONE, REFUSED = 0, 4


def in_force(site: Operated) -> dict[str, list[str]]:
    return {view.label: [one.engine for one in view.servers] for view in overview(site.site, state=site.state)}


def drifting(site: Operated) -> list[str]:
    return [one.drift for view in overview(site.site, state=site.state) for one in view.servers if one.drift]


def test_of_two_operators_who_take_the_last_two_servers_out_at_once_one_is_refused(site: Operated) -> None:
    for verb in (drain, halt):
        moment = time.monotonic() + 0.2

        def take_out(server: str, verb: Any = verb, moment: float = moment) -> None:
            time.sleep(max(0.0, moment - time.monotonic()))
            try:
                verb(site.site, site.asked("NONE", server))
            except LbkitError as e:
                os._exit(e.exit_code)

        with forked(lambda: take_out("one")) as first, forked(lambda: take_out("two")) as second:
            assert sorted([first.ended(), second.ended()]) == [DONE, REFUSED], (first.said(), second.said())
        assert in_force(site)["NONE"].count("online") == 1
        assert drifting(site) == []
        for server in ("one", "two"):
            online(site.site, site.asked("NONE", server))


@pytest.mark.parametrize("haproxy", ["2.8"], indirect=True)
def test_a_verb_waits_for_a_reload_that_runs_and_holds_after_it(site: Operated) -> None:
    """That of a young worker takes 5 seconds."""
    with forked(lambda: reload(site.site, state=site.state)) as reloading:
        until((site.state / "verbs.lock").exists)
        time.sleep(0.3)
        drain(site.site, site.asked("LAST", "one"))
        assert reloading.ended() == 0, reloading.said()
    assert in_force(site)["LAST"] == ["drain", "online"]
    assert site.tally("LAST", 20) == {"two": 20}
    assert drifting(site) == []


@pytest.mark.parametrize("verb", [drain, halt])
def test_where_the_engine_dies_in_the_middle_of_a_verb_nothing_was_asked(
    site: Operated, monkeypatch: pytest.MonkeyPatch, verb: Any
) -> None:
    move_away = persistence.move_away

    def dies(*given: Any) -> int:
        process.stop(site.haproxy)
        return move_away(*given)

    with monkeypatch.context() as patched:
        patched.setattr(persistence, "move_away", dies)
        with pytest.raises(NotRunning):
            verb(site.site, site.asked("LAST", "one"))
    assert Intents(site.state).all() == ()
    assert site.apply().started
    assert in_force(site)["LAST"] == ["online", "online"]
    assert drifting(site) == []


def test_where_a_verb_fails_in_one_of_many_places_all_of_them_are_as_before(
    site: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain(site.site, site.asked("SOURCE", "one", why="patches"))
    before = in_force(site)

    def fails(haproxy: Any, vip: Any, server: str) -> int:
        if vip.label == "NONE":
            raise EngineError("out of sorts.")
        return 0

    with monkeypatch.context() as patched:
        patched.setattr(persistence, "entries_of", fails)
        with pytest.raises(EngineError, match="out of sorts"):
            halt(site.site, site.asked(None, "one"))
    assert in_force(site) == before
    assert [(one.vip, one.wanted, one.why) for one in Intents(site.state).all()] == [("SOURCE", "drain", "patches")]
    assert drifting(site) == []


def test_who_is_refused_has_asked_nothing(site: Operated) -> None:
    halt(site.site, site.asked("NONE", "two"))
    with pytest.raises(Refused):
        halt(site.site, site.asked(None, "one"))
    assert in_force(site) == {"LAST": ["online"] * 2, "SOURCE": ["online"] * 2, "NONE": ["online", "halt"]}
    assert [(one.vip, one.server) for one in Intents(site.state).all()] == [("NONE", "two")]
