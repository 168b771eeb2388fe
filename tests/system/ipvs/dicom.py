"""DICOM in the hosts of the LAN: pynetdicom's SCP, which knows who called, and dcmtk's storescp, which can be killed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from interop.remotes import program
from system.namespaces import Namespace

from lbkit import Result, check

PORT = 104


class Scp:
    """pynetdicom's. `callers`: the address and port of each association's requestor, as this server sees them."""

    def __init__(self, host: Namespace, port: int = PORT, address: str = "0.0.0.0") -> None:
        self._host, self._at = host, (address, port)
        self.callers: list[tuple[str, int]] = []
        self.rise()

    def rise(self) -> None:
        from pynetdicom import AE, evt  # seconds, in this kernel

        def on_accepted(event: Any) -> None:
            remote = event.assoc.requestor
            self.callers.append((remote.address, remote.port))

        entity = AE("LB-SCP")
        entity.add_supported_context("1.2.840.10008.1.1")
        with self._host.inside():
            self._server = entity.start_server(self._at, block=False, evt_handlers=[(evt.EVT_ACCEPTED, on_accepted)])

    def stop(self) -> None:
        self._server.shutdown()


class Storescp:
    """dcmtk's, in a process of its own."""

    def __init__(self, host: Namespace, port: int = PORT) -> None:
        self._host, self._port = host, port
        self.process: subprocess.Popen[bytes] | None = None
        self.rise()

    def rise(self, *options: str) -> None:
        with self._host.inside():
            self.process = subprocess.Popen(
                [program("storescp", "dcmtk"), "-aet", "LB-SCP", "--ignore", *options, str(self._port)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if echo(self._host, f"127.0.0.1:{self._port}").step != "connect":
                return
            time.sleep(0.05)
        raise AssertionError("storescp does not answer")

    def die(self) -> None:
        """At once, as by a power cut."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.go_on()
            self.die()


def echo(host: Namespace, target: str, timeout: float = 5.0) -> Result:
    """A C-ECHO from this host."""
    with host.inside():
        return check("c-echo", target, aet="LOADBALANCER", aec="LB-SCP", timeout=timeout)


@contextmanager
def stopped(*servers: Scp | Storescp) -> Iterator[None]:
    """They are, when the block has ended."""
    try:
        yield
    finally:
        for one in servers:
            one.stop()
