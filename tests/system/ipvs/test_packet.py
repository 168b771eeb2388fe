"""A packet's way by direct routing, as the switch sees it; docs/layer4.md shows such a capture."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from system.ipvs.dicom import PORT
from system.ipvs.lan import CLIENT, RS1, VIP, Lan, network

from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Destination, Service, Virtual

__all__ = ["network"]

DOCUMENT = Path(__file__).parents[3] / "docs/layer4.md"
ALL, OUTGOING = 3, 4  # ETH_P_ALL, PACKET_OUTGOING (linux/if_packet.h)
FLAGS = {0x02: "S", 0x12: "S.", 0x10: "."}


class Packet(NamedTuple):
    """A frame with IPv4 and TCP in it."""

    macs: str
    ttl: int
    ident: int
    ends: str
    flags: str
    held: bytes


@contextmanager
def listening(network: Lan) -> Iterator[None]:
    with network.rs1.inside():
        server = socket.create_server(("0.0.0.0", PORT))
    with closing(server):
        yield


def captured(network: Lan) -> list[Packet]:
    """What comes into the switch while a client connects: the three packets of a handshake, as they are forwarded too."""
    with network.switch.inside():
        seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    with closing(seen), network.client.inside():
        made = socket.create_connection((VIP, PORT), timeout=5)
        time.sleep(0.2)
        seen.setblocking(False)
        found = []
        while True:
            try:
                frame, (port, _, kind, *_) = seen.recvfrom(2048)
            except BlockingIOError:
                break
            if port != "br0" and kind != OUTGOING and frame[12:14] == b"\x08\x00":
                found.append(packet(frame))
        made.close()
    return found


def packet(frame: bytes) -> Packet:
    to, by = frame[:6].hex(":"), frame[6:12].hex(":")
    ident, ttl = struct.unpack_from("!H2xB", frame, 18)
    source, destination = (socket.inet_ntoa(frame[at : at + 4]) for at in (26, 30))
    ports = struct.unpack_from("!HH", frame, 34)
    return Packet(
        f"{by} > {to}", ttl, ident, f"{source}.{ports[0]} > {destination}.{ports[1]}", FLAGS[frame[47]], frame[34:]
    )


def test_only_macs_and_ttl_change_and_the_answer_passes_no_balancer(network):
    with network.lb1.inside(), Kernel() as kernel:
        key = Virtual(VIP, PORT)
        kernel.add_service(Service(key))
        kernel.add(key, Destination(RS1, PORT))
        with listening(network):
            seen = captured(network)
    first, forwarded, answer = seen[:3]
    assert (first.ends, first.ident, first.held) == (forwarded.ends, forwarded.ident, forwarded.held)
    assert re.fullmatch(rf"{re.escape(CLIENT)}\.\d+ > {re.escape(VIP)}\.{PORT}", first.ends)
    assert answer.ends == " > ".join(reversed(first.ends.split(" > ")))
    assert [(one.macs, one.ttl, one.flags) for one in seen] == documented()


def documented() -> list[tuple[str, int, str]]:
    """The same of the capture on the page."""
    text = DOCUMENT.read_text().partition("<!-- capture -->")[2].partition("<!-- /capture -->")[0]
    found = re.findall(r"(\S+ > \S+)  IPv4  ttl (\d+), .*Flags \[(\S+)\]", text)
    assert len(found) == 5
    return [(macs, int(ttl), flags) for macs, ttl, flags in found]
