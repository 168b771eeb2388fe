"""What is open on this machine now, and what a ruleset would close of it (proc(5): /proc/net/tcp and its like)."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from lbkit.firewall.openings import Opening

_NET = Path("/proc/thread-self/net")
_LISTEN, _UNCONNECTED = "0A", "07"  # TCP_LISTEN, TCP_CLOSE
_ANY = ("0.0.0.0", "::")  # noqa: S104  (read, not bound)
_LET_IN = {
    1: "ICMP",
    2: "IGMP",
    58: "ICMPv6",
    255: "raw",
}  # IP protocols that a raw socket may have: not closed, or no door
_VRRP = 112


@dataclass(frozen=True, slots=True, order=True)
class Listening:
    """A socket that waits for anybody. `port`: of "raw" the number of the IP protocol. `program`: "" if nobody tells."""

    protocol: Literal["tcp", "udp", "raw"]
    address: str
    port: int
    program: str = ""

    def __str__(self) -> str:
        by = f" ({self.program})" if self.program else ""
        if self.protocol == "raw":
            return f"IP protocol {self.port}{by}"
        at = "" if self.address in _ANY else f" at {self.address}"
        return f"{self.protocol} port {self.port}{at}{by}"


def now() -> list[Listening]:
    """All of this network namespace; those of loopback addresses are no doors."""
    owners = _owners()
    found: set[Listening] = set()
    for protocol in ("tcp", "udp", "raw"):
        for name in (protocol, f"{protocol}6"):
            found.update(_read(protocol, name, owners))
    return sorted(found)


def closed(sockets: Iterable[Listening], openings: Collection[Opening], vrrp_from: str | None) -> Iterator[str]:
    """What is no longer open to everybody who can reach it, in words. `vrrp_from`: whose adverts are let in."""
    said = set()
    for one in sockets:
        why = _raw(one, vrrp_from) if one.protocol == "raw" else _closed(one, openings)
        if why and (line := f"{one} {why}") not in said:
            said.add(line)
            yield line


def _raw(one: Listening, vrrp_from: str | None) -> str:
    if one.port in _LET_IN:
        return ""
    if one.port == _VRRP and vrrp_from:
        return f"will hear {vrrp_from} alone"
    return "will be closed"


def _closed(one: Listening, openings: Collection[Opening]) -> str:
    found = [each for each in openings if each.protocol == one.protocol and one.port in each.ports]
    is_any = one.address in _ANY
    found = [each for each in found if is_any or each.is_at(one.address)]
    if not found:
        return "will be closed"
    if any(not each.at and not each.source for each in found) or (
        not is_any and any(not each.source for each in found)
    ):
        return ""
    at = sorted({address for each in found for address in each.at}) if is_any and all(e.at for e in found) else []
    source = sorted({network for each in found for network in each.source}) if all(e.source for e in found) else []
    return (
        "will answer" + (f" at {', '.join(at)}" if at else "") + (f" {', '.join(source)}" if source else "") + " alone"
    )


def _read(protocol: Literal["tcp", "udp", "raw"], name: str, owners: Mapping[str, str]) -> Iterator[Listening]:
    try:
        lines = (_NET / name).read_text().splitlines()[1:]
    except OSError:
        return  # a kernel without IPv6
    for line in lines:
        words = line.split()
        local, remote, state, inode = words[1], words[2], words[3], words[9]
        if state != (_LISTEN if protocol == "tcp" else _UNCONNECTED):
            continue
        address, _, port = local.partition(":")
        if set(remote.partition(":")[0]) != {"0"} or not int(port, 16):
            continue
        written = _address(address)
        plain = ip_address(written)
        mapped = getattr(plain, "ipv4_mapped", None)
        if not (mapped or plain).is_loopback:
            yield Listening(protocol, str(mapped or plain), int(port, 16), owners.get(inode, ""))


def _address(text: str) -> str:
    """Words of 32 bits, each in this machine's order."""
    raw = b"".join(struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)


def _owners() -> dict[str, str]:
    """Programs by the inodes of their sockets; of other users' processes only root gets to know them."""
    found: dict[str, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for name in os.listdir(process / "fd"):
                with suppress(OSError):
                    inode = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(process / "fd" / name))
                    if inode:
                        found[inode[1]] = (process / "comm").read_text().strip()
    return found
