"""A simulated server: it keeps its label and its port, while what it serves there can be changed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from lbkit_demo.faults import by_name


class SimulatedServer:
    """One DICOM server that runs from here until `stop`, healthy at first or with a fault of that name."""

    def __init__(self, label: str, fault: str = "healthy") -> None:
        self.label = label
        self.fault = by_name(fault)
        self._serving = ExitStack()
        self.address = self._serving.enter_context(self.fault.serve())

    @property
    def target(self) -> str:
        """HOST:PORT, as `lbkit check` takes it."""
        host, port = self.address
        return f"{host}:{port}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fault = self.fault
        return {
            "address": self.target,
            "fault": fault.name,
            "summary": fault.summary,
            "expected": fault.expected._asdict(),
        }

    def become(self, fault: str) -> None:
        """Serve another fault on the same port; a name that is unknown changes nothing."""
        wanted = by_name(fault)
        self._serving.close()
        self.fault = wanted
        self._serving.enter_context(wanted.serve(self.address[1]))

    def stop(self) -> None:
        """End it and free its port."""
        self._serving.close()
