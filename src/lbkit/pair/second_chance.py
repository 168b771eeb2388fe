"""Sessions of layer 7 outlive a planned switch: what the new node does not know goes on to the old one, for a while.

A client's packets follow the address to the new node at once, and its session lives in the old node's HAProxy. So on the
new node, while the old one drains: TCP packets to a VIP's port that are no SYN, and whose connection the kernel does not
know, are duplicated to the old node and dropped (nftables, prerouting, before anything looks at them). The old node takes
them, though the address has left it, and answers the client itself.

What it takes, each left out once to see what breaks (kernel 6.18, nft 1.0.6; tests/system/test_second_chance.py):

- new node, during the drain: the tables below. Nothing needs to be there before: connections that are older than the
  kernel's tracking of them, such as those of an earlier failover that come home, are listed in the set `own`. So
  `nf_conntrack_tcp_loose` is of no importance: a packet that is dropped leaves no connection behind.
- old node, during the drain: a local route for each address (`ip route add local … dev lo`). An address on lo would do,
  and would look as if the node had it.
- old node, for good, by `lbkit apply`, at a boot by packaging/sysctl.d: arp_ignore 1 and arp_announce 2 on the VIPs'
  interfaces. Without the first it goes on answering who asks for the address; without the second its own questions tell
  all that the address is here.
  IPv6 needs neither: neighbours are answered for an interface's own addresses alone.

The rule is a dead man's switch: it matches addresses in a set whose elements end after some seconds, and the agent renews
them each second. Whatever crashes, clients of the old node get a reset then, and no silence.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lbkit.checks.conversation import printable
from lbkit.errors import CannotRun, EngineError
from lbkit.pair.addresses import here_now
from lbkit.site.model import Node, Site

EXPIRES = 4.0  # seconds
_NAME = "lbkit_second_chance"
_FAMILIES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
_ROUTES = "186"  # the protocol by which our local routes are told from others
_METRIC = "1860"  # beside the address's own route, while it is still here
_WITHIN = 5.0  # seconds, for a command
_LISTENS = "0A"  # /proc/net/tcp
SYSCTLS: Mapping[str, str] = {"arp_ignore": "1", "arp_announce": "2"}
_SETTINGS = Path("/proc/sys/net/ipv4/conf")

Place = tuple[str, int]  # a VIP's address and port


@dataclass(frozen=True, slots=True)
class Way:
    """How packets of `places` reach the old node: its own address in that network, and this node's interface there."""

    hop: str
    device: str
    places: tuple[Place, ...]

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.places[0][0]).version


def kept(site: Site) -> tuple[Place, ...]:
    """The places whose sessions can outlive a switch: of layer-7 VIPs, neither transparent nor at an address that layer 4
    has too.
    """
    layer_4 = {vip.address for vip in site.vips if vip.mode == "l4-dr"}
    mine = [vip for vip in site.vips if vip.mode == "l7-snat" and not vip.transparent and vip.address not in layer_4]
    return tuple(dict.fromkeys((vip.address, port) for vip in mine for port in vip.ports))


# --- the new node ---


def ways(places: Sequence[Place], node: Node, hops: Mapping[str, str]) -> tuple[Way, ...]:
    """By `hops`, the old node's own address for each VIP's; places without one are left out. `node`: this one."""
    found: dict[tuple[str, str], list[Place]] = {}
    for address, port in places:
        if address in hops:
            found.setdefault((hops[address], node.interface_of(address)), []).append((address, port))
    return tuple(Way(hop, device, tuple(of)) for (hop, device), of in found.items())


def start(over: Sequence[Way], seconds: float = EXPIRES) -> None:
    """Have the rule in force for so long, in place of an older one. Raises CannotRun, EngineError."""
    if not over:
        stop()
        return
    lines = _removal()
    for version, (family, kind) in _FAMILIES.items():
        mine = [(number, way) for number, way in enumerate(over) if way.version == version]
        if mine:
            lines += _table(family, kind, mine, seconds)
    _nft(lines)


def renew(over: Sequence[Way], seconds: float = EXPIRES) -> None:
    """The same for so long from now on. Raises EngineError where it is not there any more."""
    lines = []
    for number, way in enumerate(over):  # in one transaction: no packet finds the set empty
        family, _ = _FAMILIES[way.version]
        lines += [
            f"flush set {family} {_NAME} via{number}",
            f"add element {family} {_NAME} via{number} {_timed(way, seconds)}",
        ]
    if lines:
        _nft(lines)


def stop() -> None:
    """Take it away, if it is there. Raises CannotRun, EngineError."""
    if _where("nft") and _NAME in _run(["nft", "list", "tables"]).split():
        _nft(_removal())


def _removal() -> list[str]:
    """Adding first makes it no error where there is none."""
    return [
        line
        for family, _ in _FAMILIES.values()
        for line in (f"table {family} {_NAME}", f"delete table {family} {_NAME}")
    ]


def _table(family: str, kind: str, over: Sequence[tuple[int, Way]], seconds: float) -> list[str]:
    at = f"{family} {_NAME}"
    own = list(_own_sessions({place for _, way in over for place in way.places}))
    lines = [
        f"table {at}",
        f"add counter {at} passed",
        f"add set {at} own {{ type {kind} . inet_service . {kind} . inet_service; }}",
        f"add chain {at} prerouting {{ type filter hook prerouting priority -140; policy accept; }}",
        f"add rule {at} prerouting meta l4proto != tcp accept",
        f"add rule {at} prerouting tcp flags & (fin|syn|rst|ack) == syn accept",
        f"add rule {at} prerouting ct state != {{ new, invalid }} accept",
        f"add rule {at} prerouting {family} saddr . tcp sport . {family} daddr . tcp dport @own accept",
    ]
    if own:
        listed = ", ".join(" . ".join(map(str, one)) for one in own)
        lines.append(f"add element {at} own {{ {listed} }}")
    for number, way in over:
        lines += [
            f"add set {at} via{number} {{ type {kind} . inet_service; flags timeout; }}",
            f"add element {at} via{number} {_timed(way, seconds)}",
            f"add rule {at} prerouting {family} daddr . tcp dport @via{number} counter name passed "
            f'dup to {way.hop} device "{way.device}" drop',
        ]
    return lines


def _timed(way: Way, seconds: float) -> str:
    return "{ " + ", ".join(f"{address} . {port} timeout {seconds * 1000:.0f}ms" for address, port in way.places) + " }"


def _own_sessions(places: set[Place]) -> Iterator[tuple[str, int, str, int]]:
    """Sessions of these places that live here: the client's address and port, and the place."""
    for file in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # IPv6 is switched off
            for line in Path("/proc/net", file).read_text().splitlines()[1:]:
                _, local, remote, state, *_ = line.split()
                place = _endpoint(local)
                if place in places and state != _LISTENS:
                    yield *_endpoint(remote), *place


def _endpoint(text: str) -> Place:
    """Words of 32 bits, each in this machine's order."""
    address, _, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed), int(port, 16)


# --- the old node ---


def hops(addresses: Sequence[str], site: Site, node: Node) -> dict[str, str]:
    """By each of these: an address of this node's own in its network, at which the other node finds it."""
    assert site.pair is not None  # noqa: S101
    moving = {*(vip.address for vip in site.vips), *site.pair.floating_addresses}
    there = [(ip_address(one), names) for one, names in here_now().items() if one not in moving]
    found = {}
    for address in addresses:
        own = [
            one
            for one, names in there
            if one.version == ip_address(address).version and node.interface_of(address) in names
        ]
        if own:
            found[address] = str(
                min(own, key=lambda one: (not one.is_link_local, one) if one.version == 6 else (0, one))
            )
    return found


def take(addresses: Sequence[str]) -> None:
    """Deliver packets for these here, whoever has the addresses. Raises CannotRun, EngineError."""
    for address in addresses:
        of = f"-{ip_address(address).version}"
        route = ["local", address, "dev", "lo", "table", "local", "proto", _ROUTES, "metric", _METRIC]
        _run(["ip", of, "route", "replace", *route])


def leave() -> None:
    """No longer, for all. Raises CannotRun, EngineError."""
    for of in ("-4", "-6"):
        if _run(["ip", of, "route", "show", "table", "local", "proto", _ROUTES]):
            _run(["ip", of, "route", "flush", "table", "local", "proto", _ROUTES])


def loud(interfaces: Sequence[str]) -> dict[Path, str]:
    """The settings by which these interfaces would answer for addresses that are not theirs, and what each is to be."""
    return {
        _SETTINGS / interface / name: wanted
        for interface in interfaces
        for name, wanted in SYSCTLS.items()
        if (_SETTINGS / interface).is_dir() and max(_number(interface, name), _number("all", name)) < int(wanted)
    }


def _number(interface: str, name: str) -> int:
    try:
        return int((_SETTINGS / interface / name).read_text())
    except (OSError, ValueError):
        return 0


def _nft(lines: Sequence[str]) -> None:
    _run(["nft", "-f", "-"], "\n".join(lines) + "\n")


def _where(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _run(words: Sequence[str], given: str = "") -> str:
    """What it prints."""
    path = _where(words[0])
    package = {"nft": "nftables", "ip": "iproute2"}[words[0]]
    if path is None:
        raise CannotRun(f"{words[0]} is not on this machine, and sessions are kept with it. Install {package}.")
    try:
        ran = subprocess.run(  # noqa: S603
            [path, *words[1:]], input=given, capture_output=True, text=True, timeout=_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise EngineError(f"{words[0]} can't be run, or does not end: {e}.") from None
    if ran.returncode:
        said = printable(" ".join(ran.stderr.split())[:300])
        raise EngineError(f"{' '.join(words[:3])} failed: {said}. Is this run as root, or with CAP_NET_ADMIN?")
    return ran.stdout
