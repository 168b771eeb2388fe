"""`lbkit agent` beside a real HAProxy, both as they are typed: checks that HAProxy can't run, beside those that it can."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from interop.agents import eventually
from interop.beside import Both, CommandLine, Web
from interop.engines import HAPROXIES, haproxy_of
from interop.engines import short as short
from interop.load import clients
from interop.operated import HOST, Named, operated, own_port
from unit.site_text import server, vip

from lbkit.haproxy import process, program
from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate.drain import drain
from lbkit.operate.reload import reload
from lbkit.testing import ThrowawayCA
from lbkit_demo import faults

INTERVAL, FALL = 0.2, 2
OFTEN = {"interval": "200ms", "timeout": "1s", "rise": 1, "fall": FALL}
# a regular expression that HAProxy may read otherwise
REGEX = {"kind": "https-get", "tls": False, "match": "regex", "body": r"\Aok\Z", **OFTEN}
OWN = {"kind": "https-get", "tls": False, "match": "equals", "body": "ok", **OFTEN}
WITHIN = INTERVAL * FALL + 1.0  # seconds from a server's death until HAProxy has it down


on_both = pytest.mark.parametrize("haproxy", HAPROXIES, indirect=True)


@pytest.fixture
def haproxy(request: pytest.FixtureRequest) -> Program:
    """The faster one, unless a test is about what HAProxy does."""
    return haproxy_of(getattr(request, "param", "2.8"))


Make = Callable[..., Both]


@pytest.fixture
def make(short: Path, haproxy: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes one; ASKED is checked by the agent unless another check is given, OWN by HAProxy itself."""
    monkeypatch.setenv(HAPROXY, haproxy.path)
    with ExitStack() as ends:

        def made(asked: dict[str, Any] = REGEX, *others: dict[str, Any], **more: Any) -> Both:
            servers = Web("one"), Web("two", "127.0.0.2")
            settings = {"socket": str(short / "agent.sock"), "check_port": own_port(), **more.pop("agent", {})}
            both = [server(each.name, f"{each.host}:{each.port}") for each in servers]
            rows = [
                vip(label, f"{HOST}:{own_port()}", *both, check=check, scheduler="round-robin", **more)
                for label, check in (("ASKED", asked), ("OWN", OWN))
            ]
            named = {each.name: each for each in servers}
            site = ends.enter_context(operated(short, *rows, *others, servers=named, agent=settings))
            agent = CommandLine(site)
            ends.callback(ended, agent)
            return Both(site, agent, *servers)

        yield made


def ended(agent: CommandLine) -> None:
    if hasattr(agent, "process") and agent.process.poll() is None:
        agent.process.kill()
        agent.process.wait(10)


@pytest.fixture
def both(make: Make) -> Both:
    """Both servers are up, by the agent's word and by HAProxy's own check."""
    made = make()
    made.agent.start()
    made.until("up", "ASKED/one", "ASKED/two", "OWN/one", "OWN/two")
    return made


# --- who is down ---


@on_both
def test_a_server_that_dies_is_out_in_time_with_the_reason_and_back_and_the_death_of_the_agent_changes_nothing(
    both: Both,
) -> None:
    begun = time.monotonic()
    both.one.die()
    assert both.until("down", "ASKED/one", "OWN/one") - begun < WITHIN
    says = "the agent says down (connect (refused): connection refused"
    eventually(lambda: says in both.lbkit("overview").stdout)
    assert both.names("ASKED") == {"two"}
    both.agent.stop(signal.SIGKILL)
    both.until("unknown", "ASKED/two")
    assert both.seen("ASKED/one").health == "down"
    assert both.names("ASKED") == {"two"}
    both.agent.start()
    both.until("up", "ASKED/two")
    assert both.seen("ASKED/one").health == "down"
    begun = time.monotonic()
    both.one.rise()
    assert both.until("up", "ASKED/one", "OWN/one") - begun < WITHIN
    both.one.body = b"not ok"
    both.until("down", "ASKED/one", "OWN/one")
    assert both.seen("ASKED/one").why.startswith("the agent says down (body (")


def test_that_nobody_checks_is_said_where_the_agent_is_away(both: Both) -> None:
    assert "warning" not in both.lbkit("overview").stdout
    both.agent.stop()
    both.until("unknown", "ASKED/one", "ASKED/two")
    found = both.lbkit("overview")
    assert found.returncode == 1
    assert found.stdout.count("warning") == 1
    assert "nobody checks the real servers of ASKED" in found.stdout
    assert "systemctl start lbkit-agent" in both.lbkit("why", "ASKED").stdout


def test_an_agent_that_is_there_before_haproxy_waits_for_it(make: Make) -> None:
    both = make()
    process.stop(both.site.haproxy)
    both.one.die()
    both.agent.start()
    eventually(lambda: "trouble: nobody answers at" in both.lbkit("agent", "--status").stdout)
    process.start(both.site.haproxy, program.find())
    begun = time.monotonic()
    assert both.until("down", "ASKED/one", "OWN/one") - begun < WITHIN
    both.until("up", "ASKED/two", "OWN/two")
    eventually(lambda: both.lbkit("agent", "--status").returncode == 0)


@pytest.mark.parametrize("kind", ["terms", "busy"])
def test_other_checks_that_haproxy_cannot_run(
    kind: str, short: Path, haproxy: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS terms of the check's own, with a certificate for an address: HAProxy verifies names. And a busy SCP that is up."""
    monkeypatch.setenv(HAPROXY, haproxy.path)
    with ExitStack() as ends:
        die = ends.enter_context(ExitStack())
        if kind == "terms":
            ca = ThrowawayCA(short)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(ca.server.cert_file, ca.server.key_file)
            web = Web("one", secured=context)
            die.callback(web.die)
            check, target = {**OWN, "tls": True, "verify": True, "ca_file": ca.ca_file}, f"{HOST}:{web.port}"
        else:
            busy = next(one for one in faults.FAULTS if one.name == "rejected-congestion")
            check, target = {"kind": "c-echo", "busy": "up", **OFTEN}, "{}:{}".format(*die.enter_context(busy.serve()))
        settings = {"socket": str(short / "agent.sock"), "check_port": own_port()}
        row = vip("ASKED", f"{HOST}:{own_port()}", server("one", target), check=check)
        site = ends.enter_context(operated(short, row, servers={}, agent=settings))
        both = Both(site, CommandLine(site))
        ends.callback(ended, both.agent)
        both.agent.start()
        both.until("up", "ASKED/one")
        die.close()
        begun = time.monotonic()
        assert both.until("down", "ASKED/one") - begun < WITHIN
        assert both.seen("ASKED/one").why.startswith("the agent says down (connect (refused)")


# --- intents ---


@on_both
@pytest.mark.parametrize("again", ["reload_by_hand", "crash_and_start"])
def test_whoever_starts_a_worker_intents_and_the_dead_are_out_within_a_second(both: Both, again: str) -> None:
    both.one.die()
    both.until("down", "ASKED/one", "OWN/one")
    drain(both.site.site, both.site.asked("OWN", "two", force=True))
    getattr(both, again)()
    begun = time.monotonic()
    eventually(lambda: both.seen("OWN/two").engine == "drain")
    both.until("down", "ASKED/one", "OWN/one")
    assert time.monotonic() - begun < 1.0
    assert both.names("ASKED") == {"two"}


@on_both
def test_the_guarded_reload_keeps_who_is_down_and_what_was_asked(both: Both) -> None:
    both.one.die()
    both.until("down", "ASKED/one", "OWN/one")
    drain(both.site.site, both.site.asked("OWN", "two", force=True))
    with clients(lambda: both.named("ASKED"), 100) as counts:
        for _ in range(3):
            reload(both.site.site, state=both.site.state)
    assert set(counts) == {"two"}
    assert both.seen("OWN/two").engine == "drain"
    assert "is as it should be again" not in both.agent.log


def test_an_intent_whose_time_is_up_is_ended_by_the_agent(both: Both) -> None:
    until = time.time() + 1.0
    drain(both.site.site, both.site.asked("ASKED", "one", until=until))
    assert both.names("ASKED") == {"two"}
    eventually(lambda: both.seen("ASKED/one").engine == "online")
    assert until < time.time() < until + 1.0
    eventually(lambda: both.names("ASKED") == {"one", "two"})


# --- the site file ---


@on_both
def test_a_check_moves_to_the_agent_and_back_with_lbkit_apply_and_no_client_meets_the_dead(make: Make) -> None:
    both = make(OWN)
    both.agent.start()
    eventually(both.agent.answer)
    both.one.die()
    both.until("down", "ASKED/one", "OWN/one")
    both.until("up", "ASKED/two", "OWN/two")
    with clients(lambda: both.named("ASKED"), 100) as counts:
        both.site.write(both.vip("ASKED", REGEX), both.vip("OWN", OWN))
        both.done("apply")
        eventually(lambda: both.seen("ASKED/one").why.startswith("the agent says down (connect"))
        both.until("up", "ASKED/two")
        both.site.write(both.vip("ASKED", OWN), both.vip("OWN", OWN))
        both.done("apply")
        eventually(lambda: both.seen("ASKED/one").why.startswith("connect: refused"))
    assert set(counts) == {"two"}


def test_a_weight_and_a_vip_that_the_site_has_now_are_what_the_agent_keeps(both: Both) -> None:
    extra = both.vip("EXTRA", OWN)
    both.site.write(both.vip("ASKED", REGEX, weight=7), both.vip("OWN", OWN), extra)
    both.done("apply")
    drain(both.site.site, both.site.asked("EXTRA", "one"))
    both.reload_by_hand()
    eventually(lambda: both.seen("EXTRA/one").engine == "drain")
    time.sleep(0.6)  # the agent has looked once more
    assert (both.seen("ASKED/one").weight, both.seen("ASKED/one").drift) == (7, "")


def test_a_site_file_that_is_not_applied_yet_changes_nothing_in_haproxy(both: Both) -> None:
    both.site.write(both.vip("ASKED", REGEX, weight=7), both.vip("OWN", OWN))
    both.agent.client.reload()
    time.sleep(0.6)
    both.reload_by_hand()
    time.sleep(0.6)
    assert both.site.haproxy.look()["ASKED"].servers["one"].weight == 100


# --- what is in the way ---


def test_a_port_that_somebody_else_has_is_trouble_until_the_site_names_another(make: Make) -> None:
    with socket.create_server((HOST, 0)) as taken:
        both = make(agent={"check_port": taken.getsockname()[1]})
        both.agent.start()
        eventually(both.agent.answer)
        said = both.lbkit("agent", "--status")
        assert said.returncode == 1
        assert f"HAProxy can't be answered at {HOST}:{taken.getsockname()[1]}: Address already in use." in said.stdout
        assert both.names("ASKED") == {"one", "two"}
    both.done("apply")  # it is free now
    both.until("up", "ASKED/one", "ASKED/two")
    assert both.lbkit("agent", "--status").returncode == 0


def test_while_haproxy_hangs_layer_4_is_checked_in_time_and_the_agent_ends_within_a_second(make: Make) -> None:
    there = Named("there")
    both = make()
    four = vip("FOUR", "127.0.0.9:104", server("s", f"{HOST}:{there.port}"), check={"kind": "connect", **OFTEN})
    both.site.write(both.vip("ASKED", REGEX), both.vip("OWN", OWN), four | {"mode": "l4-dr"})
    both.agent.start()
    eventually(lambda: both.agent.health("FOUR/s") == "up")
    both.until("up", "ASKED/one")
    hung = [*both.processes("master"), *both.processes("worker")]
    try:
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.6)  # the agent waits for HAProxy by now
        there.die()
        begun = time.monotonic()
        eventually(lambda: both.agent.health("FOUR/s") == "down")
        assert time.monotonic() - begun < INTERVAL * FALL + 0.3
        eventually(lambda: "admin.sock" in both.agent.answer().trouble)
        begun = time.monotonic()
        assert both.agent.stop() == 0
        assert time.monotonic() - begun < 1.0
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)
    assert "Traceback" not in both.agent.log


@on_both
def test_a_haproxy_that_reloads_at_this_moment_is_stopped_all_the_same(make: Make) -> None:
    both = make()
    pids = [*both.processes("master"), *both.processes("worker")]
    os.kill(pids[0], signal.SIGUSR2)
    process.stop(both.site.haproxy)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
