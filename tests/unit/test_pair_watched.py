"""What the watchman sees when something of its node is not as it should be."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.site_text import server, site, vip

from lbkit import load_site
from lbkit.agent import pair_vrrp
from lbkit.agent.handover import Handover
from lbkit.agent.one_thread import OneThread
from lbkit.agent.pair_haproxy import HaproxyWatch, any_up
from lbkit.agent.pair_keepalived import Processes
from lbkit.agent.pair_network import Network
from lbkit.agent.pair_peer import Conversation
from lbkit.agent.pair_vrrp import VrrpWatch
from lbkit.errors import CannotRun
from lbkit.haproxy.rows import rows
from lbkit.pair import second_chance, switch, track
from lbkit.pair.second_chance import Way
from lbkit.site.model import Site
from lbkit.state.pair import PairSeen

NODES = [{"name": f"lb{number}", "address": f"192.0.2.1{number}"} for number in (1, 2)]


@pytest.fixture
def here(tmp_path) -> Site:
    file = tmp_path / "site.toml"
    one = vip("WEB", "192.0.2.50:80", server("rs1", "192.0.2.21:80"))
    runtime = {"runtime": str(tmp_path / "vrrp"), "pid_file": str(tmp_path / "pid")}
    file.write_text(site(one, pair={"nodes": NODES}, keepalived=runtime))
    return load_site(str(file))


# --- are real servers up ---


def _rows(*checked: str) -> str:
    lines = ["# pxname,svname,status,check_status,agent_status,", "A,FRONTEND,OPEN,,,", "A,BACKEND,UP,,,"]
    lines += [f"A,s{number},{one}," for number, one in enumerate(checked)]
    return "\n".join([*lines, "_stats,s,UP,L4OK,,", "A,_fallback,no check,,,", ""])


SERVERS = {
    "one is up": (("UP,L4OK,", "DOWN,L4CON,"), True),
    "one is up, the other not checked yet": (("UP 1/3,INI,", "UP,L4OK,"), True),
    "one has failed for the first time": (("UP 2/3,L4CON,",), True),
    "one is drained": (("DRAIN,L4OK,",), True),
    "one is being checked again": (("UP,* L4OK,",), True),
    "all are down": (("DOWN,L4CON,", "DOWN,* L4TOUT,"), False),
    "one is down, the other not checked yet": (("DOWN,L4CON,", "UP 1/3,INI,"), None),
    "none is checked yet": (("UP 1/3,INI,", "UP 1/3,* INI,"), None),
    "one is down, the other halted": (("DOWN,L4CON,", "MAINT,,"), False),
    "the agent does not say": (("no check,,CHECKED",), False),
}


@pytest.mark.parametrize(("checked", "found"), SERVERS.values(), ids=SERVERS.keys())
def test_whether_a_real_server_is_up(checked, found):
    assert any_up(rows(_rows(*checked)), {"A"}) is found


# --- the FIFO, and this node's role ---


def _watched(here: Site, work: Callable[[VrrpWatch, Network], None]) -> None:
    assert here.pair is not None

    async def run() -> None:
        network = Network(here, *here.pair.nodes, lambda: None)  # type: ignore[union-attr]
        watch = VrrpWatch(here, network, True, lambda: None)
        try:
            work(watch, network)
        finally:
            watch.close()
        await asyncio.sleep(0)

    asyncio.run(run())


def _replaced(here: Site) -> None:
    fifo = Path(here.keepalived.runtime, "fifo")
    fifo.unlink()
    fifo.write_text("")


def test_the_number_of_a_fifo_that_is_gone_is_free_for_what_is_opened_next(here):
    """Else the loop takes the next file for the FIFO, and hears nothing of it: HAProxy would be held to hang."""

    def work(watch: VrrpWatch, network: Network) -> None:
        watch.tick(False)
        fd = watch._fifo.fd
        assert fd is not None
        _replaced(here)
        watch.tick(False)
        assert "is no FIFO" in watch.trouble
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        assert fd in (reading, writing)
        with pytest.raises(KeyError):
            loop._selector.get_key(fd)  # type: ignore[attr-defined]
        os.close(reading)
        os.close(writing)

    _watched(here, work)


def test_a_role_that_nobody_tells_follows_the_adverts_that_pass(here, monkeypatch):
    monkeypatch.setattr(pair_vrrp, "look", lambda site: Processes("running", 1, (2,)))

    def work(watch: VrrpWatch, network: Network) -> None:
        now = asyncio.get_running_loop().time()
        watch.tick(True)
        _replaced(here)
        network.sent = now
        watch.tick(True)
        assert watch.role == "master"
        network.sent, network.heard = now - 60, now
        watch.tick(False)
        assert watch.role == "backup"

    _watched(here, work)


def test_a_role_that_is_told_follows_nothing_else(here, monkeypatch):
    monkeypatch.setattr(pair_vrrp, "look", lambda site: Processes("running", 1, (2,)))

    def work(watch: VrrpWatch, network: Network) -> None:
        network.sent = asyncio.get_running_loop().time()
        watch.tick(True)
        assert watch.role == "master"
        network.sent, network.heard = None, asyncio.get_running_loop().time()
        watch.tick(False)
        assert watch.role == "master"

    _watched(here, work)


# --- what goes on ---


def test_what_the_other_node_has_said_counts_on_when_the_site_is_read_anew(here):
    async def run() -> None:
        first, second = here.pair.nodes  # type: ignore[union-attr]
        before, after, of_another = (
            Conversation(here, node, lambda: None, lambda link, state: None) for node in (second, second, first)
        )
        before.said, before.asked_at, before.answered_at = (
            PairSeen("lb2", "master", 9.0, "running", "up", (), True),
            1,
            2,
        )
        after.goes_on(before)
        of_another.goes_on(before)
        assert (after.said, after.asked_at, after.answered_at) == (before.said, 1, 2)
        assert (of_another.said, of_another.answered_at) == (None, None)

    asyncio.run(run())


def _fails(*about: object) -> None:
    raise ValueError("a fault of lbkit")


def test_a_look_at_haproxy_that_fails_is_followed_by_the_next(here, monkeypatch, caplog):
    monkeypatch.setattr(HaproxyWatch, "_any_up", _fails)

    async def run() -> None:
        watch, thread = HaproxyWatch(here, "lb2", lambda: None), OneThread("test")
        await watch._look(thread)
        thread.end()

    asyncio.run(run())
    assert "a fault of lbkit" in caplog.text


def test_a_tick_of_a_switch_that_fails_is_followed_by_the_next_before_the_rule_ends(here, monkeypatch, caplog):
    monkeypatch.setenv("LBKIT_NODE", "lb1")
    monkeypatch.setattr(switch, "read", _fails)
    Handover(here).tick(True)
    assert "a fault of lbkit" in caplog.text


def test_where_nothing_is_kept_nft_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(second_chance.shutil, "which", lambda *about, **more: None)
    second_chance.start(())
    second_chance.renew(())
    second_chance.stop()
    with pytest.raises(CannotRun, match="Install nftables"):
        second_chance.start((Way("192.0.2.12", "eth0", (("192.0.2.50", 80),)),))


# --- the tracked files ---


def test_a_tracked_file_that_can_not_be_read_is_not_set_and_is_written_anew(here):
    folder = Path(here.keepalived.runtime)
    folder.mkdir()
    with (folder / "fault").open("wb") as file:
        file.truncate(65 << 20)  # too large; root reads whatever there is
    assert not track.read(here, "fault")
    assert track.write(here, "fault", False)
    assert (folder / "fault").read_bytes() == b"0\n"
    assert not track.write(here, "fault", False)
    assert track.write(here, "fault", True)
    assert track.read(here, "fault")


def test_a_folder_in_the_place_of_a_tracked_file_is_not_set(here):
    Path(here.keepalived.runtime, "fault").mkdir(parents=True)
    assert not track.read(here, "fault")
