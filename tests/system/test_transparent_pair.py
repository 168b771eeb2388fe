"""Transparent VIPs of a pair, from `lbkit apply` to a failover: the real server sees the client's own address."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from interop.agents import eventually
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from system.namespaces import Namespace
from system.test_transparent import telling
from system.transparent_pair import FAR, FRONT, GATEWAY, NEAR, PORT, ROUTER, SERVER, VIP, Arms, Lan, Node, lan, pair

from lbkit.errors import RolledBack
from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate import apply as verbs

NO_ANSWER = 0.3  # seconds


class Made(NamedTuple):
    arms: Arms
    lan: Lan
    lb1: Node
    lb2: Node


@pytest.fixture(params=["one-arm", "two-arm"])
def made(request: pytest.FixtureRequest, short: Path) -> Iterator[Made]:
    arms: Arms = request.param
    with lan(arms) as wired, pair(wired, short, arms) as (lb1, lb2), telling(wired.server, SERVER[arms]):
        yield Made(arms, wired, lb1, lb2)


@pytest.fixture
def one(short: Path) -> Iterator[Node]:
    """A node that holds no address yet."""
    with lan("two-arm") as wired, pair(wired, short, "two-arm") as (lb1, _), telling(wired.server, SERVER["two-arm"]):
        yield lb1


def seen(client: Namespace) -> str | None:
    """The address that the real server sees of a client of the VIP; None: no answer."""
    try:
        with client.inside(), socket.create_connection((VIP, PORT), timeout=NO_ANSWER) as connection:
            connection.settimeout(NO_ANSWER)
            return connection.recv(64).decode() or None
    except OSError:
        return None


def rules(node: Node) -> tuple[bool, bool, bool]:
    """Whether the kernel has the table, the rule, the route."""
    shown = [
        node.host.tried(*words.split()).stdout
        for words in ("nft list tables", "ip rule show", "ip route show table 100")
    ]
    return "lbkit_transparent" in shown[0], "fwmark 0x1 lookup 100" in shown[1], "local default dev lo" in shown[2]


def test_the_real_server_sees_clients_own_addresses_also_after_a_failover(
    made: Made, haproxy: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    for node in (made.lb1, made.lb2):
        node.apply()
    made.lb1.begin(250)
    made.lb2.begin(240)
    eventually(lambda: made.lb1.holds(VIP) and made.lb1.holds(GATEWAY[made.arms]))
    eventually(lambda: seen(made.lan.far) == FAR)
    assert [seen(made.lan.near), seen(made.lan.far)] == [NEAR, FAR]
    made.lb1.end()
    eventually(lambda: made.lb2.holds(VIP) and made.lb2.holds(GATEWAY[made.arms]))
    eventually(lambda: seen(made.lan.far) == FAR, within=5)
    assert [seen(made.lan.near), seen(made.lan.far)] == [NEAR, FAR]
    made.lb1.begin(250)
    eventually(lambda: made.lb1.holds(VIP) and not made.lb2.holds(VIP))
    eventually(lambda: seen(made.lan.near) == NEAR, within=5)


def test_a_real_server_is_told_no_way_past_its_gateway(short: Path) -> None:
    """One arm, the balancer's own address: it would learn the router's for a client that it called, and answer it there."""
    with lan("one-arm") as wired, pair(wired, short, "one-arm") as (lb1, _):
        lb1.apply()
        wired.server.run(f"ip route add {ROUTER} dev eth0", f"ip route replace default via {FRONT['lb1']}")

        def learned() -> bool:
            with wired.server.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                for _ in range(4):
                    asking.sendto(b"?", (FAR, 9))
                    time.sleep(0.15)
            return f"via {ROUTER}" in wired.server.tried("ip", "route", "get", FAR).stdout

        assert not learned()
        wired.lb1.run("nft delete chain inet lbkit_transparent output")
        eventually(learned)  # else this test would not see one


def test_what_differs_in_the_kernel_is_shown_and_mended(one: Node) -> None:
    assert {change.path.name: change.kind for change in one.diff() if "transparent" in change.path.name} == {
        "transparent.nft": "new",
        "transparent.sh": "not in force",
    }
    assert rules(one) == (False, False, False)
    done = one.apply()
    assert any(step.startswith("transparent VIPs: ") for step in done.steps)
    assert rules(one) == (True, True, True)
    assert one.diff() == ()
    one.host.run("ip rule del fwmark 0x1 lookup 100", "nft flush chain inet lbkit_transparent prerouting")
    one.host.set("ipv4/ip_forward", "0")
    (change,) = one.diff()
    assert change.summary == (
        f"{one.folder}/etc/transparent.sh: not in force; the nftables table inet lbkit_transparent is another; "
        "ip -4 rule fwmark 0x1 lookup 100 is missing; net.ipv4.ip_forward is 0"
    )
    would = one.apply(dry_run=True)
    assert would.steps == [change.summary, "nothing would be reloaded"]
    assert rules(one) == (True, False, True)
    done = one.apply()
    assert (done.reloaded, one.diff(), rules(one)) == (False, (), (True, True, True))


def test_without_a_transparent_vip_the_kernel_is_as_before(one: Node) -> None:
    one.apply()
    one.write()
    assert [change.kind for change in one.diff() if change.path.name == "transparent.sh"] == [
        "removed",
        "still in force",
    ]
    one.apply()
    assert (rules(one), one.diff()) == ((False, False, False), ())


def test_a_configuration_that_is_taken_back_takes_its_rules_back(one: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    one.write()
    one.apply()
    one.write(transparent=True)

    def fails(*_: object) -> None:
        assert rules(one) == (True, True, True)
        raise verbs.NotDone("it does not hold.")

    with monkeypatch.context() as broken:
        broken.setattr(verbs, "verify", fails)
        with pytest.raises(RolledBack):
            one.apply()
    assert rules(one) == (False, False, False)
    with one.host.inside():
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"


def test_without_nft_nothing_is_touched(one: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.install.nftables._SBIN", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(verbs.CannotRun, match="Install the package nftables"):
        one.apply()
    assert not (one.folder / "etc").exists()
