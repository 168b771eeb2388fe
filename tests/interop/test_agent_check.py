"""Checks that HAProxy can't run itself: it asks the agent about each real server, and does what it is told."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from interop import http_faults
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.operated import HOST, Named, Operated, operated, own_port
from interop.three import until
from unit.site_text import server, vip

from lbkit.agent.agent_check import AgentCheck
from lbkit.checks.plan import plan
from lbkit.haproxy.native import by_agent
from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.outcome import ServerView
from lbkit.operate.overview import overview
from lbkit.operate.reload import reload
from lbkit.state.observed import Health
from lbkit.testing import Listener
from lbkit_demo import faults

# a regular expression that HAProxy may read otherwise
CHECK = {"kind": "https-get", "tls": False, "match": "regex", "body": r"\Aok\Z", "interval": "100ms"}


class Agent:
    """Answers what it is told to, by VIP and real server, in a thread; it can die and come back."""

    def __init__(self, port: int) -> None:
        self.says: dict[tuple[str, str], tuple[Health, str]] = {}
        self.asked: set[tuple[str, str]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._check = AgentCheck(port, self._answer)
        self.rise()

    def _answer(self, vip: str, server: str) -> tuple[Health, str]:
        self.asked.add((vip, server))
        return self.says.get((vip, server), ("unknown", ""))

    def rise(self) -> None:
        self._run(self._check.start())

    def die(self) -> None:
        self._run(self._check.close())

    def end(self) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(5)


@pytest.fixture
def port() -> int:
    return own_port()


@pytest.fixture
def agent(port: int) -> Iterator[Agent]:
    made = Agent(port)
    yield made
    made.end()


@pytest.fixture
def site(short: Path, haproxy: Program, agent: Agent, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    """V in front of the servers one and two, of which the agent has said nothing yet."""
    monkeypatch.setenv(HAPROXY, haproxy.path)
    one, two = Named("one"), Named("two", "127.0.0.2")
    both = [server(each.name, f"{each.host}:{each.port}") for each in (one, two)]
    one_vip = vip("V", f"{HOST}:{own_port()}", *both, check=CHECK, scheduler="first")
    with operated(short, one_vip, servers={"one": one, "two": two}, agent={"check_port": port}) as made:
        yield made


def seen(site: Operated, label: str = "one") -> ServerView:
    return next(one for one in overview(site.site, ["V"], site.state)[0].servers if one.label == label)


def is_seen(site: Operated, health: Health, why: str, label: str = "one") -> Callable[[], bool]:
    return lambda: (seen(site, label).health, seen(site, label).why) == (health, why)


@pytest.mark.parametrize("steps", range(5))
def test_a_question_that_comes_while_the_agent_ends_is_hung_up_on(steps: int, port: int) -> None:
    """HAProxy would wait for its own timeout else."""

    async def ends() -> list[bool]:
        check = AgentCheck(port, lambda vip, server: ("up", ""))
        await check.start()
        with ExitStack() as stack:
            asking = [stack.enter_context(socket.create_connection((HOST, port), timeout=1)) for _ in range(5)]
            for _ in range(steps):
                await asyncio.sleep(0)
            await check.close()
            return [_is_hung_up(one) for one in asking]

    assert asyncio.run(ends()) == [True] * 5


def _is_hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(10) == b""
    except ConnectionResetError:
        return True


def test_until_the_agent_knows_a_server_takes_clients_and_its_health_is_unknown(site: Operated, agent: Agent) -> None:
    until(is_seen(site, "unknown", "the agent does not know yet; it is left as it was"))
    until(lambda: agent.asked == {("V", "one"), ("V", "two")})
    assert site.named("V") == "one"


def test_a_server_of_which_the_agent_says_down_is_out_with_the_reason_and_back_with_up(
    site: Operated, agent: Agent
) -> None:
    agent.says = {("V", "one"): ("up", ""), ("V", "two"): ("up", "")}
    until(is_seen(site, "up", "the agent says up"))
    kept = site.connect("V")
    assert kept.recv(10) == b"one\n"
    reason = 'body (body): the body is "no, not yet" #1; drain maint 50%'
    agent.says["V", "one"] = ("down", reason)
    begun = time.monotonic()
    until(is_seen(site, "down", f"the agent says down ({reason})"))
    assert time.monotonic() - begun < 0.5
    assert kept.recv(10) == b""  # on-marked-down shutdown-sessions
    kept.close()
    assert site.tally("V", 10) == {"two": 10}
    assert seen(site, "two").health == "up"
    agent.says["V", "one"] = ("up", "")
    until(is_seen(site, "up", "the agent says up"))
    assert site.tally("V", 10) == {"one": 10}


def test_while_the_agent_is_away_or_does_not_know_every_server_stays_as_it_was(site: Operated, agent: Agent) -> None:
    agent.says = {("V", "one"): ("down", "gone"), ("V", "two"): ("up", "")}
    until(is_seen(site, "down", "the agent says down (gone)"))
    agent.says = {}
    until(is_seen(site, "down", "the agent does not know yet; it is left as it was"))
    agent.die()
    until(is_seen(site, "down", "the agent does not answer (Connection refused); it is left as it was"))
    until(is_seen(site, "unknown", "the agent does not answer (Connection refused); it is left as it was", "two"))
    assert site.tally("V", 10) == {"two": 10}
    agent.says = {("V", "one"): ("up", ""), ("V", "two"): ("down", "gone")}
    agent.rise()
    until(is_seen(site, "up", "the agent says up"))
    until(is_seen(site, "down", "the agent says down (gone)", "two"))
    assert site.tally("V", 10) == {"one": 10}


def test_a_guarded_reload_keeps_what_the_agent_has_said_even_while_it_is_away(site: Operated, agent: Agent) -> None:
    agent.says = {("V", "one"): ("down", "gone"), ("V", "two"): ("up", "")}
    until(is_seen(site, "down", "the agent says down (gone)"))
    reload(site.site, state=site.state)
    assert site.tally("V", 10) == {"two": 10}
    agent.die()
    reload(site.site, state=site.state)
    until(is_seen(site, "down", "the agent does not answer (Connection refused); it is left as it was"))
    assert site.tally("V", 10) == {"two": 10}
    agent.says = {("V", "one"): ("up", ""), ("V", "two"): ("up", "")}
    agent.rise()
    until(is_seen(site, "up", "the agent says up"))
    assert site.named("V") == "one"


def test_what_an_operator_wants_and_what_the_agent_says_do_not_touch_each_other(site: Operated, agent: Agent) -> None:
    agent.says = {("V", "one"): ("up", ""), ("V", "two"): ("up", "")}
    until(is_seen(site, "up", "the agent says up", "two"))
    for verb, word in ((drain, "drain"), (halt, "halt")):
        verb(site.site, site.asked("V", "one"))
        for said in ("down", "up"):
            agent.says["V", "one"] = (said, "")
            agent.asked.clear()
            until(lambda: ("V", "one") in agent.asked)
            time.sleep(0.15)  # HAProxy has read it by then
            assert seen(site).engine == word
            assert site.tally("V", 5) == {"two": 5}
        online(site.site, site.asked("V", "one"))
        until(is_seen(site, "up", "the agent says up"))
        assert site.named("V") == "one"


def test_a_check_moves_between_haproxy_and_the_agent_with_the_site(site: Operated, agent: Agent) -> None:
    agent.says = {("V", "one"): ("down", "gone"), ("V", "two"): ("up", "")}
    until(is_seen(site, "down", "the agent says down (gone)"))
    both = [server(each.name, f"{each.host}:{each.port}") for each in site.servers.values()]
    bind = f"{HOST}:{site.site.vips[0].ports[0]}"
    own = {"kind": "connect", "interval": "100ms", "rise": 1}
    site.write(vip("V", bind, *both, check=own, scheduler="first"))
    site.apply()
    until(lambda: seen(site).why.startswith("connect: the port takes connections") and seen(site).health == "up")
    assert site.named("V") == "one"
    site.write(vip("V", bind, *both, check=CHECK, scheduler="first"))
    site.apply()
    until(is_seen(site, "down", "the agent says down (gone)"))
    assert site.tally("V", 5) == {"two": 5}


def answering(body: bytes) -> http_faults.Fault:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    return http_faults.Fault("", http_faults.UP, (http_faults.hear, http_faults.say(answer)))


def webs(stack: ExitStack) -> dict[str, str]:
    """Of these `one` alone is what CHECK looks for."""
    bodies = {"one": b"ok", "two": b"is ok", "three": b"ok\n"}
    return {name: stack.enter_context(Listener(answering(body).play)).target for name, body in bodies.items()}


def scps(stack: ExitStack) -> dict[str, str]:
    """One that is healthy, one that is busy, one that does not know who calls."""
    chosen = {"healthy", "rejected-congestion", "rejected-calling-title"}
    there = [fault for fault in faults.FAULTS if fault.name in chosen]
    assert len(there) == len(chosen)
    return {one.name: "{}:{}".format(*stack.enter_context(one.serve())) for one in there}


@pytest.mark.parametrize(
    ("check", "serve", "up"),
    [
        (CHECK, webs, {"one"}),
        ({"kind": "c-echo", "busy": "up", "interval": "100ms"}, scps, {"healthy", "rejected-congestion"}),
    ],
    ids=["regex", "busy"],
)
def test_what_lbkit_finds_by_a_check_that_haproxy_cannot_run_is_what_haproxy_does(
    check: dict[str, Any],
    serve: Callable[[ExitStack], dict[str, str]],
    up: set[str],
    short: Path,
    haproxy: Program,
    agent: Agent,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    with ExitStack() as stack:
        rows = [server(name, target) for name, target in serve(stack).items()]
        one = vip("V", f"127.0.0.2:{own_port()}", *rows, check=check)
        site = stack.enter_context(operated(short, one, servers={}, agent={"check_port": port}))
        assert [each.label for each in by_agent(site.site, site.kind_of)] == ["V"]
        for planned in plan(site.site, site.kind_of, virtual=False):
            assert planned.check is not None
            result = planned.check.run(planned.target)
            agent.says[planned.vip, str(planned.server)] = result.status, f"{result.step} ({result.reason})"
        wanted = {name: "up" if name in up else "down" for _, name in agent.says}
        until(lambda: {each.label: each.health for each in overview(site.site)[0].servers} == wanted)
        out = [each for each in overview(site.site)[0].servers if each.health == "down"]
        assert [each.why for each in out] == [f"the agent says down ({agent.says['V', each.label][1]})" for each in out]


def test_a_server_that_comes_back_gets_its_share_little_by_little(
    short: Path, haproxy: Program, agent: Agent, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the agent's check as under HAProxy's own."""
    monkeypatch.setenv(HAPROXY, haproxy.path)
    one, two = Named("one"), Named("two", "127.0.0.2")
    both = [server(each.name, f"{each.host}:{each.port}") for each in (one, two)]
    own = {"kind": "connect", "interval": "10s", "fast_interval": "50ms", "rise": 2, "fall": 2}
    more = {"scheduler": "round-robin", "slow_start": "30s"}
    rows = [
        vip("V", f"{HOST}:{own_port()}", *both, check=CHECK, **more),
        vip("OWN", f"{HOST}:{own_port()}", *both, check={**own, "interval": "200ms"}, **more),
    ]
    agent.says = {("V", "one"): ("up", ""), ("V", "two"): ("up", "")}
    with operated(short, *rows, servers={"one": one, "two": two}, agent={"check_port": port}) as site:
        until(lambda: all(s.health == "up" for v in overview(site.site, state=site.state) for s in v.servers))
        assert site.tally("V", 20)["one"] == site.tally("OWN", 20)["one"] == 10
        agent.says["V", "one"] = ("down", "gone")
        one.die()
        until(lambda: [v.servers[0].health for v in overview(site.site, state=site.state)] == ["down", "down"])
        agent.says["V", "one"] = ("up", "")
        one.rise()
        until(lambda: [v.servers[0].health for v in overview(site.site, state=site.state)] == ["up", "up"])
        assert 0 < site.tally("V", 100)["one"] < 35
        assert 0 < site.tally("OWN", 100)["one"] < 35


def test_between_two_healths_haproxy_checks_at_the_fast_interval(
    short: Path, haproxy: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    one = Named("one")
    check = {"kind": "connect", "interval": "1s", "fast_interval": "20ms", "fall": 20}
    with operated(
        short, vip("V", f"{HOST}:{own_port()}", server("one", f"{HOST}:{one.port}"), check=check), servers={"one": one}
    ) as site:
        until(lambda: seen(site).health == "up")
        one.die()
        begun = time.monotonic()
        until(lambda: seen(site).health == "down")
        assert time.monotonic() - begun < 5  # 20 s without
