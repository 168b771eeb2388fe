"""Where things stand in LBKIT-MIB (packaging/mibs), which a test holds to this."""

from __future__ import annotations

from typing import TypeAlias

from lbkit.state.events import EventKind

Oid: TypeAlias = tuple[int, ...]

LBKIT: Oid = (1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 7779)  # below netSnmpPlaypen
SYSTEM: Oid = (1, 3, 6, 1, 2, 1, 1)  # SNMPv2-MIB
SYS_CONTACT: Oid = (*SYSTEM, 4, 0)
SYS_LOCATION: Oid = (*SYSTEM, 6, 0)
KEEPALIVED: Oid = (1, 3, 6, 1, 4, 1, 9586, 100, 5)  # KEEPALIVED-MIB
VRRP: Oid = (1, 3, 6, 1, 2, 1, 207)  # VRRPV3-MIB, which keepalived answers too

NODE: Oid = (*LBKIT, 1, 1)
NODE_NAME, NODE_ROLE, NODE_VERSION, NODE_SINCE, NODE_PEER, NODE_TROUBLE, NODE_RECEIVERS = (
    (*NODE, one, 0) for one in range(1, 8)
)
VIP_ENTRY: Oid = (*LBKIT, 1, 2, 1)
SERVER_ENTRY: Oid = (*LBKIT, 1, 3, 1)
LABEL = (128 - len(SERVER_ENTRY) - 3) // 2  # characters: a name has 128 numbers (RFC 2578, 3.5), its index two labels
COUNTERS: Oid = (*LBKIT, 1, 4)
EVENT: Oid = (*LBKIT, 1, 5)
EVENT_NODE, EVENT_VIP, EVENT_SERVER, EVENT_TEXT, EVENT_KIND, EVENT_WHEN = ((*EVENT, one, 0) for one in range(1, 7))

_OTHER = 12
_NOTIFICATIONS: dict[EventKind, int] = {
    "server-down": 1,
    "server-up": 2,
    "vip-down": 3,
    "vip-degraded": 4,
    "vip-recovered": 5,
    "failover": 6,
    "peer-lost": 7,
    "peer-found": 8,
    "split-brain": 9,
    "split-brain-ended": 10,
    "certificate-expiring": 11,
}


def notification(kind: EventKind) -> Oid:
    """The one for events of this kind; lbkitOther for those that have none of their own."""
    return (*LBKIT, 0, _NOTIFICATIONS.get(kind, _OTHER))


def dotted(oid: Oid) -> str:
    """`.1.3.6.1`."""
    return "".join(f".{one}" for one in oid)
