"""What the agent tells: to systemd, and of each real server."""

import asyncio
import os
import socket
from types import SimpleNamespace

import pytest
from unit.site_text import server, vip
from unit.told_figures import site_of

from lbkit.agent.notify import Notify
from lbkit.agent.roster import Place
from lbkit.agent.telling import state_of
from lbkit.checks.result import Result
from lbkit.state.intents import Intent
from lbkit.state.observed import ServerState, VipState


def watch(state, message="", error=""):
    result = Result("c-echo", "192.0.2.1:104", state, "echo", "refused", message, 0.0) if message else None
    return SimpleNamespace(state=state, result=result, error=error, failing_since=None, checked=0.0)


def place(*watches, cannot=""):
    return Place(SimpleNamespace(cannot=cannot), watches)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (place(watch("unknown")), "not checked yet"),
        (place(watch("up", "it answers"), watch("down", "it hangs up")), "echo (refused): it hangs up"),
        (place(watch("up", "it answers"), watch("up", "this one too")), "it answers"),
        (place(watch("up", "it answers", error="too many open files")), "too many open files"),
        (place(cannot="no check is called 'x'"), "no check is called 'x'"),
        (place(watch("up", "first\n<0>second\x1b[2J")), "first?<0>second?[2J"),
    ],
)
def test_it_says_of_a_server_why_on_one_line(found, why):
    assert found.why == why


@pytest.mark.parametrize(
    ("states", "cannot", "health"),
    [
        (("up", "up"), "", "up"),
        (("up", "down", "unknown"), "", "down"),
        (("up", "unknown"), "", "unknown"),
        (("up",), "its other check can't be run", "unknown"),
        ((), "its check can't be run", "unknown"),
    ],
)
def test_a_server_is_up_where_all_its_checks_are_and_down_where_one_is(states, cannot, health):
    found = place(*map(watch, states), cannot=cannot)
    assert found.turn(7.0) is (health != "unknown")
    assert (found.health, found.since) == (health, None if health == "unknown" else 7.0)
    assert found.turn(8.0) is False


@pytest.mark.parametrize("seen", [ServerState("drain", "unknown", "IPVS", 9.0, 50, 3, 1, 7, 2, 4, 0.5), None])
def test_of_a_server_it_says_what_the_engine_has_with_what_the_checks_found(tmp_path, seen):
    site = site_of(tmp_path, vip("V", "192.0.2.1:104", server("a", "192.0.2.11", weight=80), mode="l4-dr"))
    roster = SimpleNamespace(places={("V", "a"): place(watch("up", "it answers"))})
    roster.places["V", "a"].health = "up"
    watching = SimpleNamespace(roster=roster, held=lambda vip: "held")
    looked = {"V": VipState({"a": seen}, 3, True)} if seen else None
    halt = {("V", "a"): Intent("V", "a", "halt", weight=60)}
    reconciler = SimpleNamespace(site=site, seen=looked, unseen="it hangs", intents=halt)

    async def run():
        roster.places["V", "a"].since = asyncio.get_running_loop().time() - 5
        return state_of(reconciler, watching)["V"]

    found = asyncio.run(run())
    assert (found.connections, found.fallback, found.held) == ((3, True, "held") if seen else (0, False, "held"))
    assert found.unseen == ("" if seen else "it hangs")
    one = found.servers["a"]
    assert 5 <= one.since < 10
    by_checks = {"health": "up", "why": "it answers", "since": one.since}
    assert one == (seen or ServerState("halt", "unknown", weight=60))._replace(**by_checks)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_at_either_kind_of_socket(abstract, tmp_path):
    name = f"lbkit-test-{os.getpid()}"
    path = f"\0{name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(5)
        Notify({"NOTIFY_SOCKET": f"@{name}" if abstract else path}).tell("READY=1", "STATUS=well")
        assert systemd.recv(100) == b"READY=1\nSTATUS=well"


def test_without_systemd_nothing_is_told_and_nothing_fails(tmp_path):
    Notify({}).tell("READY=1")
    Notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_a_sign_of_life_is_given_twice_as_often_as_systemd_wants(environment, seconds):
    assert Notify(environment).watchdog == seconds
