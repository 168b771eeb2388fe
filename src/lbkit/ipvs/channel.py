"""A generic-netlink socket to IPVS: one request at a time, each to its end, within a time limit."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from lbkit.errors import EngineError, NotAllowed, NotRunning, NotThere
from lbkit.ipvs import ip_vs, netlink
from lbkit.ipvs.refusals import not_running

DATAGRAM = 1 << 16  # bytes; the kernel sends 32 KiB at most
MOST_BYTES = 1 << 26  # of one answer: 64 MiB are some 200,000 destinations
TRIES = 5  # of a dump in whose course the table changes
_GENERIC = 16  # NETLINK_GENERIC
_NEWNET = 0x40000000  # CLONE_NEWNET


class Refused(Exception):
    """The kernel said no; `code` is an errno."""

    def __init__(self, code: int) -> None:
        super().__init__(os.strerror(code))
        self.code = code


class Channel:
    """Open until `close`. For one thread at a time. `namespace`: the file of a network namespace, None: this thread's.

    Raises NotRunning without IPVS; NotThere, NotAllowed for a namespace that can't be entered.
    """

    def __init__(self, namespace: str | None, timeout: float) -> None:
        self._timeout = timeout
        self._sequence = 0
        with _inside(namespace):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _GENERIC)
        try:
            self._socket.bind((0, 0))
            self._family = self._number_of(ip_vs.FAMILY)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """It is of no more use."""
        self._socket.close()

    def ask(self, command: int, body: bytes = b"", *, dump: bool = False) -> list[bytes]:
        """The attributes of each message that comes back.

        Raises Refused, and after any other error it is to be closed: NotRunning for silence or where IPVS was unloaded,
        EngineError for what was lost or can't be read.
        """
        for _ in range(TRIES):
            answer = self._asked(self._family, command, body, dump)
            if answer is None or answer.interrupted:
                continue
            if answer.error == errno.ENOENT and dump:  # nothing is missing but the family
                raise not_running()
            if answer.error:
                raise Refused(answer.error)
            return answer.bodies
        raise EngineError(f"the table of IPVS changed in each of {TRIES} readings. Try again.")

    def _number_of(self, family: str) -> int:
        name = netlink.attribute(netlink.FAMILY_NAME, family.encode() + b"\0")
        answer = self._asked(netlink.CONTROLLER, netlink.GET_FAMILY, name, dump=False)
        if answer is None or answer.error or not answer.bodies:
            raise not_running()
        number = netlink.attributes(answer.bodies[0]).get(netlink.FAMILY_ID, b"")
        if len(number) < ip_vs.U16.size:
            raise netlink.unreadable(f"family {family} has no number")
        return int(ip_vs.U16.unpack_from(number)[0])

    def _asked(self, family: int, command: int, body: bytes, dump: bool) -> netlink.Answer | None:
        """None: a part of a dump was lost."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        answer = netlink.Answer(self._sequence)
        deadline = monotonic() + self._timeout
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendto(netlink.request(family, command, self._sequence, body, dump=dump), (0, 0))
            self._receive(answer, deadline)
        except TimeoutError:
            raise NotRunning(
                f"IPVS did not answer within {self._timeout:g} s. What it was asked may have been done: see ipvsadm -ln."
            ) from None
        except OSError as e:
            if e.errno == errno.ENOBUFS and dump:
                return None
            raise EngineError(
                f"the answer of IPVS was lost: {e.strerror}. What it was asked may have been done: see ipvsadm -ln."
            ) from None
        return answer

    def _receive(self, answer: netlink.Answer, deadline: float) -> None:
        left = MOST_BYTES
        while not answer.complete:
            self._socket.settimeout(max(deadline - monotonic(), 0.001))
            datagram, _, flags, sender = self._socket.recvmsg(DATAGRAM)
            left -= len(datagram)
            if flags & socket.MSG_TRUNC or left < 0:
                raise netlink.unreadable("it is longer than it may be")
            if monotonic() > deadline:
                raise TimeoutError
            if sender[0] == 0:  # the kernel; other processes can send here too
                answer.take(datagram)


@contextmanager
def _inside(namespace: str | None) -> Iterator[None]:
    """What this thread opens belongs to that network namespace."""
    if namespace is None:
        yield
        return
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(namespace)
        try:
            yield
        finally:
            _enter_open(here, "its own")
    finally:
        os.close(here)


def _enter(namespace: str) -> None:
    try:
        there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        kind = NotAllowed if isinstance(e, PermissionError) else NotThere
        raise kind(
            f"the network namespace {namespace} can't be opened: {e.strerror}. `ip netns` lists those with names."
        ) from None
    try:
        _enter_open(there, namespace)
    finally:
        os.close(there)


def _enter_open(file: int, name: str) -> None:
    import ctypes  # os.setns comes with Python 3.12; few need it

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, _NEWNET):
        code = ctypes.get_errno()
        kind, what = (NotAllowed, "Run as root") if code == errno.EPERM else (EngineError, "Is it one")
        raise kind(f"the network namespace {name} can't be entered: {os.strerror(code)}. {what}?")
