"""The server state file as both versions of HAProxy take it."""

from __future__ import annotations

from pathlib import Path

from interop.engines import haproxy as haproxy
from interop.engines import running
from interop.engines import short as short
from interop.remotes import free_port

from lbkit.haproxy.program import Program
from lbkit.haproxy.replies import servers
from lbkit.haproxy.server_state import Told, told

CONFIGURATION = """
global
    stats socket {folder}/run/admin.sock mode 600 level admin
    server-state-file {folder}/run/state
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
    load-server-state-from-file global
listen A
    bind 127.0.0.1:{port}
    default-server check inter 60s
{lines}
"""


def configuration(folder: Path, *lines: str) -> str:
    return CONFIGURATION.format(folder=folder, port=free_port(), lines="\n".join(f"    server {one}" for one in lines))


def test_what_a_worker_is_told_is_taken_as_it_is_meant_and_without_complaint(short: Path, haproxy: Program) -> None:
    first, second = short / "1", short / "2"
    before = configuration(first, "one 127.0.0.1:1001 id 1 port 2001", "gone 127.0.0.1:1002 id 2")
    with running(first, before, haproxy) as was:
        dump = was.ask("show servers state")
    tls = "ssl verify none no-check-ssl"
    after = configuration(
        second, "new 127.0.0.3:1003 id 1", f"one 127.0.0.2:1004 id 2 port 2002 {tls}", "any ::1 id 3 port 2003"
    )
    (second / "run").mkdir(parents=True)
    text = told(
        dump,
        [
            Told("A", "new", 1, "127.0.0.3", 1003, False, "halt"),
            Told("A", "one", 2, "127.0.0.2", 1004, True, "drain"),
            Told("A", "any", 3, "::1", 0, False, "online"),
        ],
    )
    (second / "run/state").write_text(text)
    with running(second, after, haproxy) as now:
        dump = now.ask("show servers state")
        log = now.log
    _, names, *rows = (line.split() for line in dump.splitlines() if line)
    ours = {row["srv_name"]: row for row in (dict(zip(names[1:], cells, strict=True)) for cells in rows)}
    assert {name: (row["srv_port"], row["srv_use_ssl"], row["srv_check_port"]) for name, row in ours.items()} == {
        "new": ("1003", "0", "0"), "one": ("1004", "1", "2002"), "any": ("0", "0", "2003"),
    }  # fmt: skip
    seen = {one.name: (one.address, one.maint, one.drain) for one in servers(dump)}
    assert seen == {
        "new": ("127.0.0.3", True, False), "one": ("127.0.0.2", False, True), "any": ("::1", False, False),
    }  # fmt: skip
    told_of = [line for line in log.splitlines() if "WARNING" in line or "ALERT" in line]
    assert not [line for line in told_of if not line.endswith(("forced drain mode.", "forced maintenance."))], log
