"""The story that `lbkit demo` tells: a site that is up, broken one server at a time, checked, and mended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lbkit_demo import echoscu
from lbkit_demo.fault import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lbkit import Found, Result
    from lbkit_demo.fault import Fault
    from lbkit_demo.site import SimulatedSite

# The second server of a VIP each time, so that the VIP stays up: its relay goes to the first one that takes connections.
PLOT = (
    ("CCW_NOTIFICATION/CCW_App_Server_2", "wrong-body"),
    ("CCW_NOTIFICATION/CCW_App_Server_2", "unavailable"),
    ("CCW_NOTIFICATION/CCW_App_Server_2", "silent-after-request"),
    ("CCW_NOTIFICATION/CCW_App_Server_2", "client-refused"),
    ("CCW_WEB_443/CCW_App_Server_2", "expired-certificate"),
    ("CCW_WEB_8443/CCW_App_Server_2", "misnamed-certificate"),
    ("CCW_WEB_44301/CCW_App_Server_2", "plain-http"),
    ("CCW_WEB_8070-49200-49201/CCW_App_Server_2", "refused"),
    ("CCG_IB_2101/CCW_INT_5001_2", "refused"),
    ("EMR_INBOUND/CLOVERLEAF_OB_2", "black-hole"),
    ("CCW_DICOMSERVICE_VS/DICOM_Server_2", "rejected-called-title"),
    ("CCW_DICOMSERVER_VS/DICOM_Server_2", "dripping"),
    ("CCW_DICOM_1115/DICOM_Server_2", "closed-at-echo"),
    ("CCW_DICOM_1299/DICOM_Server_2", "reset-at-echo"),
    ("CCW_DICOMSERVICE_VS/DICOM_Server_2", "status-0122"),
    ("CCW_DICOMSERVER_VS/DICOM_Server_2", "closed-at-release"),
)


@dataclass(frozen=True)
class Chapter:
    """One fault on one server: what a check of the whole site found, and what it found once the server was mended.

    `names`: those of the server, VIP/SERVER. `found`: its own results. `others`: what is down besides it, which is nothing.
    """

    names: list[str]
    fault: Fault
    found: list[Found]
    others: list[Found]
    echoscu: echoscu.Said | None
    mended: list[Found]

    @property
    def told(self) -> bool:
        """Whether lbkit said what was wrong, and of nothing else, and saw it mended."""
        right = all(verdict(one.result) == self.fault.expected for one in self.found)
        return right and bool(self.found) and not self.others and not down(self.mended)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "servers": self.names,
            "fault": self.fault.name,
            "summary": self.fault.summary,
            "expected": self.fault.expected._asdict(),
            "found": [one.as_dict() for one in self.found],
            "others": [one.as_dict() for one in self.others],
            "echoscu": self.echoscu._asdict() if self.echoscu else None,
            "mended": not down(self.mended),
            "told": self.told,
        }


def verdict(result: Result) -> Verdict:
    """The part of a result that a table of faults foretells."""
    return Verdict(result.status, result.step, result.reason)


def name(found: Found) -> str:
    """VIP/SERVER, or the VIP's label."""
    return f"{found.vip}/{found.server}" if found.server else found.vip


def down(found: list[Found]) -> list[Found]:
    """Those that are down; not testable is not down."""
    return [one for one in found if one.result.status == "down"]


def checked(site: SimulatedSite) -> list[Found]:
    """What `lbkit check site` finds."""
    import lbkit

    async def collect() -> list[Found]:
        return [found async for found in lbkit.check_site(site.site)]

    return asyncio.run(collect())


def chapters(site: SimulatedSite) -> Iterator[Chapter]:
    """Break and mend one server after the other."""
    program = echoscu.installed()
    for broken, fault in PLOT:
        server = site.servers[broken]
        names = site.names_of(server)
        server.become(fault)
        found = checked(site)
        said = echoscu.ask(program, server.addresses[0]) if program and server.kind == "dicom" else None
        broken_as = server.fault
        server.mend()
        yield Chapter(
            names,
            broken_as,
            [one for one in found if name(one) in names],
            [one for one in down(found) if name(one) not in names],
            said,
            checked(site),
        )
