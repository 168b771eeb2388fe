"""Which events there are between one look at a site's real servers and VIPs and the next."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.changed import NOW, REFUSED, Told, kinds, loaded, of, one, seen

from lbkit.agent.picture import Picture
from lbkit.agent.seen import Seen
from lbkit.state.intents import Intent

UP, DOWN, UNKNOWN = one("up"), one("down"), one("unknown")
HALTED, DRAINED = one("unknown", "halt"), one("up", "drain")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("site"))


@pytest.fixture
def told(here):
    return Told(here)


# --- real servers and their VIPs ---


def test_at_the_start_unknown_and_up_are_no_news(told):
    assert told(seen()) == []
    assert told(seen(UNKNOWN, UNKNOWN)) == []
    assert told(seen(UP, UP)) == []


def test_a_server_that_is_down_at_the_start_is_news(told):
    assert kinds(told(seen(UP, DOWN))) == ["server-down WEB/s2", "vip-degraded WEB"]


def test_a_death_and_a_return_are_told_once_each_with_what_is_left_of_the_vip(told):
    told(seen(UP, UP))
    down, degraded = told(seen(DOWN, UP))
    assert (down.kind, down.vip, down.server, down.address) == ("server-down", "WEB", "s1", "192.0.2.21")
    assert (down.step, down.reason) == ("connect", "refused")
    assert down.text == f"WEB/s1 (192.0.2.21) is down: {REFUSED} 1 of 2 real servers serves."
    assert down.details == {"servers": 2, "serving": 1, "fallback": False}
    assert (degraded.kind, degraded.text) == ("vip-degraded", "WEB is degraded: 1 of 2 real servers serves; down: s1.")
    assert told(seen(DOWN, UP)) == []
    up, recovered = told(seen(UP, UP))
    assert (up.kind, up.address) == ("server-up", "192.0.2.21")
    assert up.text == "WEB/s1 (192.0.2.21) is up again. 2 of 2 real servers serve."
    assert (recovered.kind, recovered.text) == ("vip-recovered", "WEB is whole again: 2 of 2 real servers serve.")
    assert told(seen(UP, UP)) == []


def test_one_that_has_been_down_for_long_when_the_agent_begins_is_told_so(told):
    down, _ = told(seen(DOWN._replace(since=3540.0), UP))
    assert down.text == f"WEB/s1 (192.0.2.21) is down, and has been for 59 min: {REFUSED} 1 of 2 real servers serves."


def test_the_last_server_that_goes_takes_the_vip_with_it(told):
    told(seen(DOWN, UP))
    down, vip_down = told(seen(DOWN, DOWN))
    assert (down.about, vip_down.kind) == ("WEB/s2", "vip-down")
    assert vip_down.text == "WEB is down: nobody serves it. s1 is down; s2 is down. Its clients are turned away."
    assert vip_down.level == "alarm"
    up, degraded = told(seen(UP, DOWN))
    assert (up.about, degraded.kind) == ("WEB/s1", "vip-degraded")
    assert degraded.text.startswith("WEB serves again, and is not whole: ")
    assert kinds(told(seen(UP, UP))) == ["server-up WEB/s2", "vip-recovered WEB"]


def test_a_vip_that_is_down_says_that_its_fallback_server_serves(told):
    events = told(Seen({"WEB": of(DOWN, DOWN, fallback=True)}))
    assert events[-1].text.endswith("Its clients go to the fallback server.")
    assert events[-1].details["fallback"] is True


def test_real_servers_that_are_left_in_are_said_to_be(told):
    held = "all real servers of the VIP fail, and the anchor is silent"
    first, _, vip_down = told(Seen({"DICOM": of(DOWN, DOWN, held=held)}))
    assert first.text.endswith(f"None of 2 real servers serves. It is left in: {held}.")
    assert vip_down.text == f"DICOM is down: nobody serves it. Its real servers are left in: {held}."


def test_each_server_comes_before_its_vip_in_the_sites_order(told):
    events = told(Seen({"DICOM": of(DOWN, UP), "WEB": of(DOWN, DOWN)}))
    assert kinds(events) == [
        "server-down WEB/s1", "server-down WEB/s2", "vip-down WEB", "server-down DICOM/s1", "vip-degraded DICOM",
    ]  # fmt: skip


@pytest.mark.parametrize("between", [seen(), seen(UNKNOWN, UNKNOWN), Seen({"WEB": of()})])
def test_an_engine_that_is_away_or_begins_anew_is_no_news(told, between):
    told(seen(DOWN, UP))
    assert told(between) == []
    assert told(seen(DOWN, UP)) == []
    assert told(between) == []
    assert kinds(told(seen(UP, UP))) == ["server-up WEB/s1", "vip-recovered WEB"]


AWAY = {"WEB": "HAProxy does not answer: systemctl status haproxy."}


def test_a_vip_that_no_engine_serves_is_down_and_its_servers_are_not(told):
    told(seen(UP, UP))
    (down,) = told(Seen({}, unserved=AWAY))
    assert (down.kind, down.vip) == ("vip-down", "WEB")
    assert down.text == f"WEB is down: nobody serves it. {AWAY['WEB']}"
    assert told(Seen({}, unserved=AWAY)) == []
    assert kinds(told(seen(UNKNOWN, UNKNOWN))) == ["vip-recovered WEB"]


def test_what_checks_find_of_a_vip_that_no_engine_serves_is_told_all_the_same(told):
    told(seen(UP, UP))
    away = {"DICOM": "IPVS can't be reached: modprobe ip_vs"}
    assert kinds(told(seen(UP, UP, unserved=away))) == ["vip-down DICOM"]
    assert kinds(told(Seen({"DICOM": of(DOWN, UP)}, unserved=away))) == ["server-down DICOM/s1"]
    assert kinds(told(seen(UP, UP))) == ["server-up DICOM/s1", "vip-recovered DICOM"]


HAPROXYS = {
    "connect: refused, or no way there (Connection refused) in 0 ms": ("connect", "refused"),
    "connect: refused, or no way there (No route to host)": ("connect", "unreachable"),
    "connect: no answer in time in 2000 ms": ("connect", "timed-out"),
    "tls: the handshake failed (SSL handshake failure)": ("tls", "tls-failed"),
    "response: not as expected (503, HTTP status check returned code <503>) in 3 ms": ("response", "not-as-expected"),
    "the agent says down (body (wrong-body): the body is not as it should be)": ("body", "wrong-body"),
    "the agent says down (connect (refused): connection refused by 192...)": ("connect", "refused"),
    "something else": ("", ""),
    "": ("", ""),
}


@pytest.mark.parametrize(("why", "cause"), HAPROXYS.items())
def test_step_and_reason_are_those_of_the_check_whoever_ran_it(told, why, cause):
    event = told(seen(DOWN._replace(why=why), UP))[0]
    assert (event.step, event.reason) == cause
    assert (why or "its check does not say why") in event.text


def test_what_a_remote_sends_makes_neither_lines_nor_texts_without_end(told):
    events = told(seen(DOWN._replace(why="a\nb\x1b[2J" + "x" * 5000), DOWN))
    assert all(len(one.text) <= 2000 and "\n" not in one.text and "\x1b" not in one.text for one in events)


# --- operators ---


@pytest.mark.parametrize("out", [HALTED, DRAINED, one("down", "drain"), one("down", "halt")])
def test_what_an_operator_takes_out_is_not_down_and_his_vip_not_degraded(told, out):
    told(seen(UP, UP))
    assert told(seen(out, UP)) == []
    assert told(seen(one("down", "drain"), UP)) == []  # and the machine is started anew
    assert told(seen(UP, UP)) == []


def test_one_that_is_still_down_when_it_is_wanted_online_again_is_told_then(told):
    told(seen(one("down", "drain"), UP))
    assert kinds(told(seen(DOWN, UP))) == ["server-down WEB/s1", "vip-degraded WEB"]


def test_one_that_comes_back_while_an_operator_has_it_in_hand_is_told(told):
    told(seen(DOWN, UP))
    assert told(seen(HALTED, UP)) == []
    up, recovered = told(seen(DRAINED, UP))
    assert kinds([up, recovered]) == ["server-up WEB/s1", "vip-recovered WEB"]
    assert recovered.text == "No real server of WEB is down any more: 1 of 2 real servers serves."
    assert told(seen(one("down", "drain"), UP)) == []


def test_an_operator_who_halts_the_last_server_has_taken_the_vip_down_and_is_named(told):
    told(seen(DOWN, UP))
    intent = Intent("WEB", "s2", "halt", who="anna@lb1", why="Windows updates")
    (down,) = told(seen(DOWN, HALTED, intents={("WEB", "s2"): intent}))
    assert (down.kind, down.who, down.why) == ("vip-down", "anna@lb1", "Windows updates")
    assert down.text == (
        "WEB is down: nobody serves it. s1 is down; s2 is halted by anna@lb1: Windows updates. Its clients are turned away."
    )
    (again,) = told(seen(DOWN, UP))
    assert again.kind == "vip-degraded"


def test_weight_0_takes_no_clients(told):
    told(seen(UP, UP))
    (down,) = told(seen(one("up", weight=0), HALTED))
    assert "s1 has weight 0; s2 is halted by nobody that lbkit knows" in down.text


# --- the site, and what outlives the agent ---


def test_what_leaves_the_site_is_not_waited_for(told, tmp_path):
    told(seen(DOWN, DOWN))
    told.site = loaded(tmp_path, vips=("DICOM",))
    assert kinds(told(seen())) == ["server-up WEB/s1", "server-up WEB/s2", "vip-recovered WEB"]
    assert told(seen()) == []


def test_a_server_that_leaves_ends_before_its_vip_does(told, tmp_path):
    told.picture = Picture(frozenset({("WEB", "gone")}), {"WEB": "degraded"})
    assert kinds(told(seen(UP, UP))) == ["server-up WEB/gone", "vip-recovered WEB"]


def test_a_server_that_leaves_while_its_engine_is_away_is_told_once(told):
    told.picture = Picture(frozenset({("WEB", "s1"), ("WEB", "gone")}), {"WEB": "degraded"}, ended={})
    assert kinds(told(seen())) == ["server-up WEB/gone"]
    assert told(seen()) == []
    assert told.picture.down == {("WEB", "s1")}


def test_an_agent_that_starts_anew_tells_what_has_changed_meanwhile_and_nothing_twice(told):
    told(seen(DOWN, UP))
    after = Told(told.site, Picture.of(json.loads(json.dumps(told.picture.as_dict()))))
    assert after.picture == told.picture
    assert after(seen(UNKNOWN, UNKNOWN)) == []
    assert kinds(after(seen(UP, DOWN))) == ["server-up WEB/s1", "server-down WEB/s2"]


# --- intents whose time is up ---

ENDED = Intent("WEB", "s1", "drain", who="anna@lb1", why="updates", until=NOW - 60)


def test_that_the_time_of_an_intent_is_up_is_told_once(told):
    assert told(seen(ended=())) == []
    (event,) = told(seen(ended=(ENDED,)))
    assert (event.kind, event.about, event.address) == ("intent-expired", "WEB/s1", "192.0.2.21")
    assert (event.who, event.why, event.details) == ("anna@lb1", "updates", {"wanted": "drain"})
    assert told(seen(ended=(ENDED,))) == []
    assert told(seen()) == []  # the store can't be read
    assert told(seen(ended=(ENDED,))) == []
    again = replace(ENDED, until=NOW - 1)
    assert kinds(told(seen(ended=(again,)))) == ["intent-expired WEB/s1"]


def test_what_had_ended_before_anybody_noticed_is_no_news(told):
    assert told(seen()) == []
    assert told(seen(ended=(ENDED,))) == []
    after = Told(told.site, Picture.of(json.loads(json.dumps(told.picture.as_dict()))))
    assert after(seen(ended=(ENDED,))) == []


# --- whatever comes ---

SERVERS = st.builds(
    one, st.sampled_from(["up", "down", "unknown"]), st.sampled_from(["online", "drain", "halt", "absent"])
)
LOOKS = st.one_of(st.just(seen()), st.builds(seen, SERVERS, SERVERS), st.just(Seen({}, unserved=AWAY)))


@given(st.lists(LOOKS, max_size=30), st.booleans())
def test_downs_and_ups_alternate_whatever_is_seen(here, looks, restarts):
    told = Told(here)
    last: dict[str, str] = {}
    for look in looks:
        for event in told(look):
            before = last.get(event.about)
            if event.server:
                assert event.kind == ("server-up" if before == "server-down" else "server-down")
            else:
                assert event.kind != before
                assert before is not None or event.kind != "vip-recovered"
            last[event.about] = event.kind
        if restarts:
            told = Told(here, Picture.of(json.loads(json.dumps(told.picture.as_dict()))))
    assert {about for about, kind in last.items() if kind == "server-down"} == {"/".join(p) for p in told.picture.down}
