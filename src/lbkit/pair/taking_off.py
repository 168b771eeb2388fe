"""Taking the pair's addresses off this machine, where keepalived can't: it is dead or frozen (rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
import struct

from lbkit.errors import CannotRun
from lbkit.pair import addresses
from lbkit.site.model import Site

_DELETE, _ACKNOWLEDGED = 21, 0x5  # RTM_DELADDR; NLM_F_REQUEST | NLM_F_ACK
_LOCAL = 2  # IFA_LOCAL
_HEADER = struct.Struct("=IHHII")
_ABOUT = struct.Struct("=BBBBI")
_GONE = (errno.EADDRNOTAVAIL, errno.ENODEV)
_WITHIN = 1.0  # seconds


def take_off(site: Site) -> tuple[str, ...]:
    """Take off all that are here; which. Raises CannotRun."""
    here = addresses.here_now()
    found = [address for address in addresses.floating(site) if address in here]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_WITHIN)
        for address in found:
            for interface in here[address]:
                _delete(kernel, address, interface)
    return tuple(found)


def _delete(kernel: socket.socket, address: str, interface: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    try:
        about = _ABOUT.pack(family, len(packed) * 8, 0, 0, socket.if_nametoindex(interface))
        attribute = struct.pack("=HH", 4 + len(packed), _LOCAL) + packed
        length = _HEADER.size + len(about) + len(attribute)
        kernel.send(_HEADER.pack(length, _DELETE, _ACKNOWLEDGED, 1, 0) + about + attribute)
        number = -struct.unpack_from("=i", kernel.recv(4096), _HEADER.size)[0]
        if number and number not in _GONE:
            raise OSError(number, "the kernel refuses")
    except OSError as e:
        raise CannotRun(
            f"{address} can't be taken off {interface}: {e}. The other node has it too: ip address del {address} dev "
            f"{interface}, as root."
        ) from None
