"""The numbers of linux/ip_vs.h, and the words that lbkit has for them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from lbkit.ipvs.table import Family, Forwarding, Protocol, Role

FAMILY = "IPVS"

# IPVS_CMD_…
NEW_SERVICE, SET_SERVICE, DELETE_SERVICE, GET_SERVICE = range(1, 5)
NEW_DESTINATION, SET_DESTINATION, DELETE_DESTINATION, GET_DESTINATION = range(5, 9)
NEW_DAEMON, DELETE_DAEMON, GET_DAEMON, SET_CONFIG, GET_CONFIG = range(9, 14)
GET_INFO, ZERO, FLUSH = range(15, 18)

SERVICE, DESTINATION, DAEMON, TIMEOUT_TCP, TIMEOUT_TCP_FIN, TIMEOUT_UDP = range(1, 7)  # IPVS_CMD_ATTR_…
AF, PROTOCOL, ADDRESS, PORT, MARK, SCHEDULER, FLAGS, TIMEOUT, MASK = range(1, 10)  # IPVS_SVC_ATTR_…
SERVICE_STATISTICS = 12  # IPVS_SVC_ATTR_STATS64
TO_ADDRESS, TO_PORT, METHOD, WEIGHT, UPPER, LOWER, ACTIVE, INACTIVE, PERSISTENT = range(1, 10)  # IPVS_DEST_ATTR_…
TO_AF = 11  # IPVS_DEST_ATTR_ADDR_FAMILY
STATISTICS = 12  # IPVS_DEST_ATTR_STATS64
ROLE, INTERFACE, SYNC_ID, LONGEST = range(1, 5)  # IPVS_DAEMON_ATTR_…
VERSION = 1  # IPVS_INFO_ATTR_VERSION

FLAG_PERSISTENT, FLAG_ONE_PACKET = 0x01, 0x04  # IP_VS_SVC_F_…
FLAGS_OF_SCHEDULER = 3  # the bit from which on there are three: IP_VS_SVC_F_SCHED1
EVERY_FLAG = 0xFFFFFFFF

AFS: Mapping[Family, int] = {"ipv4": 2, "ipv6": 10}
PROTOCOLS: Mapping[Protocol, int] = {"tcp": 6, "udp": 17, "sctp": 132}
METHODS: Mapping[Forwarding, int] = {"masquerade": 0, "local": 1, "tunnel": 2, "direct": 3}
ROLES: Mapping[Role, int] = {"master": 1, "backup": 2}
BITS: Mapping[Family, int] = {"ipv4": 32, "ipv6": 128}

U16, U32, U64 = struct.Struct("=H"), struct.Struct("=I"), struct.Struct("=Q")
PORT_NUMBER = struct.Struct("!H")
