"""The agent keeps IPVS under traffic: associations through the VIP all the time, and none fails that should not."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from interop.agents import eventually, l4, running
from system.ipvs.agents import CHECK, RealAgent, two_servers
from system.ipvs.dicom import PORT, Scp, Storescp, echo, stopped
from system.ipvs.lan import CLIENT, RS1, RS2, VIP, Lan, network
from unit.site_text import server

import lbkit
from lbkit import Result, check
from lbkit.checks.registry import Registry
from lbkit.operate.apply import apply, diff
from lbkit.operate.asked import Asked
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.overview import overview
from lbkit.site.model import Site

__all__ = ["network"]

TARGET = f"{VIP}:{PORT}"
PATIENT = CHECK | {"timeout": "5s", "fall": 3}  # a machine that stalls for a second must take no healthy server out


@pytest.fixture
def agent(network, tmp_path) -> Iterator[RealAgent]:
    """It runs, in front of servers that may not; the test is in its namespace."""
    made = RealAgent(tmp_path, network.lb1)
    made.write(vip())
    with network.lb1.inside(), running(made):
        yield made
        network.lb1.run("ipvsadm -C")
    made.close()


def vip(*servers: dict[str, object]) -> dict[str, object]:
    """The VIP, with its two real servers unless others are given."""
    more = {"servers": list(servers)} if servers else {}
    return two_servers() | {"scheduler": "round-robin", "check": PATIENT, **more}


class Traffic:
    """One association after the other, from the client through the VIP."""

    def __init__(self, network: Lan) -> None:
        self.results: list[Result] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(network,))

    def _run(self, network: Lan) -> None:
        with network.client.inside():
            while not self._end.is_set():
                self.results.append(check("c-echo", TARGET, timeout=20))
                time.sleep(0.005)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def goes_on(self, number: int = 20) -> None:
        """So many associations more, and none of all has failed."""
        seen = len(self.results)
        eventually(lambda: len(self.results) >= seen + number, within=60)
        assert [one.line() for one in self.results if one.status != "up"] == []


def both_are_in(agent: RealAgent) -> bool:
    return agent.table() == {RS1: 100, RS2: 100}


def test_both_servers_see_the_clients_own_address_and_the_verbs_act_through_the_agent(network, agent):
    both = Scp(network.rs1), Scp(network.rs2)
    site = lbkit.load_site(agent.site)

    def served() -> list[int]:
        """How many of four associations each had."""
        for one in both:
            one.callers.clear()
        for _ in range(4):
            assert echo(network.client, TARGET).status == "up"
        return [sum(address == CLIENT for address, _ in one.callers) for one in both]

    with stopped(*both):
        eventually(lambda: both_are_in(agent))
        asked = Asked("DICOM", "s1", state=agent.state_folder)
        assert served() == [2, 2]
        drain(site, asked)
        assert served() == [0, 4]
        halt(site, asked)
        assert served() == [0, 4]
        (view,) = overview(site, state=agent.state_folder)
        seen = [(one.engine, one.health, one.drift, one.why) for one in view.servers]
        assert seen == [("halt", "up", "", seen[1][3]), ("online", "up", "", "answers C-ECHO with Success")]
        online(site, asked)
        assert served() == [2, 2]
        assert diff(site, Registry().kind, state=agent.state_folder) == ()


def test_no_association_fails_while_the_agent_is_killed_and_started_again(network, agent):
    with stopped(Storescp(network.rs1), Storescp(network.rs2)):
        eventually(lambda: both_are_in(agent))
        with Traffic(network) as traffic:
            for _ in range(3):
                traffic.goes_on()
                agent.process.kill()
                agent.process.wait()
                traffic.goes_on()
                agent.start()
                eventually(agent.answer)


def test_no_association_fails_while_the_site_is_read_anew(network, agent):
    """What changes: a weight, a VIP that comes and goes, a real server that comes and goes, the scheduler."""
    third = server("s3", RS2)
    sites = (
        [vip(server("s1", RS1, weight=50), server("s2", RS2))],
        [vip(), l4("OTHER", "10.0.0.20:104", third, check=PATIENT)],
        [vip(server("s1", RS1, weight=0), server("s2", RS2))],  # drained first: what is open on it would be reset
        [vip(server("s2", RS2))],
        [vip() | {"scheduler": "least-connections"}],
    )
    with stopped(Storescp(network.rs1), Storescp(network.rs2)):
        eventually(lambda: both_are_in(agent))
        with Traffic(network) as traffic:
            for vips in sites:
                agent.write(*vips)
                assert applied(agent) == ()
                traffic.goes_on()
                agent.process.send_signal(signal.SIGHUP)
                traffic.goes_on()


def applied(agent: RealAgent) -> object:
    """What still differs when the site is applied."""
    site: Site = lbkit.load_site(agent.site)
    done = apply(site, Registry().kind, state=agent.state_folder)
    assert any("the agent (pid" in step for step in done.steps)
    return diff(site, Registry().kind, state=agent.state_folder)
