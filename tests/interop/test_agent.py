"""The agent as a process: what it checks, when its engine hears of it, what it answers, and how it ends."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator

import pytest
from interop.agents import FAST, PATIENCE, agent_process, closed_port, eventually, l4, up_at
from interop.remotes import free_port
from unit.remotes import black_hole, silent
from unit.site_text import server, vip

from lbkit.errors import NotDone
from lbkit.state.intents import Intent, Intents
from lbkit.testing import Listener

INTERVAL, TIMEOUT, JITTER = 0.2, 0.5, 0.02  # of FAST; its fall is 3
NOT_NATIVE = FAST | {"kind": "https-get", "match": "regex", "body": "(?P<all>Operative)", "tls": False}
SLACK = 0.25  # seconds that a busy machine may add: each side is a process with threads of its own


class Switch:
    """A server that takes connections until it dies, refuses them then, and can come back."""

    def __init__(self) -> None:
        self._server = Listener(lambda client: client.recv(1))
        self.port = self._server.port
        self.target = self._server.target

    @property
    def accepted(self) -> int:
        return self._server.accepted

    def die(self) -> float:
        self._server.close()
        return time.monotonic()


@pytest.fixture
def switch() -> Iterator[Switch]:
    made = Switch()
    yield made
    made.die()


# --- what it checks, and what its engine hears ---


def test_it_adopts_then_says_what_the_first_checks_found(listener, tmp_path):
    place = listener(silent)
    with agent_process(
        tmp_path, l4("A", "10.0.0.1:104", server("s1", place.target), server("s2", f"127.0.0.1:{closed_port()}"))
    ) as agent:
        eventually(lambda: agent.carried("A/s1", "up") and agent.carried("A/s2", "down"))
        first = agent.calls[0]
        assert first["health"] == {"A/s1": "unknown", "A/s2": "unknown"}
        state = agent.client.state()
        assert "connection refused" in state.vips["A"].servers["s2"].why
        assert (state.site, state.site_file, state.checks, state.trouble) == ("test", str(agent.site), 2, "")
        assert re.search(r"WARNING A/s2 is down: connect \(refused\)", agent.log)


def test_a_server_that_dies_is_out_within_the_bound(switch, listener, tmp_path):
    with agent_process(
        tmp_path, l4("A", "10.0.0.1:104", server("s1", switch.target), server("s2", listener(silent).target))
    ) as agent:
        up_at(agent, "A/s1", "A/s2")
        died = switch.die()
        out = eventually(lambda: agent.carried("A/s1", "down", died))
        assert 2 * INTERVAL - JITTER < out - died < 3 * INTERVAL + JITTER + 0.05 + SLACK
        assert agent.health("A/s2") == "up"


def test_one_that_hangs_delays_nobody(switch, tmp_path):
    with black_hole() as hangs:
        vips = [l4(f"H{i}", f"10.0.1.{i}:104", server("h", f"127.0.0.1:{hangs}")) for i in range(1, 9)]
        with agent_process(tmp_path, *vips, l4("A", "10.0.0.1:104", server("s1", switch.target))) as agent:
            up_at(agent, "A/s1")
            died = switch.die()
            out = eventually(lambda: agent.carried("A/s1", "down", died))
            assert out - died < 3 * INTERVAL + JITTER + 0.05 + SLACK
            assert agent.client.state().lag < 0.1


def test_with_a_fast_interval_the_last_downs_follow_each_other_faster(switch, tmp_path):
    check = FAST | {"interval": "1s", "fast_interval": "50ms"}
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", switch.target), check=check)) as agent:
        up_at(agent, "A/s1")
        died = switch.die()
        out = eventually(lambda: agent.carried("A/s1", "down", died))
        assert out - died < 1.0 + 2 * 0.05 + 0.1 + 0.05 + SLACK


def test_equal_servers_of_several_vips_are_checked_once(listener, tmp_path):
    place = listener(silent)
    vips = [l4(name, f"10.0.0.{i}:104", server(f"s{i}", place.target)) for i, name in enumerate("ABCD", 1)]
    with agent_process(tmp_path, *vips) as agent:
        up_at(agent, "A/s1", "B/s2", "C/s3", "D/s4")
        assert agent.client.state().checks == 1
        before, begin = place.accepted, time.monotonic()
        time.sleep(1.0)
        once = (time.monotonic() - begin) / INTERVAL
        assert 0.5 * once <= place.accepted - before <= once + 2


def test_a_server_of_several_ports_is_down_while_one_of_them_is(listener, tmp_path):
    good, bad = listener(silent), closed_port()
    with agent_process(tmp_path, l4("A", f"10.0.0.1:{good.port},{bad}", server("s1", "127.0.0.1"))) as agent:
        eventually(lambda: agent.health("A/s1") == "down")
        assert agent.client.state().checks == 2
        with socket.create_server(("127.0.0.1", bad)):
            up_at(agent, "A/s1")


def test_a_check_without_its_plugin_leaves_its_servers_as_they_are_and_says_why(listener, tmp_path):
    broken = l4("B", "10.0.0.2:104", server("s1", "127.0.0.1:9"), check={"kind": "no-such-check"})
    with agent_process(tmp_path, broken, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        up_at(agent, "A/s1")
        one = agent.client.state().vips["B"].servers["s1"]
        assert (one.health, one.why.startswith("no check is called")) == ("unknown", True)
        assert {call["health"]["B/s1"] for call in agent.calls if call["what"] == "reconcile"} == {"unknown"}


def test_a_server_that_comes_up_again_gets_its_share_little_by_little(tmp_path):
    port = closed_port()
    starting = l4("A", "10.0.0.1:104", server("s1", f"127.0.0.1:{port}"), slow_start="1s")
    with agent_process(tmp_path, starting) as agent:
        eventually(lambda: agent.health("A/s1") == "down")
        with socket.create_server(("127.0.0.1", port)):
            eventually(lambda: [call for call in agent.calls if call.get("shares")][8:])
            eventually(lambda: not agent.calls[-1]["shares"])
    shares = [call["shares"]["A/s1"] for call in agent.calls if call.get("shares")]
    assert shares == sorted(shares)
    assert shares[0] == 0.1
    assert shares[-1] == 0.9


def test_a_server_that_is_up_at_the_start_has_all_its_weight_at_once(listener, tmp_path):
    starting = l4("A", "10.0.0.1:104", server("s1", listener(silent).target), slow_start="30s")
    with agent_process(tmp_path, starting) as agent:
        up_at(agent, "A/s1")
        assert not any(call.get("shares") for call in agent.calls)


# --- layer 7 ---


def test_haproxy_is_told_of_the_servers_whose_check_it_cannot_run(switch, tmp_path):
    port = free_port()
    of_7 = vip("W", f"127.0.0.1:{free_port()}", server("s1", switch.target), check=NOT_NATIVE)
    with agent_process(tmp_path, of_7, l4("A", "10.0.0.1:104", server("s1", switch.target)), check_port=port) as agent:
        up_at(agent, "A/s1")
        eventually(lambda: asked_as_haproxy(port, "W/s1").startswith("down #"))
        assert asked_as_haproxy(port, "W/s2") == "\n"
        assert asked_as_haproxy(port, "A/s1") == "up\n"
        assert agent.client.state().vips.keys() == {"A"}
        other = free_port()
        agent.write(of_7, check_port=other)
        agent.client.reload()
        assert asked_as_haproxy(other, "W/s1").startswith("down #")
        assert refuses(port)
        agent.write(l4("A", "10.0.0.1:104", server("s1", switch.target)))
        agent.client.reload()
        assert refuses(other)


def test_a_port_that_another_has_is_trouble_and_the_checks_go_on(listener, tmp_path):
    taken = listener(silent)
    of_7 = vip("W", f"127.0.0.1:{free_port()}", server("s1", taken.target), check=NOT_NATIVE)
    with agent_process(tmp_path, of_7, check_port=taken.port) as agent:
        assert "HAProxy can't be answered at" in agent.client.state().trouble


def asked_as_haproxy(port: int, question: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(f"{question}\n".encode())
        return client.recv(1000).decode()


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


# --- intents ---


def test_an_intent_is_in_force_when_the_question_is_answered(listener, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        up_at(agent, "A/s1")
        store = Intents(agent.state_folder)
        for wanted in ("drain", "halt", "online", "drain"):
            store.record(Intent("A", "s1", wanted))
            answer = agent.client.reconcile()
            assert answer.vips["A"].servers["s1"].wanted == wanted
            assert answer.generation == store.generation


def test_an_intent_that_nobody_tells_of_is_found_and_ends_when_its_time_is_up(listener, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        up_at(agent, "A/s1")
        until = time.time() + 1.5
        Intents(agent.state_folder).record(Intent("A", "s1", "drain", until=until))
        eventually(lambda: agent.calls[-1]["intents"] == {"A/s1": "drain"})
        assert time.time() < until
        eventually(lambda: agent.calls[-1]["intents"] == {})
        assert until <= time.time() < until + 1


def test_a_broken_store_of_intents_is_trouble_and_never_an_empty_one(listener, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        up_at(agent, "A/s1")
        store = Intents(agent.state_folder)
        store.record(Intent("A", "s1", "halt"))
        agent.client.reconcile()
        whole = store.path.read_bytes()
        store.path.write_bytes(b"{")
        with pytest.raises(NotDone, match=re.escape("intents.json can't be used")):
            agent.client.reconcile()
        assert "intents.json can't be used" in agent.client.state().trouble
        store.path.write_bytes(whole)
        eventually(lambda: agent.client.state().trouble == "")
        assert all(call["intents"] == {"A/s1": "halt"} for call in agent.calls if call.get("intents"))
        assert agent.calls[-1]["intents"] == {"A/s1": "halt"}


# --- the engine ---


def test_an_engine_that_fails_is_trouble_and_is_asked_again(listener, tmp_path):
    (tmp_path / "record.broken").write_text("it has no ip_vs")
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", listener(silent).target))) as agent:
        eventually(lambda: agent.client.state().trouble == "it has no ip_vs")
        up_at(agent, "A/s1")
        with pytest.raises(NotDone, match="it has no ip_vs"):
            agent.client.reconcile()
        (tmp_path / "record.broken").unlink()
        eventually(lambda: agent.client.state().trouble == "", within=8)
        assert agent.log.count("ERROR can't reconcile: it has no ip_vs") == 1


def test_what_somebody_else_has_changed_is_mended_and_told(listener, tmp_path):
    of_4 = l4("A", "10.0.0.1:104", server("s1", listener(silent).target))
    with agent_process(tmp_path, of_4, flags=("--looks-often",)) as agent:
        up_at(agent, "A/s1")
        agent.client.reconcile()  # from now on there is nothing else to do
        (tmp_path / "record.drift").write_text("added destination 10.0.0.11")
        eventually(lambda: "WARNING somebody else has changed the table; mended: added destination" in agent.log)


def test_observing_it_writes_nothing(switch, tmp_path):
    port = free_port()
    of_7 = vip("W", f"127.0.0.1:{free_port()}", server("s1", switch.target), check=NOT_NATIVE)
    of_4 = l4("A", "10.0.0.1:104", server("s1", switch.target))
    with agent_process(tmp_path, of_7, of_4, flags=("--observe",), check_port=port) as agent:
        up_at(agent, "A/s1")
        assert refuses(port)
        Intents(agent.state_folder).record(Intent("A", "s1", "drain"))
        answer = agent.client.reconcile()
        assert (answer.observe, answer.vips["A"].servers["s1"].wanted) == (True, "drain")
        switch.die()
        eventually(lambda: agent.health("A/s1") == "down")
        assert agent.stop() == 0
        assert {call["what"] for call in agent.calls} <= {"close"}


# --- reload ---


def test_a_reload_keeps_what_goes_on_and_watches_what_is_new(listener, tmp_path):
    old, new = listener(silent), listener(silent)
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", old.target))) as agent:
        up_at(agent, "A/s1")
        asked = time.monotonic()
        agent.write(
            l4("B", "10.0.0.2:104", server("s1", old.target)),
            l4("A", "10.0.0.1:104", server("s1", old.target), server("s2", new.target)),
        )
        answer = agent.client.reload()
        found = {f"{label}/{name}": one for label, vip in answer.vips.items() for name, one in vip.servers.items()}
        assert {place: one.health for place, one in found.items()} == dict.fromkeys(("A/s1", "A/s2", "B/s1"), "up")
        assert found["A/s1"].since > found["A/s2"].since
        assert all(call["health"]["A/s1"] == "up" for call in agent.calls if call["at"] > asked and "health" in call)
        assert all(call["health"].get("B/s1", "up") == "up" for call in agent.calls if "health" in call)
        agent.write(l4("A", "10.0.0.1:104", server("s2", new.target)))
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: agent.client.state().checks == 1)
        eventually(lambda: agent.calls[-1].get("health") == {"A/s2": "up"})


def test_a_broken_site_is_told_and_the_old_one_goes_on(switch, tmp_path):
    with agent_process(tmp_path, l4("A", "10.0.0.1:104", server("s1", switch.target))) as agent:
        up_at(agent, "A/s1")
        agent.site.write_text("vips = 7\n")
        with pytest.raises(NotDone, match=re.escape("site.toml")):
            agent.client.reload()
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: agent.log.count("the site file can't be used, and the site of before goes on") == 2)
        died = switch.die()
        eventually(lambda: agent.carried("A/s1", "down", died))
