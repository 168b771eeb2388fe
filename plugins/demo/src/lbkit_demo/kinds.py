"""The kinds of simulated server, each with its table of faults; a table's first row is the healthy one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbkit_demo.fault import AT_CONNECT, HEALTHY, Fault, Verdict, plays
from lbkit_demo.faults import FAULTS
from lbkit_demo.hl7 import acknowledge
from lbkit_demo.web import HTTPS, TLS, serve

if TYPE_CHECKING:
    from lbkit.site.services import RealServer, Vip

TAKES = Verdict("up", "connect", "ok")
TCP = (plays(HEALTHY, "nothing: a web server without TLS", TAKES, serve), *AT_CONNECT)
HL7 = (plays(HEALTHY, "nothing: an HL7 listener that accepts every message", TAKES, acknowledge), *AT_CONNECT)

KINDS: dict[str, tuple[Fault, ...]] = {"https": HTTPS, "tls": TLS, "tcp": TCP, "hl7": HL7, "dicom": FAULTS}


def kind_of(vip: Vip, server: RealServer) -> str:
    """Which kind a real server of the site is, as its VIP checks it."""
    if vip.check.kind == "c-echo":
        return "dicom"
    if vip.check.kind == "https-get":
        return "https"
    if server.re_encrypt:
        return "tls"
    return "tcp" if vip.label.startswith("CCW_WEB") else "hl7"  # nothing in the site file says what is spoken there


def fault_of(kind: str, name: str) -> Fault:
    """The fault of this name. Raises Misuse with those that there are."""
    for fault in KINDS[kind]:
        if fault.name == name:
            return fault
    from lbkit.errors import Misuse

    raise Misuse(f"no server of kind {kind} has a fault {name!r}; there are: {', '.join(f.name for f in KINDS[kind])}.")
