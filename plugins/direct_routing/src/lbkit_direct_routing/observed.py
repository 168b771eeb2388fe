"""What is asked of a network, and what was seen there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

Way: TypeAlias = Literal["segment", "router", "none", "this-machine"]
# accepted: SYN-ACK; refused: RST; rejected, expired: an error of ICMP; not-asked: the time ran out before
Answer: TypeAlias = Literal["accepted", "refused", "rejected", "expired", "silent", "not-asked"]


class Named(NamedTuple):
    """A real server or node: its address, and its label where it is known."""

    label: str
    address: str

    def __str__(self) -> str:
        return f"{self.label} ({self.address})" if self.label else self.address

    @property
    def short(self) -> str:
        """What commands take for it."""
        return self.label or self.address


@dataclass(frozen=True, slots=True)
class Asked:
    """One check. `nodes`: of the pair; they may hold the VIP. `interface` None: the one by which each server is reached."""

    vip: str
    port: int
    servers: tuple[Named, ...]
    nodes: tuple[Named, ...] = ()
    interface: str | None = None


@dataclass(slots=True)
class Seen:
    """One real server. `macs`: who answers ARP for its own address. `way`: how it is reached; `router`: through which."""

    server: Named
    way: Way = "segment"
    router: str = ""
    macs: list[str] = field(default_factory=list)
    of_vip: Answer = "not-asked"  # what it answered to a SYN for VIP:port
    of_rip: Answer = "not-asked"  # the same for RIP:port, which is asked where VIP:port is silent
    icmp: tuple[int, int] = (0, 0)  # type and code of the error, where it was one


@dataclass(slots=True)
class Observed:
    """All of it. `claims`: the interface on which each MAC says that it has the VIP.

    `held`: this machine has the VIP on an interface. `looked_for`: it does not, and the VIP belongs to a segment that was
    asked. `nodes`: by the MACs that answer for their addresses.
    """

    asked: Asked
    held: bool = False
    looked_for: bool = False
    servers: list[Seen] = field(default_factory=list)
    claims: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Named] = field(default_factory=dict)
