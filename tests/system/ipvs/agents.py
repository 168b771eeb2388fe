"""`lbkit agent` on the LAN's first balancer, and the table that it keeps."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.agents import AgentProcess, l4
from system.ipvs.dicom import PORT
from system.ipvs.lan import RS1, RS2, VIP
from system.namespaces import Namespace
from unit.site_text import server

from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Virtual

CHECK = {
    "kind": "c-echo",
    "aet": "LOADBALANCER",
    "aec": "LB-SCP",
    "interval": "500ms",
    "timeout": "1s",
    "rise": 2,
    "fall": 2,
}


def two_servers(**more: object) -> dict[str, object]:
    return l4("DICOM", f"{VIP}:{PORT}", server("s1", RS1), server("s2", RS2), check=CHECK, **more)


class RealAgent(AgentProcess):
    """`lbkit agent` in lb1."""

    def __init__(self, folder: Path, host: Namespace) -> None:
        super().__init__(folder)
        self.host = host
        self._kernel = Kernel(host.file)

    @property
    def command(self) -> list[str]:
        return [str(Path(sys.executable).with_name("lbkit")), "agent", "--site", str(self.site)]

    def start(self, *flags: str, **environment: str) -> None:
        with self.host.inside():
            super().start(*flags, LBKIT_STATE=str(self.state_folder), **environment)

    def table(self, address: str = VIP) -> dict[str, int] | None:
        return table(self._kernel, address)

    def close(self) -> None:
        self._kernel.close()


def table(kernel: Kernel, address: str = VIP) -> dict[str, int] | None:
    """The weights of the VIP's destinations by address; None: the kernel has no such service."""
    seen = kernel.services().get(Virtual(address, PORT))
    return None if seen is None else {place[0]: one.destination.weight for place, one in seen.destinations.items()}


@contextmanager
def watched(agent: RealAgent, address: str = VIP) -> Iterator[list[dict[str, int] | None]]:
    """All tables that were seen while the block ran, each once."""
    seen: list[dict[str, int] | None] = []
    over = threading.Event()

    def work() -> None:
        with Kernel(agent.host.file) as kernel:
            while not over.is_set():
                if (found := table(kernel, address)) not in seen:
                    seen.append(found)
                over.wait(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
