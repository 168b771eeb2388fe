"""What IPVS is asked, as attributes of generic netlink: values to bytes. Raises Misuse for values that can't be.

Each says all there is to say: what is left out the kernel sets to a default of its own (ip_vs_ctl.c).
"""

from __future__ import annotations

from ipaddress import ip_address

from lbkit.errors import Misuse
from lbkit.ipvs import ip_vs
from lbkit.ipvs.netlink import attribute, nested
from lbkit.ipvs.table import (
    Daemon,
    Destination,
    Family,
    Key,
    Marked,
    Role,
    Service,
    Timeouts,
    Virtual,
    bracketed,
    family_of,
)

MOST_PERSISTENCE = 31 * 24 * 3600  # seconds; as ipvsadm has it
MOST_TIMEOUT = 2_147_483  # seconds; more overflows in a kernel of 1000 Hz
_MOST = 2**31 - 1  # a weight, a threshold
_MOST_NAME = 15  # IP_VS_SCHEDNAME_MAXLEN, IP_VS_IFNAME_MAXLEN, less the NUL
_ADDRESS_BYTES = 16


def key(of: Key) -> bytes:
    """The name of a service."""
    return nested(ip_vs.SERVICE, *_named(of))


def service(of: Service) -> bytes:
    """A service, to add or to change it."""
    name, family = str(of.key), family_of(of.key)
    if of.one_packet and isinstance(of.key, Virtual) and of.key.protocol != "udp":
        raise Misuse(f"{name}: one_packet is for udp and firewall marks. Leave it out.")
    if of.prefix is not None and of.persistence is None:
        raise Misuse(f"{name}: a prefix says which clients are kept together; it needs persistence. Leave it out.")
    bits, least = ip_vs.BITS[family], 0 if family == "ipv4" else 1  # 0: all clients are kept together
    prefix = bits if of.prefix is None else _within(of.prefix, least, bits - 1, f"{name}: prefix")
    kept = 0 if of.persistence is None else _within(of.persistence, 1, MOST_PERSISTENCE, f"{name}: persistence")
    flags = _within(of.scheduler_flags, 0, 7, f"{name}: scheduler_flags") << ip_vs.FLAGS_OF_SCHEDULER
    flags |= ip_vs.FLAG_PERSISTENT if kept else 0
    flags |= ip_vs.FLAG_ONE_PACKET if of.one_packet else 0
    return nested(
        ip_vs.SERVICE,
        *_named(of.key),
        attribute(ip_vs.SCHEDULER, _word(of.scheduler, f"{name}: scheduler")),
        attribute(ip_vs.FLAGS, ip_vs.U32.pack(flags) + ip_vs.U32.pack(ip_vs.EVERY_FLAG)),
        attribute(ip_vs.TIMEOUT, ip_vs.U32.pack(kept)),
        attribute(ip_vs.MASK, _mask(family, prefix)),
    )


def destination(of: Key, to: Destination) -> bytes:
    """A destination of a service, to add or to change it. Another family than the service's goes through a tunnel only."""
    name = f"{of} -> {bracketed(to.address)}:{to.port}"
    if to.forwarding != "tunnel" and _family(to.address) != family_of(of):
        raise Misuse(f"{name}: from one address family to the other there is only forwarding by tunnel.")
    if to.lower > to.upper:
        raise Misuse(f"{name}: the lower threshold {to.lower} is above the upper {to.upper}. Swap them, or set upper.")
    numbers = (
        (ip_vs.METHOD, ip_vs.METHODS[to.forwarding]),
        (ip_vs.WEIGHT, _within(to.weight, 0, _MOST, f"{name}: weight")),
        (ip_vs.UPPER, _within(to.upper, 0, _MOST, f"{name}: upper")),
        (ip_vs.LOWER, _within(to.lower, 0, _MOST, f"{name}: lower")),
    )
    placed = _placed(to.address, to.port)
    return key(of) + nested(ip_vs.DESTINATION, *placed, *(attribute(kind, ip_vs.U32.pack(n)) for kind, n in numbers))


def place(of: Key, address: str, port: int) -> bytes:
    """The name of a destination of a service."""
    return key(of) + nested(ip_vs.DESTINATION, *_placed(address, port))


def timeouts(of: Timeouts) -> bytes:
    """All three."""
    return b"".join(
        attribute(kind, ip_vs.U32.pack(_within(seconds, 1, MOST_TIMEOUT, f"the timeout {name}")))
        for kind, name, seconds in (
            (ip_vs.TIMEOUT_TCP, "tcp", of.tcp),
            (ip_vs.TIMEOUT_TCP_FIN, "tcp_fin", of.tcp_fin),
            (ip_vs.TIMEOUT_UDP, "udp", of.udp),
        )
    )


def daemon(of: Daemon) -> bytes:
    """A sync daemon, to start it."""
    return nested(
        ip_vs.DAEMON,
        attribute(ip_vs.ROLE, ip_vs.U32.pack(ip_vs.ROLES[of.role])),
        attribute(ip_vs.INTERFACE, _word(of.interface, f"the interface of the {of.role}")),
        attribute(ip_vs.SYNC_ID, ip_vs.U32.pack(_within(of.sync_id, 0, 255, f"the sync id of the {of.role}"))),
        *(
            [attribute(ip_vs.LONGEST, ip_vs.U16.pack(_within(of.longest, 1, 65_535, "its messages")))]
            if of.longest
            else ()
        ),
    )


def role(of: Role) -> bytes:
    """A sync daemon, to stop it."""
    return nested(ip_vs.DAEMON, attribute(ip_vs.ROLE, ip_vs.U32.pack(ip_vs.ROLES[of])))


def _packed(address: str) -> bytes:
    try:
        if "%" in address:
            raise ValueError
        return ip_address(address).packed
    except ValueError:
        raise Misuse(
            f"{address!r} is no address that IPVS takes. Give an IPv4 or IPv6 address without a zone."
        ) from None


def _family(address: str) -> Family:
    return "ipv6" if ":" in address else "ipv4"


def _named(of: Key) -> tuple[bytes, ...]:
    family = attribute(ip_vs.AF, ip_vs.U16.pack(ip_vs.AFS[family_of(of)]))
    if isinstance(of, Marked):
        return family, attribute(ip_vs.MARK, ip_vs.U32.pack(_within(of.mark, 1, 2**32 - 1, "the firewall mark")))
    return (
        family,
        attribute(ip_vs.PROTOCOL, ip_vs.U16.pack(ip_vs.PROTOCOLS[of.protocol])),
        attribute(ip_vs.ADDRESS, _packed(of.address).ljust(_ADDRESS_BYTES, b"\0")),
        attribute(ip_vs.PORT, ip_vs.PORT_NUMBER.pack(_within(of.port, 0, 65535, f"the port of {of.address}"))),
    )


def _placed(address: str, port: int) -> tuple[bytes, ...]:
    return (
        attribute(ip_vs.TO_ADDRESS, _packed(address).ljust(_ADDRESS_BYTES, b"\0")),
        attribute(ip_vs.TO_PORT, ip_vs.PORT_NUMBER.pack(_within(port, 0, 65535, f"the port of {address}"))),
        attribute(ip_vs.TO_AF, ip_vs.U16.pack(ip_vs.AFS[_family(address)])),
    )


def _mask(family: Family, prefix: int) -> bytes:
    """IPv4: the mask itself; IPv6: the length as a number."""
    if family == "ipv6":
        return ip_vs.U32.pack(prefix)
    return ((0xFFFFFFFF << 32 - prefix) & 0xFFFFFFFF).to_bytes(4)


def _within(value: int, least: int, most: int, what: str) -> int:
    if not least <= value <= most:
        raise Misuse(f"{what} is {value}. Give a number from {least} to {most}.")
    return value


def _word(name: str, what: str) -> bytes:
    if not (0 < len(name) <= _MOST_NAME and name.isascii() and name.isprintable() and " " not in name):
        raise Misuse(f"{what} is {name!r}. Give a name of 1 to {_MOST_NAME} plain characters.")
    return name.encode() + b"\0"
