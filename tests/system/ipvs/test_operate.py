"""The operator's verbs on layer 4, without an agent: the kernel itself is asked, and what it does with real associations."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from system.ipvs.dicom import PORT, Scp, echo, stopped
from system.ipvs.lan import CLIENT, LB1, RS1, RS2, VIP, Lan, network
from unit.site_text import server, site, vip

import lbkit
from lbkit.checks.registry import Registry
from lbkit.errors import Misuse, Refused, WaitRanOut
from lbkit.operate.apply import apply, diff
from lbkit.operate.apply_ipvs import render
from lbkit.operate.asked import Asked
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.overview import overview
from lbkit.operate.wait import wait
from lbkit.operate.weight import weight
from lbkit.operate.why import why
from lbkit.site.model import Site

__all__ = ["network"]

NAME = "CCW_DICOM"


@pytest.fixture(scope="module")
def servers(network) -> Iterator[tuple[Scp, Scp]]:
    both = Scp(network.rs1), Scp(network.rs2)
    with stopped(*both):
        yield both


@pytest.fixture
def balanced(network, servers, tmp_path) -> Iterator[Site]:
    """Two real servers behind lb1, in whose namespace the test runs."""
    for one in servers:
        one.callers.clear()
    loaded = written(tmp_path)
    with network.lb1.inside():
        apply(loaded, Registry().kind, state=tmp_path)
        yield loaded
        network.lb1.run("ipvsadm -C")


def written(folder: Path, **more: object) -> Site:
    file = folder / "site.toml"
    check = {"kind": "c-echo", "aet": "LOADBALANCER", "aec": "LB-SCP", "timeout": "5s"}
    of_it = {"mode": "l4-dr", "check": check, "scheduler": "round-robin", **more}
    text = vip(NAME, f"{VIP}:{PORT}", server("s1", RS1), server("s2", RS2), **of_it)
    file.write_text(site(text, agent={"socket": str(folder / "agent.sock")}))
    return lbkit.load_site(file)


def asks(folder: Path, server: str = "s1", **more: object) -> Asked:
    return Asked(NAME, server, state=folder, **more)


def echoes(network: Lan, servers: tuple[Scp, Scp], number: int) -> tuple[int, int]:
    """How many of so many associations each server had."""
    for one in servers:
        one.callers.clear()
    for _ in range(number):
        assert echo(network.client, f"{VIP}:{PORT}").status == "up"
    return len(servers[0].callers), len(servers[1].callers)


@contextmanager
def connected(network: Lan) -> Iterator[socket.socket]:
    """A client's open connection through the VIP."""
    with network.client.inside():
        made = socket.create_connection((VIP, PORT), timeout=5)
    with closing(made):
        yield made


def rules(network: Lan) -> list[str]:
    return network.lb1.tried("ipvsadm", "-Sn").stdout.splitlines()


def test_associations_reach_both_servers_with_the_clients_own_address(network, servers, balanced):
    assert echoes(network, servers, 4) == (2, 2)
    assert {address for one in servers for address, _ in one.callers} == {CLIENT}


def test_what_is_rendered_is_what_is_in_the_kernel(network, balanced):
    assert rules(network) == render(balanced).splitlines()


def test_a_drained_server_gets_no_new_association_and_keeps_its_open_ones(network, servers, balanced, tmp_path):
    with connected(network), connected(network):
        (done,) = drain(balanced, asks(tmp_path))
        assert done.connections == 1
        assert echoes(network, servers, 4) == (0, 4)
        with pytest.raises(WaitRanOut, match="1 open connection"):
            wait(balanced, [done], 0.2)
    wait(balanced, [done], 5)
    online(balanced, asks(tmp_path))
    assert echoes(network, servers, 4) == (2, 2)


def test_a_halted_servers_connections_are_reset(network, servers, balanced, tmp_path):
    with connected(network) as first, connected(network) as second:
        halt(balanced, asks(tmp_path))
        ended = 0
        for one in (first, second):
            one.settimeout(3)
            with suppress(TimeoutError):
                one.sendall(b"\0")
                try:
                    one.recv(1)
                except ConnectionResetError:
                    ended += 1
        assert ended == 1
        assert echoes(network, servers, 2) == (0, 2)
    (view,) = overview(balanced, state=tmp_path)
    assert (view.servers[0].engine, view.servers[0].drift, view.colour) == ("halt", "", "yellow")


def test_the_last_server_is_refused_unless_forced_and_its_clients_are_refused_then(network, balanced, tmp_path):
    drain(balanced, asks(tmp_path))
    with pytest.raises(Refused, match="s2 is the last real server"):
        halt(balanced, asks(tmp_path, "s2"))
    halt(balanced, asks(tmp_path, "s2", force=True))
    assert echo(network.client, f"{VIP}:{PORT}").reason == "refused"


def test_the_fallback_server_can_be_the_balancer_itself(network, balanced, tmp_path):
    site = written(tmp_path, fallback={"address": LB1, "port": PORT})
    for name in ("s1", "s2"):
        halt(site, asks(tmp_path, name, force=True))
    (view,) = overview(site, state=tmp_path)
    assert view.fallback
    with stopped(Scp(network.lb1)):
        assert echo(network.client, f"{VIP}:{PORT}").status == "up"
    online(site, asks(tmp_path))
    assert [line for line in rules(network) if f"-r {LB1}:" in line] == []


def test_a_weight_of_an_operator_holds_until_it_is_taken_back(network, balanced, tmp_path):
    weight(balanced, asks(tmp_path), 7)
    assert f"-a -t {VIP}:{PORT} -r {RS1}:{PORT} -g -w 7" in rules(network)
    (view,) = overview(balanced, state=tmp_path)
    assert [(one.weight, one.drift) for one in view.servers] == [(7, ""), (100, "")]
    weight(balanced, asks(tmp_path), 100)
    assert rules(network) == render(balanced).splitlines()


def test_a_dry_run_touches_nothing(network, balanced, tmp_path):
    before = rules(network)
    (done,) = drain(balanced, asks(tmp_path, dry_run=True))
    assert "no new connections" in done.steps[0]
    assert rules(network) == before


def test_drift_is_shown_by_overview_and_diff_and_brought_back_by_apply(network, balanced, tmp_path):
    network.lb1.run(
        f"ipvsadm -d -t {VIP}:{PORT} -r {RS1}:{PORT}", f"ipvsadm -e -t {VIP}:{PORT} -r {RS2}:{PORT} -g -w 9"
    )
    (view,) = overview(balanced, state=tmp_path)
    assert "IPVS has it absent, and online is wanted" in view.servers[0].drift
    assert "IPVS has weight 9, and 100 is wanted" in view.servers[1].drift
    (change,) = diff(balanced, Registry().kind, state=tmp_path)
    assert f"+-a -t {VIP}:{PORT} -r {RS1}:{PORT} -g -w 100" in change.lines
    apply(balanced, Registry().kind, state=tmp_path)
    assert diff(balanced, Registry().kind, state=tmp_path) == ()


def test_apply_touches_only_what_differs_and_leaves_what_others_made(network, servers, balanced, tmp_path):
    network.lb1.run("ipvsadm -A -t 10.0.0.77:80 -s rr")
    with connected(network) as first, connected(network) as second:
        more = written(tmp_path, scheduler="least-connections")
        done = apply(more, Registry().kind, state=tmp_path)
        assert any("(wlc)" in step for step in done.steps)
        for one in (first, second):
            one.settimeout(0.3)
            with pytest.raises(TimeoutError):  # still open: an SCP waits for the association
                one.recv(1)
    assert "-A -t 10.0.0.77:80 -s rr" in rules(network)


def test_a_vip_that_left_the_site_leaves_the_kernel(network, balanced, tmp_path):
    file = tmp_path / "site.toml"
    file.write_text(file.read_text().replace(f"ports = [{PORT}]", "ports = [1230]").replace(NAME, "OTHER"))
    apply(lbkit.load_site(file), Registry().kind, state=tmp_path)
    assert not [line for line in rules(network) if f":{PORT} " in line]


def test_apply_puts_no_dead_server_in_where_no_agent_would_take_it_out(network, servers, tmp_path):
    servers[0].stop()
    try:
        with network.lb1.inside():
            done = apply(written(tmp_path), Registry().kind, state=tmp_path)
            assert [line for line in rules(network) if RS1 in line] == []
            assert any("no agent runs" in warning for warning in done.warnings)
    finally:
        network.lb1.run("ipvsadm -C")
        servers[0].rise()


def test_without_an_agent_health_is_unknown_and_said_so(balanced, tmp_path):
    (view,) = overview(balanced, state=tmp_path)
    assert [one.health for one in view.servers] == ["unknown", "unknown"]
    assert any("no agent runs" in warning for warning in view.warnings)
    assert "New clients are balanced between s1, s2" in why(balanced, NAME, state=tmp_path).paragraphs[0][1][1]


def test_connections_are_counted(network, balanced, tmp_path):
    with connected(network), connected(network), connected(network):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and (view := overview(balanced, state=tmp_path)[0]).connections != 3:
            time.sleep(0.02)
        assert sorted(one.connections for one in view.servers) == [1, 2]


def test_a_table_of_a_layer_4_vip_is_misuse(balanced):
    from lbkit.operate.tables import clear

    with pytest.raises(Misuse, match="IPVS has no table"):
        clear(balanced, NAME)
