"""The kernel's IPVS, asked and changed over generic netlink.

Its own client, since every `lbkit drain` pays for it: after the site is loaded, its import takes 8 ms, that of pyroute2 102
(0.9.7; Python 3.11, best of 9). In user-mode Linux (best of 8): import 115 and 507 ms; to open 0.8 and 2.8 ms; to change a
weight 0.12 and 0.78 ms; to read 8 services of 10 destinations 4.5 and 12.3 ms; memory of the process 13 and 35 MB. pyroute2
has half of the commands, and traps: "update" deletes, IPv6 needs a trick (tests/system/ipvs/test_kernel.py reads with both).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from lbkit.errors import EngineError
from lbkit.ipvs import answers, ip_vs, refusals, requests
from lbkit.ipvs.channel import Channel, Refused
from lbkit.ipvs.table import Daemon, Destination, Key, Role, SeenService, Service, Timeouts


class Kernel:
    """IPVS of one network namespace. `namespace`: its file (/run/netns/NAME, /proc/PID/ns/net), None: this thread's own.

    Opened when first used, and again after `close` or an error. For one thread at a time; it may be another each time.
    `timeout`: seconds for an answer. Every method raises NotRunning (no IPVS, or silence), NotAllowed (no CAP_NET_ADMIN),
    Misuse (values that can't be) and EngineError (anything else), and what it names beside these.
    """

    def __init__(self, namespace: str | None = None, timeout: float = 5.0) -> None:
        self._namespace = namespace
        self._timeout = timeout
        self._channel: Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def services(self) -> dict[Key, SeenService]:
        """All of them with their destinations, in the kernel's order. What changes meanwhile is seen before or after."""
        with _refused_as("to list its services"):
            found = [answers.service(body) for body in self._ask(ip_vs.GET_SERVICE, dump=True)]
            for one in found:
                for body in self._ask(ip_vs.GET_DESTINATION, requests.key(one.service.key), dump=True):
                    seen = answers.destination(body)
                    one.destinations[seen.destination.place] = seen
        return {one.service.key: one for one in found}

    def add_service(self, service: Service) -> None:
        """Without destinations. Raises AlreadyThere, and NotThere for a scheduler that this kernel has not."""
        self._service("add", ip_vs.NEW_SERVICE, service)

    def change_service(self, service: Service) -> None:
        """All of it becomes as given; destinations and connections stay. Raises NotThere."""
        self._service("change", ip_vs.SET_SERVICE, service)

    def remove_service(self, key: Key) -> None:
        """With its destinations. Raises NotThere."""
        try:
            self._ask(ip_vs.DELETE_SERVICE, requests.key(key))
        except Refused as e:
            raise refusals.of_service(e.code, "remove", key) from None

    def add(self, key: Key, destination: Destination) -> None:
        """To a service. Raises AlreadyThere, NotThere."""
        self._destination("add", ip_vs.NEW_DESTINATION, key, destination)

    def change(self, key: Key, destination: Destination) -> None:
        """All of it becomes as given; its connections stay. Raises NotThere."""
        self._destination("change", ip_vs.SET_DESTINATION, key, destination)

    def remove(self, key: Key, address: str, port: int) -> None:
        """Its connections hang, or end with net.ipv4.vs.expire_nodest_conn. Raises NotThere."""
        try:
            self._ask(ip_vs.DELETE_DESTINATION, requests.place(key, address, port))
        except Refused as e:
            raise refusals.of_destination(e.code, "remove", key, address, port) from None

    def zero(self, key: Key | None = None) -> None:
        """The statistics of a service and its destinations; None: of all. Raises NotThere."""
        try:
            self._ask(ip_vs.ZERO, b"" if key is None else requests.key(key))
        except Refused as e:
            raise (
                refusals.refused(e.code, "to zero its statistics")
                if key is None
                else refusals.of_service(e.code, "zero", key)
            ) from None

    def flush(self) -> None:
        """Remove all services, whosoever they are."""
        with _refused_as("to remove all services"):
            self._ask(ip_vs.FLUSH)

    def timeouts(self) -> Timeouts:
        """Those that hold for connections of all services."""
        with _refused_as("for its timeouts"):
            return answers.timeouts(self._one(ip_vs.GET_CONFIG))

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """For connections from now on, and those that packets still come for."""
        with _refused_as("to set its timeouts"):
            self._ask(ip_vs.SET_CONFIG, requests.timeouts(timeouts))

    def version(self) -> tuple[int, int, int]:
        """Of IPVS itself."""
        with _refused_as("for its version"):
            return answers.version(self._one(ip_vs.GET_INFO))

    def daemons(self) -> list[Daemon]:
        """The sync daemons that run: none, or one of each role."""
        with _refused_as("to list its sync daemons"):
            return [answers.daemon(body) for body in self._ask(ip_vs.GET_DAEMON, dump=True)]

    def start_daemon(self, daemon: Daemon) -> None:
        """Raises AlreadyThere for one of this role, NotThere for the interface."""
        try:
            self._ask(ip_vs.NEW_DAEMON, requests.daemon(daemon))
        except Refused as e:
            raise refusals.of_daemon(e.code, "start", daemon.role, daemon.interface) from None

    def stop_daemon(self, role: Role) -> None:
        """Raises NotThere."""
        try:
            self._ask(ip_vs.DELETE_DAEMON, requests.role(role))
        except Refused as e:
            raise refusals.of_daemon(e.code, "stop", role) from None

    def _service(self, verb: str, command: int, service: Service) -> None:
        try:
            self._ask(command, requests.service(service))
        except Refused as e:
            raise refusals.of_service(e.code, verb, service) from None

    def _destination(self, verb: str, command: int, key: Key, destination: Destination) -> None:
        try:
            self._ask(command, requests.destination(key, destination))
        except Refused as e:
            raise refusals.of_destination(e.code, verb, key, *destination.place) from None

    def _one(self, command: int) -> bytes:
        found = self._ask(command)
        if not found:
            raise EngineError("IPVS said yes and nothing else. Is this kernel supported (Linux 4.1 or later)?")
        return found[0]

    def _ask(self, command: int, body: bytes = b"", *, dump: bool = False) -> list[bytes]:
        if self._channel is None:
            self._channel = Channel(self._namespace, self._timeout)
        try:
            return self._channel.ask(command, body, dump=dump)
        except Refused:
            raise
        except BaseException:
            self.close()  # a late answer must not be taken for the next
            raise


@contextmanager
def _refused_as(what: str) -> Iterator[None]:
    try:
        yield
    except Refused as e:
        raise refusals.refused(e.code, what) from None
