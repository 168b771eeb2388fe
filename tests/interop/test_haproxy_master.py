"""The master of a real HAProxy: its workers, the reload, and what can still be done in a worker of before."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from interop.agents import eventually
from interop.held import held
from interop.runtime_haproxy import VERSIONS, echo, running

from lbkit.errors import EngineError, NotRunning
from lbkit.haproxy.master import Master
from lbkit.haproxy.runtime import Runtime
from lbkit.testing import Listener


@pytest.fixture(params=VERSIONS)
def haproxy(request, tmp_path):
    with ExitStack() as stack:
        echoes = stack.enter_context(Listener(echo))
        yield stack.enter_context(running(request.param, tmp_path, echo=echoes.port, http=echoes.port))


@pytest.fixture
def reloaded(haproxy):
    """After a reload with two sessions open, one on each server: HAProxy, its old worker, the two clients."""
    runtime = haproxy.runtime()
    clients = []
    for ident in (1, 2):
        runtime.set_entry("STICKY", "1", ident)
        clients.append(haproxy.connect("sticky"))
    before = haproxy.master.processes()[1]
    assert haproxy.master.reload() != before.pid
    return haproxy, haproxy.master.worker(before.pid), clients


def test_the_current_worker_is_told_from_the_old_one(reloaded):
    haproxy, old, _ = reloaded
    master, now, before = haproxy.master.processes()
    assert [(one.kind, one.old) for one in (master, now, before)] == [
        ("master", False),
        ("worker", False),
        ("worker", True),
    ]
    assert (master.reloads, before.reloads, now.reloads) == (1, 1, 0)
    assert master.pid == haproxy.process.pid
    assert int(haproxy.master.worker().info()["Pid"]) == now.pid == int(haproxy.runtime().info()["Pid"])
    assert int(old.info()["Pid"]) == before.pid


def test_an_old_worker_tells_its_sessions_and_statistics(reloaded):
    haproxy, old, _ = reloaded
    assert sorted(one.server for one in old.sessions(backend="STICKY")) == ["s1", "s2"]
    assert haproxy.master.worker().sessions(backend="STICKY") == []
    assert [row.number("scur") for row in old.stats("STICKY")] == [1, 1, 2]
    assert {one.name for one in old.servers("STICKY")} == {"s1", "s2"}


def test_sessions_of_an_old_worker_are_ended_though_it_refuses_that_for_a_server(reloaded):
    _, old, (first, second) = reloaded
    assert "Proxy is disabled" in old.ask("shutdown sessions server STICKY/s1")
    assert old.end_sessions("STICKY", "s1") == 1
    assert first.recv(1) == b""
    second.sendall(b"x")
    assert second.recv(1) == b"x"
    (left,) = old.sessions(backend="STICKY")
    old.end_session(left.ident)
    assert second.recv(1) == b""


def test_of_the_servers_of_an_old_worker_nothing_can_be_set_and_its_tables_are_empty(reloaded):
    _, old, _ = reloaded
    for call in (lambda: old.set_state("STICKY", "s1", "drain"), lambda: old.set_weight("STICKY", "s1", 1)):
        with pytest.raises(EngineError, match="Proxy is disabled"):
            call()
    assert {one.name for one in old.tables()} == {"STICKY", "SOURCE"}


def test_an_old_worker_goes_with_its_last_session_and_is_not_running_then(reloaded):
    haproxy, old, clients = reloaded
    for client in clients:
        client.close()
    deadline = time.monotonic() + 10
    while any(one.old for one in haproxy.master.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    for call in (old.info, lambda: old.ask_all(["show info", "show version"]), lambda: old.table("STICKY")):
        for _ in range(3):  # 2.8's master may be silent about a worker that is just ending
            with pytest.raises(NotRunning) as e:
                call()
            if "stayed silent" not in str(e.value):
                break
        assert re.search(r"has ended: Can't find the target PID.*show proc", str(e.value))


def test_a_configuration_that_is_refused_leaves_the_worker_and_says_why(haproxy):
    good = haproxy.configuration.read_text()
    before = haproxy.master.processes()[1].pid
    haproxy.configuration.write_text(good + "\nnonsense here\n")
    told = "unknown keyword 'nonsense'" if haproxy.version == "2.8" else r"its log does \(journalctl"
    with pytest.raises(EngineError, match=rf"refuses the new configuration: .*{told}"):
        haproxy.master.reload()
    assert haproxy.master.processes()[1].pid == before
    haproxy.configuration.write_text(good)
    assert haproxy.master.reload() == haproxy.master.processes()[1].pid != before


def test_reloads_one_after_the_other_give_the_worker_that_then_serves(haproxy):
    pids = {haproxy.master.reload() for _ in range(4)}
    assert len(pids) == 4
    assert haproxy.master.processes()[0].reloads == 4
    assert int(haproxy.runtime().info()["Pid"]) in pids
    haproxy.connect("sticky")


def test_after_a_reload_the_new_worker_alone_answers_also_on_a_busy_machine(haproxy):
    """The signal to stop listening goes to the first thread of the old worker, which may have to wait for a CPU."""
    for _ in range(3):
        old, busy = haproxy.master.current(), 0.4
        begun = time.monotonic()
        with held(old, busy):
            new = haproxy.master.reload()
            assert time.monotonic() - begun > busy
            assert {int(haproxy.runtime().info()["Pid"]) for _ in range(20)} == {new}


def test_an_idle_machine_is_not_waited_for(haproxy):
    begun = time.monotonic()
    for _ in range(5):
        haproxy.connect("sticky").close()
        haproxy.master.reload()
    assert time.monotonic() - begun < 5


def test_what_the_master_itself_does_not_know_is_an_engine_error(haproxy):
    with pytest.raises(EngineError, match=r"does not take `show info`: Unknown command"):
        Runtime(f"{haproxy.folder}/master.sock", worker="@master").info()


def test_a_master_that_has_ended_is_not_running(haproxy):
    haproxy.process.terminate()
    haproxy.process.wait(5)
    for call in (haproxy.master.processes, haproxy.master.worker().info, haproxy.master.reload):
        with pytest.raises(NotRunning, match=f"nobody answers at {haproxy.folder}/master.sock"):
            call()


def test_a_worker_that_hangs_is_given_up_after_the_timeout(haproxy):
    pid = haproxy.master.processes()[1].pid
    stopped = Master(f"{haproxy.folder}/master.sock", timeout=0.2).worker(pid)
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: all(" T " in one.read_text() for one in Path(f"/proc/{pid}/task").glob("*/stat")))
    try:
        with pytest.raises(NotRunning, match=r"stayed silent for 0\.2 s"):
            stopped.info()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert int(haproxy.master.worker(pid).info()["Pid"]) == pid
