"""What this machine is to a check: whether it holds an address, and whether this process may send frames."""

from __future__ import annotations

import socket
from ipaddress import ip_address


def is_of_this_machine(address: str) -> bool:
    """Whether this machine holds the address now: the kernel would send from an address to itself. Nothing is sent."""
    if ip_address(address).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((address, 9))
            return bool(asked.getsockname()[0] == address)
    except OSError:
        return False


def may_send_frames() -> bool:
    """Whether this process may send and see Ethernet frames (packet(7): CAP_NET_RAW). Nothing is sent."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return False
    return True
