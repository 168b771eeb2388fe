"""The agent on a kernel with IPVS: what the table holds while servers die, the agent dies, and the network is away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from interop.agents import eventually, l4, running
from system.ipvs.agents import CHECK, RealAgent, two_servers, watched
from system.ipvs.dicom import PORT, Storescp, stopped
from system.ipvs.lan import CLIENT, RS1, RS2, VIP, Lan, network
from system.namespaces import Namespace
from unit.site_text import server

import lbkit
from lbkit.checks.registry import Registry
from lbkit.operate.apply import apply, diff
from lbkit.operate.asked import Asked
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online

__all__ = ["network"]

INTERVAL, TIMEOUT, FALL, JITTER = 0.5, 1.0, 2, 0.05
SLACK = 0.5  # seconds: the looks of the test, and one slow CPU for all of it
REJECTED = b"\x03\0\0\0\0\4\0\1\1\7"  # A-ASSOCIATE-RJ: called AE title not recognized


@pytest.fixture(scope="module")
def servers(network) -> Iterator[tuple[Storescp, Storescp]]:
    both = Storescp(network.rs1), Storescp(network.rs2)
    with stopped(*both):
        yield both


@pytest.fixture
def agent(network, servers, tmp_path) -> Iterator[RealAgent]:
    """It runs, and has both servers in."""
    made = RealAgent(tmp_path, network.lb1)
    made.write(two_servers(), anchor=CLIENT)
    with running(made):
        eventually(lambda: made.table() == {RS1: 100, RS2: 100})
        yield made
    network.lb1.run("ipvsadm -C")
    made.close()


def killed(server: Storescp) -> None:
    server.die()


def hung(server: Storescp) -> None:
    server.hang()


@pytest.mark.parametrize(("dies", "hangs_for"), [(killed, 0.0), (hung, TIMEOUT)])
def test_a_server_that_dies_is_out_within_the_bound_and_back_when_it_lives(dies, hangs_for, agent, servers):
    died = time.monotonic()
    dies(servers[0])
    try:
        eventually(lambda: agent.table() == {RS2: 100})
        took = time.monotonic() - died
        assert took < FALL * INTERVAL + hangs_for + JITTER + 0.05 + SLACK
    finally:
        servers[0].stop()
        servers[0].rise()
    eventually(lambda: agent.table() == {RS1: 100, RS2: 100})


def test_a_server_that_rejects_is_out(agent, network, servers):
    servers[0].stop()
    try:
        with rejecting(network.rs1):
            eventually(lambda: agent.table() == {RS2: 100})
            eventually(lambda: "rejected" in agent.client.state().vips["DICOM"].servers["s1"].why)
    finally:
        servers[0].rise()
    eventually(lambda: agent.table() == {RS1: 100, RS2: 100})


@contextmanager
def rejecting(host: Namespace) -> Iterator[None]:
    """A server that takes connections and rejects every association."""
    with host.inside():
        listening = socket.create_server(("0.0.0.0", PORT))

    def serve() -> None:
        try:
            while True:
                client, _ = listening.accept()
                with client:
                    client.recv(9000)
                    client.sendall(REJECTED)
                    client.recv(1)
        except OSError:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


def test_a_healthy_server_is_never_out_while_the_agent_is_killed_and_started_again(agent):
    with watched(agent) as seen:
        agent.process.kill()
        agent.process.wait()
        agent.start()
        eventually(lambda: agent.health("DICOM/s1") == "up" and agent.health("DICOM/s2") == "up")
        agent.client.reconcile()
    assert seen == [{RS1: 100, RS2: 100}]


def test_a_server_that_died_while_no_agent_ran_is_out_when_one_runs(agent, servers):
    agent.process.kill()
    agent.process.wait()
    servers[0].die()
    try:
        assert agent.table() == {RS1: 100, RS2: 100}
        agent.start()
        eventually(lambda: agent.table() == {RS2: 100})
    finally:
        servers[0].rise()


def test_a_reload_leaves_healthy_servers_in_and_takes_out_what_left_the_site(agent):
    second = l4("OTHER", "10.0.0.20:104", server("s2", RS2), check=CHECK)
    with watched(agent) as seen:
        agent.write(two_servers(), second, anchor=CLIENT)
        agent.client.reload()
        assert agent.table("10.0.0.20") == {RS2: 100}
        agent.write(two_servers(), anchor=CLIENT)
        agent.client.reload()
        assert agent.table("10.0.0.20") is None
    assert seen == [{RS1: 100, RS2: 100}]


def test_what_somebody_else_takes_out_is_put_back(agent, network):
    agent.client.reconcile()  # so that it has no other reason to look
    network.lb1.run(f"ipvsadm -d -t {VIP}:{PORT} -r {RS1}:{PORT}")
    eventually(lambda: agent.table() == {RS1: 100, RS2: 100}, within=15)
    eventually(lambda: "somebody else has changed the table; mended:" in agent.log)


def test_an_operator_is_obeyed_through_the_agent(agent, network):
    site = lbkit.load_site(agent.site)
    asked = Asked("DICOM", "s1", state=agent.state_folder)
    with network.lb1.inside():
        drain(site, asked)
        assert agent.table() == {RS1: 0, RS2: 100}
        halt(site, asked)
        assert agent.table() == {RS2: 100}
        online(site, asked)
        assert agent.table() == {RS1: 100, RS2: 100}


def cut(network: Lan, state: str) -> None:
    """The balancer's own cable, at the switch."""
    network.switch.run(f"ip link set lb1 {state}")


def test_while_the_balancer_is_cut_off_its_servers_stay_in_and_are_never_out_when_it_is_back(agent, network):
    hasty = l4("HASTY", "10.0.0.20:104", server("s1", RS1), server("s2", RS2), check=CHECK | {"fall": 1})
    agent.write(two_servers(), hasty, anchor=CLIENT)
    agent.client.reload()
    places = ("DICOM/s1", "DICOM/s2", "HASTY/s1", "HASTY/s2")
    with watched(agent) as seen, watched(agent, "10.0.0.20") as seen_hasty:
        cut(network, "down")
        try:
            eventually(lambda: all(agent.health(place) == "down" for place in places))
            with network.lb1.inside():
                assert diff(lbkit.load_site(agent.site), Registry().kind, state=agent.state_folder) == ()
            held = agent.client.state().vips["DICOM"].held
            assert f"the anchor {CLIENT} has not answered since" in held
            eventually(
                lambda: "ERROR DICOM/s1 and DICOM/s2: down, and still in: all real servers of the VIP" in agent.log
            )
        finally:
            cut(network, "up")
        eventually(lambda: all(agent.health(place) == "up" for place in places))
        assert agent.client.state().vips["DICOM"].held == ""
    assert seen == seen_hasty == [{RS1: 100, RS2: 100}]


def test_all_servers_that_die_while_the_anchor_answers_are_out_and_the_fallback_serves(agent, servers):
    agent.write(two_servers(fallback={"address": "10.0.0.2", "port": PORT}), anchor=CLIENT)
    agent.client.reload()
    died = time.monotonic()
    for one in servers:
        one.die()
    try:
        eventually(lambda: agent.table() == {"10.0.0.2": 1})
        assert time.monotonic() - died < FALL * INTERVAL + JITTER + 0.05 + SLACK
        assert "still in" not in agent.log
    finally:
        for one in servers:
            one.rise()
    eventually(lambda: agent.table() == {RS1: 100, RS2: 100})


def test_at_its_end_the_kernel_forwards_on_unless_it_is_to_flush(agent):
    assert agent.stop() == 0
    assert agent.table() == {RS1: 100, RS2: 100}
    agent.start("--flush-on-exit")
    eventually(agent.answer)
    assert agent.stop() == 0
    assert agent.table() is None


def test_observing_it_leaves_the_table_alone_and_shows_it(agent, network):
    agent.stop()
    network.lb1.run(f"ipvsadm -d -t {VIP}:{PORT} -r {RS1}:{PORT}")
    agent.start("--observe")
    eventually(lambda: agent.health("DICOM/s1") == "up")
    state = eventually(agent.answer)
    assert {label: one.wanted for label, one in state.vips["DICOM"].servers.items()} == {"s1": "absent", "s2": "online"}
    with network.lb1.inside():
        site = lbkit.load_site(agent.site)
        (change,) = diff(site, Registry().kind, state=agent.state_folder)
        assert "1 line in, 0 out; left so, for the agent only observes" in change.summary
        assert apply(site, Registry().kind, state=agent.state_folder).changes == ()
    assert agent.table() == {RS2: 100}
