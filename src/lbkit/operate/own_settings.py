"""What each node has for itself, and nothing copies (guide 11.1): shown side by side, so that a difference is seen.

Read from the files and commands of the node; what can't be read is "unknown". No secret is among it: of SNMP only where it
listens, and no community.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lbkit.operate.receive import Here

Settings = Mapping[str, tuple[str, ...]]

_UNKNOWN = ("unknown",)
_LARGEST = 1 << 20  # bytes of a file that is looked into
_WITHIN = 2.0  # seconds, of a command
_OF_EACH = ("host name", "addresses", "routes", "kernel")  # these may differ, and nothing is wrong
_NTP = (
    "/etc/systemd/timesyncd.conf",
    "/etc/chrony/chrony.conf",
    "/etc/chrony.conf",
    "/etc/ntpsec/ntp.conf",
    "/etc/ntp.conf",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One setting on both nodes. `matters`: they differ, and should not."""

    name: str
    here: tuple[str, ...]
    there: tuple[str, ...]
    matters: bool


def here() -> dict[str, tuple[str, ...]]:
    """This node's, by name, in the order in which they are shown."""
    return {
        "host name": (socket.gethostname(),),
        "addresses": _addresses(),
        "routes": _routes(),
        "DNS": _found("/etc/resolv.conf", r"^\s*(?:nameserver|search|domain)\s+(\S.*?)\s*$"),
        "time zone": (_time_zone(),),
        "NTP": _ntp(),
        "SNMP": _snmp(),
        "firewall at boot": _found("/etc/nftables.conf", r"^\s*(table\s+[^{]*?)\s*\{"),
        "lbkit": (version("lbkit-core"),),
        "kernel": (os.uname().release,),
    }


def asked(here_is: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same for the other node."""
    return {"own": here()}


def compared(ours: Settings, theirs: Mapping[str, Any]) -> list[Line]:
    """Side by side. `theirs`: as JSON carried it."""
    lines = []
    for name, value in ours.items():
        given = theirs.get(name)
        other = tuple(map(str, given)) if isinstance(given, list | tuple) else _UNKNOWN
        lines.append(Line(name, tuple(value), other, name not in _OF_EACH and tuple(value) != other))
    return lines


def _addresses() -> tuple[str, ...]:
    return tuple(
        f"{one.get('ifname')} {address.get('local')}/{address.get('prefixlen')}"
        for one in _ip("addr")
        for address in one.get("addr_info", ())
        if one.get("ifname") != "lo" and address.get("scope") == "global"
    )


def _routes() -> tuple[str, ...]:
    return tuple(
        f"{one.get('dst')} via {one['gateway']} dev {one.get('dev')}" for one in _ip("route") if "gateway" in one
    )


def _ip(what: str) -> list[dict[str, Any]]:
    try:
        asked = subprocess.run(["ip", "-j", what], capture_output=True, timeout=_WITHIN, check=True)  # noqa: S603, S607
        found = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    return found if isinstance(found, list) else []


def _time_zone() -> str:
    place = os.path.realpath("/etc/localtime")
    name = place.partition("/zoneinfo/")[2]
    return name or f"{time.strftime('%Z, UTC%z')}"


def _ntp() -> tuple[str, ...]:
    found = [_found(path, r"^\s*(?:(?:server|pool|peer)\s+(\S+)|(?:Fallback)?NTP\s*=\s*(\S.*?)\s*$)") for path in _NTP]
    return next((one for one in found if one and one != _UNKNOWN), ())


def _snmp() -> tuple[str, ...]:
    return _found("/etc/snmp/snmpd.conf", r"(?i)^\s*agentaddress\s+(\S.*?)\s*$")


def _found(path: str, pattern: str) -> tuple[str, ...]:
    """What a configuration file says; nothing where there is none."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST).decode(errors="replace")
    except FileNotFoundError:
        return ()
    except OSError:
        return _UNKNOWN
    return tuple(next(filter(None, one.groups()), "") for one in re.finditer(pattern, text, re.MULTILINE))
