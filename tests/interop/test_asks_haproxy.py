"""What keepalived's script finds of a HAProxy: it answers, also when it is full; or it does not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from interop.agents import eventually
from interop.engines import haproxy, rendered, running, short
from interop.remotes import free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import Program
from lbkit.pair import asks_haproxy

__all__ = ["haproxy", "short"]


def answers(folder: Path) -> bool:
    command = [sys.executable, "-I", "-S", asks_haproxy.__file__, str(folder / "run" / "admin.sock")]
    code = subprocess.run(command, capture_output=True, timeout=10, check=False).returncode
    assert code in (0, 1)
    return code == 0


def test_it_answers_until_it_hangs_or_is_dead(short: Path, haproxy: Program) -> None:
    files = rendered(short, vip("V", f"127.0.0.1:{free_port()}", server("s", f"127.0.0.1:{free_port()}")))
    with running(short, files, haproxy) as found:
        assert answers(short)
        (worker,) = (
            int(one) for one in Path(f"/proc/{found.process.pid}/task/{found.process.pid}/children").read_text().split()
        )
        os.kill(worker, signal.SIGSTOP)
        try:
            assert not answers(short)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert answers(short)
    assert not answers(short)


def test_one_that_takes_no_more_clients_answers_all_the_same(short: Path, haproxy: Program) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, ExitStack() as clients:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        files = rendered(short, vip("V", f"127.0.0.1:{port}", server("s", target)), haproxy={"max_connections": 10})
        statistics = next(
            line.split()[1]
            for line in files[-1].content.decode().split("frontend _stats")[1].splitlines()
            if "bind" in line
        )
        with running(short, files, haproxy) as found:
            found.wait_for("V", {"s": "UP"})
            for _ in range(12):
                clients.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            eventually(lambda: "\nCurrConns: 10\n" in found.ask("show info"))
            host, _, number = statistics.partition(":")
            with socket.create_connection((host, int(number)), 5) as page:
                page.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                page.settimeout(1)
                with pytest.raises(TimeoutError):
                    page.recv(1)
            assert answers(short)
