"""The story that `lbkit demo` tells: servers that are up, broken one at a time, checked, and mended."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from lbkit_demo import echoscu
from lbkit_demo.server import SimulatedServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lbkit import Result
    from lbkit_demo.faults import Fault

LABELS = (
    "CCW_DICOMSERVICE_VS / DICOM Server 1",
    "CCW_DICOMSERVICE_VS / DICOM Server 2",
    "CCW_DICOMSERVER_VS / DICOM Server 1",
    "CCW_DICOMSERVER_VS / DICOM Server 2",
)

PLOT = (
    "refused",
    "silent-at-associate",
    "dripping",
    "http",
    "rejected-limit",
    "rejected-called-title",
    "silent-at-echo",
    "closed-at-echo",
    "reset-at-echo",
    "echo-aborted-by-provider",
    "status-0122",
    "closed-at-release",
)


@dataclass(frozen=True)
class Chapter:
    """One fault on one server: what each tool said of it, and what lbkit said once it was mended."""

    server: SimulatedServer
    fault: Fault
    result: Result
    echoscu: echoscu.Said | None
    mended: Result

    @property
    def told(self) -> bool:
        """Whether lbkit said what was wrong, and saw it mended."""
        return is_expected(self.fault, self.result) and self.mended.status == "up"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "fault": self.fault.name,
            "summary": self.fault.summary,
            "expected": self.fault.expected._asdict(),
            "result": self.result.as_dict(),
            "echoscu": self.echoscu._asdict() if self.echoscu else None,
            "mended": self.mended.as_dict(),
        }


def is_expected(fault: Fault, result: Result) -> bool:
    """Whether a check said of a fault what the table of faults says."""
    return (result.status, result.step, result.reason) == fault.expected


def check(server: SimulatedServer, timeout: float) -> Result:
    """What lbkit says of a server."""
    import lbkit

    return lbkit.check("c-echo", server.target, timeout=timeout)


@contextmanager
def started(cast: Iterable[tuple[str, str]]) -> Iterator[list[SimulatedServer]]:
    """Run servers, given as label and fault, while the block runs."""
    with ExitStack() as running:
        servers = []
        for label, fault in cast:
            server = SimulatedServer(label, fault)
            running.callback(server.stop)
            servers.append(server)
        yield servers


def chapters(servers: Sequence[SimulatedServer], timeout: float) -> Iterator[Chapter]:
    """Break and mend one server after the other, a fault each."""
    program = echoscu.installed()
    for name, server in zip(PLOT, cycle(servers), strict=False):
        server.become(name)
        fault, result = server.fault, check(server, timeout)
        said = echoscu.ask(program, server.address) if program else None
        server.become("healthy")
        yield Chapter(server, fault, result, said, check(server, timeout))


def healthy_cast() -> list[tuple[str, str]]:
    """The servers of the story."""
    return [(label, "healthy") for label in LABELS]


def standing_cast() -> list[tuple[str, str]]:
    """The servers that stay: healthy ones, and one for each fault of the story."""
    return [(name, name) for name in ("healthy", "healthy", *PLOT)]
