"""The socket to IPVS when the kernel is silent, loses an answer, changes its table meanwhile, or has no IPVS at all.

None of it can be had of a real kernel at will: a socket with recorded answers stands in for it.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.test_ipvs_codec import datagrams

from lbkit.errors import EngineError, NotRunning
from lbkit.ipvs import channel
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Service, Virtual

KERNEL = (0, 0)
KEY = Virtual("192.0.2.10", 104)
Reply = bytes | OSError | tuple[bytes, int, tuple[int, int]]


class Scripted:
    """Answers each request with what the script has for it, its sequence number filled in. After that it is silent."""

    def __init__(self, replies: Callable[[int], list[Reply]]) -> None:
        self.asked = self.closed = 0
        self._replies = replies
        self._queue: list[Reply] = []
        self._sequence = 0

    @property
    def left(self) -> int:
        return len(self._queue)

    def bind(self, address: object) -> None:
        pass

    def settimeout(self, timeout: float) -> None:
        assert 0 < timeout <= 5

    def sendto(self, data: bytes, address: object) -> None:
        (self._sequence,) = struct.unpack_from("=I", data, 8)
        family = struct.unpack_from("=H", data, 4)[0] == 16
        self.asked += not family
        self._queue += datagrams("family") if family else self._replies(self.asked)

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        if not self._queue:
            raise TimeoutError("timed out")
        reply = self._queue.pop(0)
        if isinstance(reply, OSError):
            raise reply
        data, flags, sender = reply if isinstance(reply, tuple) else (reply, 0, KERNEL)
        return renumbered(data, self._sequence), [], flags, sender

    def close(self) -> None:
        self.closed += 1


def renumbered(datagram: bytes, sequence: int) -> bytes:
    """The same messages for another request."""
    found, at = bytearray(datagram), 0
    while at < len(found):
        struct.pack_into("=I", found, at + 8, sequence)
        at += struct.unpack_from("=I", found, at)[0]
    return bytes(found)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Kernel, list[Scripted]]]:
    def made(replies: Callable[[int], list[Reply]]) -> tuple[Kernel, list[Scripted]]:
        opened: list[Scripted] = []

        def opens(*_: object) -> Scripted:
            opened.append(Scripted(replies))
            return opened[-1]

        monkeypatch.setattr(channel.socket, "socket", opens)
        return Kernel(), opened

    return made


def interrupted(datagram: bytes) -> bytes:
    return datagram[:6] + struct.pack("=H", 2 | 0x10) + datagram[8:]


TABLE = datagrams("daemons")
DONE = TABLE[-1]


def test_a_dump_in_whose_course_the_table_changed_is_asked_for_again(kernel):
    asked, opened = kernel(lambda number: [interrupted(TABLE[0]), DONE] if number < channel.TRIES else TABLE)
    assert len(asked.daemons()) == 2
    assert opened[0].asked == channel.TRIES


def test_a_table_that_never_keeps_still_is_an_error(kernel):
    asked, opened = kernel(lambda _: [interrupted(TABLE[0]), DONE])
    with pytest.raises(EngineError, match=r"changed in each of 5 readings\. Try again"):
        asked.daemons()
    assert (opened[0].asked, opened[0].closed) == (channel.TRIES, 1)


def test_a_dump_of_which_a_part_was_lost_is_asked_for_again(kernel):
    lost = OSError(errno.ENOBUFS, "No buffer space available")
    asked, opened = kernel(lambda number: [TABLE[0], lost] if number == 1 else TABLE)
    assert len(asked.daemons()) == 2
    assert opened[0].asked == 2


def test_a_change_whose_answer_was_lost_is_not_made_again_and_the_error_says_that_it_may_be_done(kernel):
    asked, opened = kernel(lambda _: [OSError(errno.ENOBUFS, "No buffer space available")])
    with pytest.raises(EngineError, match=r"lost: No buffer space available. What it was asked may have been done"):
        asked.add_service(Service(KEY))
    assert (opened[0].asked, opened[0].closed) == (1, 1)


def test_silence_is_an_error_after_the_time_limit_and_the_socket_is_made_anew(kernel):
    asked, opened = kernel(lambda _: [])
    for number in (1, 2):
        with pytest.raises(NotRunning, match=r"IPVS did not answer within 5 s. What it was asked may have been done"):
            asked.version()
        assert [one.closed for one in opened] == [1] * number


def test_a_kernel_that_never_comes_to_an_end_is_given_up(kernel, monkeypatch):
    now = iter(range(10_000))
    monkeypatch.setattr(channel, "monotonic", lambda: next(now))
    asked, opened = kernel(lambda _: [TABLE[0]] * 1000)
    with pytest.raises(NotRunning, match="did not answer within 5 s"):
        asked.daemons()
    assert opened[0].left > 990


def test_an_answer_is_read_up_to_a_limit_only(kernel, monkeypatch):
    monkeypatch.setattr(channel, "MOST_BYTES", 1000)
    asked, _ = kernel(lambda _: [TABLE[0]] * 1000)
    with pytest.raises(EngineError, match="can't be read: it is longer than it may be"):
        asked.daemons()


def test_a_datagram_that_does_not_fit_is_an_error(kernel):
    asked, _ = kernel(lambda _: [(TABLE[0], socket.MSG_TRUNC, KERNEL)])
    with pytest.raises(EngineError, match="can't be read: it is longer than it may be"):
        asked.daemons()


def test_what_another_process_sends_is_passed_over(kernel):
    asked, _ = kernel(lambda _: [(DONE, 0, (4711, 0)), *TABLE])
    assert len(asked.daemons()) == 2


def test_an_acknowledgement_without_the_answer_is_an_error(kernel):
    asked, _ = kernel(lambda _: datagrams("done"))
    with pytest.raises(EngineError, match="IPVS said yes and nothing else"):
        asked.version()


def test_where_ipvs_was_unloaded_meanwhile_it_is_looked_for_anew(kernel):
    asked, opened = kernel(lambda _: datagrams("no-family"))
    for number in (1, 2):
        with pytest.raises(NotRunning, match="modprobe ip_vs"):
            asked.services()
        assert len(opened) == number


@pytest.mark.skipif(Path("/proc/net/ip_vs").exists(), reason="this kernel has IPVS")
def test_a_kernel_without_ipvs_says_what_to_do(no_file_is_left_open):
    with (
        Kernel() as kernel,
        pytest.raises(NotRunning, match=r"this kernel has no IPVS, or .*\. As root: modprobe ip_vs"),
    ):
        kernel.services()
