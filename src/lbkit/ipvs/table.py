"""What an IPVS table holds, as values: services, and the destinations that each forwards to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Protocol = Literal["tcp", "udp", "sctp"]
Forwarding = Literal[
    "direct", "masquerade", "tunnel", "local"
]  # local: the kernel's word for a destination that it is itself
Family = Literal["ipv4", "ipv6"]
Role = Literal["master", "backup"]


@dataclass(frozen=True, slots=True, order=True)
class Virtual:
    """What a service is known by: an address (as `ipaddress` writes it) and port of a protocol."""

    address: str
    port: int
    protocol: Protocol = "tcp"

    def __str__(self) -> str:
        return f"{bracketed(self.address)}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True, order=True)
class Marked:
    """What a service is known by: packets that a firewall rule gave this mark, 1 to 2**32 - 1."""

    mark: int
    family: Family = "ipv4"

    def __str__(self) -> str:
        return f"mark {self.mark} ({self.family})"


Key: TypeAlias = Virtual | Marked


@dataclass(frozen=True, slots=True)
class Service:
    """`scheduler`: the kernel's name, such as wlc. `persistence`: seconds that a client stays on its destination, None: not
    at all; `prefix`: bits of the client's address that count for it, None: all. `one_packet`: each UDP packet anew.
    `scheduler_flags`: the bits sched-flag-1, -2, -3 of the scheduler's own.
    """

    key: Key
    scheduler: str = "wlc"
    persistence: int | None = None
    prefix: int | None = None
    one_packet: bool = False
    scheduler_flags: int = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """`weight` 0: no new connections. `upper`: of so many connections no new ones (0: no limit), until under `lower`."""

    address: str
    port: int
    weight: int = 1
    forwarding: Forwarding = "direct"
    upper: int = 0
    lower: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """What it is known by within its service."""
        return self.address, self.port


@dataclass(frozen=True, slots=True)
class Statistics:
    """Since the entry was made or zeroed; the kernel brings them up to date every 2 seconds. Rates are a second's."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections_rate: int = 0
    packets_in_rate: int = 0
    packets_out_rate: int = 0
    bytes_in_rate: int = 0
    bytes_out_rate: int = 0


@dataclass(frozen=True, slots=True)
class SeenDestination:
    """A destination as the kernel has it. Of connections: `active` are established, `inactive` begin or end, and
    `persistent` are clients that are kept on it.
    """

    destination: Destination
    active: int = 0
    inactive: int = 0
    persistent: int = 0
    statistics: Statistics = field(default_factory=Statistics)


@dataclass(frozen=True, slots=True)
class SeenService:
    """A service as the kernel has it, with its destinations by place, in the kernel's order."""

    service: Service
    destinations: dict[tuple[str, int], SeenDestination] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a connection's entry outlives its last packet: established TCP, TCP after a FIN, UDP."""

    tcp: int
    tcp_fin: int
    udp: int


@dataclass(frozen=True, slots=True)
class Daemon:
    """A sync daemon: it sends connections to the other node, or takes them, on an interface. `sync_id`: 0 to 255.

    `longest`: bytes of a message that it sends, 0: as many as the interface takes at once.
    """

    role: Role
    interface: str
    sync_id: int = 0
    longest: int = field(default=0, compare=False)


def family_of(key: Key) -> Family:
    """Of a service."""
    if isinstance(key, Marked):
        return key.family
    return "ipv6" if ":" in key.address else "ipv4"


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address
