"""The simulated site's file: the profile `ccw.toml` with other addresses and ports, quick checks, and HAProxy beside it."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING

from lbkit.durations import written
from lbkit.errors import Misuse
from lbkit_demo.place import LOOPBACK
from lbkit_demo.ports import ports_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "site.toml"
CA_FILE = "tls/ca-cert.pem"  # as the profile names them
CERT_FILE = "tls/client-cert.pem"

FIRST_LINE = "# Written by `lbkit demo`: the CCW site, simulated on this machine."
_HEADER = """\
{first_line}
#
# It is the profile of `lbkit init ccw` with addresses 127.0.x.y for 192.32.x.y, ports of 10000 more where only root has them
# (443 is 10443), and checks that end within {timeout}. HAProxy's own files are beside it. The next demo that is given this
# folder writes it anew.
#
"""
_HAPROXY = """\
[haproxy]
folder = "haproxy"
runtime = "run"
master_socket = "run/master.sock"
max_connections = 500
stats_port = {stats}
peer_port = {peers}
"""
_AGENT = """\
[agent]
socket = "run/agent.sock"
check_port = {checks}
"""
STATS_PORT, PEER_PORT, CHECK_PORT = 8404, 7778, 7779  # HAProxy's own and the agent's, as they are by default
LONGEST_FOLDER = 76  # bytes of its whole path: HAProxy's sockets are below it, and a socket's path can't be long

_OF_SOCKETS = re.compile(r"[A-Za-z0-9_./+-]+")
_ADDRESS = re.compile(r'^(address = ")192\.32\.', re.M)
_PORTS = re.compile(r"^ports? = .*", re.M)
_OWN_TABLES = re.compile(r"^\[(haproxy|agent|fallback_page)\]\n(?:.+\n)*", re.M)
_FALLBACK = re.compile(r"^fallback = .*\n", re.M)
_CHECK = re.compile(r"^(check = \{.*?) \}", re.M)


def render(timeout: float) -> str:
    """The site file, with ports that are free now; `timeout`: seconds for each check. Raises CannotRun."""
    profile = (files("lbkit") / "profiles" / "ccw.toml").read_text()
    text = _ADDRESS.sub(r"\g<1>127.0.", _FALLBACK.sub("", profile))
    ports = ports_for(_wanted(text))
    own = {
        "haproxy": _HAPROXY.format(stats=ports[STATS_PORT], peers=ports[PEER_PORT]),
        "agent": _AGENT.format(checks=ports[CHECK_PORT]),
    }
    text = _PORTS.sub(lambda line: _renumbered(line[0], ports.__getitem__), text)
    text = _CHECK.sub(lambda check: f"{check[1]}, {_pace(check[1], timeout)} }}", text)
    text = _OWN_TABLES.sub(lambda table: own.get(table[1], "# none here\n"), text)
    return _HEADER.format(first_line=FIRST_LINE, timeout=written(timeout)) + text


def refuse_unfit(folder: Path) -> None:
    """Raises Misuse where HAProxy's sockets can't be, and where the files of the demo would replace somebody's own."""
    if len(str(folder)) > LONGEST_FOLDER or not _OF_SOCKETS.fullmatch(str(folder)):
        raise Misuse(
            f"HAProxy's sockets can't be below {folder}: they want at most {LONGEST_FOLDER} letters, digits and /._+-. "
            "Give another --folder."
        )
    site = folder / NAME
    if site.exists():
        with site.open("rb") as file:
            if file.read(len(FIRST_LINE)) == FIRST_LINE.encode():
                return
    for name in (NAME, CA_FILE, CERT_FILE):
        if (folder / name).exists():
            raise Misuse(f"{folder / name} is there already, and no demo has written it. Give another --folder.")


def _pace(check: str, timeout: float) -> str:
    """Quick; on layer 4 not so quick that a check could still run when the next one is due."""
    interval = written(timeout) if "c-echo" in check else "500ms"
    return f'interval = "{interval}", rise = 1, fall = 2, timeout = "{written(timeout)}"'


def _wanted(text: str) -> dict[int, set[str]]:
    """Which addresses want which port."""
    site = tomllib.loads(text)
    wanted = {
        STATS_PORT: {LOOPBACK},
        CHECK_PORT: {LOOPBACK},
        PEER_PORT: {node["address"] for node in site["pair"]["nodes"]},
    }
    for vip in site["vips"]:
        for port in vip["ports"]:
            wanted.setdefault(port, set()).add(vip["address"])
        for server in vip["servers"]:
            for port in (server["port"],) if "port" in server else vip["ports"]:
                wanted.setdefault(port, set()).add(server["address"])
    return wanted


def _renumbered(line: str, number: Callable[[int], int]) -> str:
    setting, mark, comment = line.partition("#")
    return re.sub(r"\d+", lambda found: str(number(int(found[0]))), setting) + mark + comment
