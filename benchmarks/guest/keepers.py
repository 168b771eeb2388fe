"""lbkit agent, ldirectord and keepalived, each to keep the same site.

A check every 2 s and 2 s for it; out at the second that fails, in at the first that passes.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.agent_process import site_text
from benchmarks.commands import installed
from benchmarks.guest.servers import PORT, VIPS
from benchmarks.remotes import program

INTERVAL, TIMEOUT, FALL = 2, 2, 2  # seconds, seconds, checks
# seconds; echoscu's own time-out comes first: a check that keepalived had to kill took the server out by itself, at the
# first (2.2 s), and all are to take it out at the second
KILLED_AFTER = TIMEOUT + 1
ENDS_WITHIN = 10.0  # seconds

LDIRECTORD = """
checktimeout={timeout}
negotiatetimeout={timeout}
checkinterval={interval}
failurecount={fall}
quiescent=no
autoreload=no
supervised=yes
logfile="/dev/null"
"""
LDIRECTORD_VIP = """
virtual={vip}:{port}
    {servers}
    checktype=external
    checkcommand={script}
    scheduler=wlc
    protocol=tcp
"""
KEEPALIVED = "global_defs {\n    script_user root\n    enable_script_security\n}\n"
KEEPALIVED_VIP = """
virtual_server {vip} {port} {{
    delay_loop {interval}
    lvs_sched wlc
    lvs_method DR
    protocol TCP
    {servers}
}}
"""
KEEPALIVED_SERVER = """
    real_server {server} {port} {{
        weight 1
        MISC_CHECK {{
            misc_path "{echoscu} {server} {port}"
            misc_timeout {timeout}
            retry {retry}
            delay_before_retry {interval}
        }}
    }}
"""


def echoscu() -> str:
    """The check of the others, all but the target."""
    return f"{program('echoscu')} -to {TIMEOUT} -ta {TIMEOUT} -td {TIMEOUT} -aet LOADBALANCER -aec LB-SCP"


def lbkit(folder: Path) -> list[str]:
    """The command of the agent."""
    file = folder / "site.toml"
    check = f'interval = "{INTERVAL}s", timeout = "{TIMEOUT}s", rise = 1, fall = {FALL}'
    file.write_text(site_text(folder, [(PORT, servers) for servers in VIPS.values()], check))
    return [installed("lbkit"), "agent", "--site", str(file)]


def ldirectord(folder: Path) -> list[str]:
    """That of ldirectord. It checks one real server after the other, which is its default."""
    script, file = folder / "check", folder / "ldirectord.cf"
    script.write_text(f'#!/bin/sh\nexec {echoscu()} "$3" "$4"\n')
    script.chmod(0o755)
    text = LDIRECTORD.format(timeout=KILLED_AFTER, interval=INTERVAL, fall=FALL)
    for vip, addresses in VIPS.items():
        servers = "\n    ".join(f"real={server}:{PORT} gate" for server in addresses)
        text += LDIRECTORD_VIP.format(vip=vip, port=PORT, servers=servers, script=script)
    file.write_text(text)
    return [program("ldirectord"), str(file), "start"]


def keepalived(folder: Path) -> list[str]:
    """That of keepalived. Its second attempt is a retry, after the same interval."""
    file = folder / "keepalived.conf"
    text = KEEPALIVED
    for vip, addresses in VIPS.items():
        servers = "".join(
            KEEPALIVED_SERVER.format(
                server=server, port=PORT, echoscu=echoscu(), timeout=KILLED_AFTER, retry=FALL - 1, interval=INTERVAL
            )
            for server in addresses
        )
        text += KEEPALIVED_VIP.format(vip=vip, port=PORT, interval=INTERVAL, servers=servers)
    file.write_text(text)
    return [program("keepalived"), "--dont-fork", "--check", "--use-file", str(file)]


KEEPERS: dict[str, Callable[[Path], list[str]]] = {"lbkit": lbkit, "ldirectord": ldirectord, "keepalived": keepalived}


@contextmanager
def keeping(name: str) -> Iterator[int]:
    """It keeps the site until the block ends; its process id."""
    with TemporaryDirectory(prefix="lb") as folder:
        command = KEEPERS[name](Path(folder))
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(
                command, env={**os.environ, "LBKIT_STATE": folder}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def cpu_s(pid: int) -> float:
    """CPU time of a process and all that it has started, ended or not, in seconds."""
    parents, costs = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(file.parent.name)] = int(fields[1])
        costs[int(file.parent.name)] = sum(int(field) for field in fields[11:15])
    family = {pid}
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(costs.get(one, 0) for one in family) / os.sysconf("SC_CLK_TCK")
