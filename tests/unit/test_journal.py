"""Records in the journal's native protocol, taken by a socket that stands in for systemd's journal, and read as it reads."""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbkit.state.events import Event
from lbkit.state.journal import EVENT, LONGEST, Journal, has_stderr, is_there


class Journald:
    """`fields`: what the next datagram holds, by the protocol's own rules (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(5)

    def fields(self) -> dict[str, bytes]:
        left, found = self._socket.recv(1 << 20), {}
        while left:
            line, end, left = left.partition(b"\n")
            assert end, "a field without an end"
            name, equals, value = line.partition(b"=")
            if not equals:
                size = struct.unpack("<Q", left[:8])[0]
                value, left = left[8 : 8 + size], left[8 + size :]
                assert left[:1] == b"\n"
                left = left[1:]
            assert name.decode().replace("_", "").isalnum()
            assert name.decode().isupper()
            assert name.decode() not in found
            found[name.decode()] = value
        return found

    def is_empty(self) -> bool:
        self._socket.settimeout(0)
        try:
            self._socket.recv(1)
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(5)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    made = Journald(tmp_path / "socket")
    yield made
    made.close()


@pytest.fixture
def log(journald: Journald) -> Iterator[logging.Logger]:
    handler = Journal(journald.path)
    made = logging.Logger("lbkit.test")
    made.addHandler(handler)
    yield made
    handler.close()


def test_a_record_has_its_message_and_its_priority(log: logging.Logger, journald: Journald) -> None:
    for level, priority in ((10, b"7"), (20, b"6"), (30, b"4"), (40, b"3"), (50, b"2")):
        log.log(level, "%s checks", 3)
        assert journald.fields() == {"MESSAGE": b"3 checks", "PRIORITY": priority, "SYSLOG_IDENTIFIER": b"lbkit"}


def test_an_event_has_a_field_for_each_thing_that_it_says(log: logging.Logger, journald: Journald) -> None:
    event = Event(
        "intent-set", "anna drains WEB/s1", node="lb1", when=5.0, vip="WEB", server="s1", address="192.0.2.2",
        step="connect", reason="refused", who="anna@lb1", why="updates", origin="tty1",
    )  # fmt: skip
    log.info("%s", event.text, extra={EVENT: event})
    assert journald.fields() == {
        "MESSAGE": b"anna drains WEB/s1",
        "PRIORITY": b"6",
        "SYSLOG_IDENTIFIER": b"lbkit",
        "LBKIT_KIND": b"intent-set",
        "LBKIT_VIP": b"WEB",
        "LBKIT_SERVER": b"s1",
        "LBKIT_ADDRESS": b"192.0.2.2",
        "LBKIT_NODE": b"lb1",
        "LBKIT_STEP": b"connect",
        "LBKIT_REASON": b"refused",
        "LBKIT_WHO": b"anna@lb1",
        "LBKIT_WHY": b"updates",
        "LBKIT_ORIGIN": b"tty1",
        "LBKIT_EVENT": event.ident.encode(),
    }


def test_fields_of_an_event_that_say_nothing_are_left_out(log: logging.Logger, journald: Journald) -> None:
    log.info("x", extra={EVENT: Event("test", "x")})
    assert [name for name in journald.fields() if name.startswith("LBKIT")] == ["LBKIT_KIND", "LBKIT_EVENT"]


@pytest.mark.parametrize(("kind", "priority"), [("server-up", b"6"), ("server-down", b"4"), ("vip-down", b"2")])
def test_an_events_level_is_its_priority(log: logging.Logger, journald: Journald, kind: str, priority: bytes) -> None:
    log.info("x", extra={EVENT: Event(kind, "x")})  # type: ignore[arg-type]
    assert journald.fields()["PRIORITY"] == priority


@pytest.mark.parametrize(
    "why", ["one\ntwo\n", "\n", 'say "no"', "a=b", "x\nLBKIT_WHO=root\nMESSAGE=forged", "\x00\x1b[31m\x7f", "é\u2028😀"]
)
def test_no_text_breaks_out_of_its_field(log: logging.Logger, journald: Journald, why: str) -> None:
    log.info("%s", why, extra={EVENT: Event("intent-set", "x", why=why)})
    found = journald.fields()
    assert (found["MESSAGE"], found["LBKIT_WHY"]) == (why.encode(), why.encode())
    assert "LBKIT_WHO" not in found


def test_half_of_a_surrogate_pair_is_written_as_what_it_is(log: logging.Logger, journald: Journald) -> None:
    log.info("a\udcffb")
    assert journald.fields()["MESSAGE"] == rb"a\udcffb"


def test_a_message_of_a_megabyte_is_cut_and_sent_with_all_fields(log: logging.Logger, journald: Journald) -> None:
    texts = dict.fromkeys(("vip", "server", "address", "step", "reason", "who", "why", "origin", "node"), "😀" * 2000)
    log.info("%s", "ä" * (1 << 20), extra={EVENT: Event("test", "x", **texts)})
    found = journald.fields()
    assert found["MESSAGE"] == ("ä" * LONGEST + " … (cut)").encode()
    assert found["LBKIT_ORIGIN"].decode() == "😀" * 2000


def test_the_longest_message_fits_whatever_its_characters_are(log: logging.Logger, journald: Journald) -> None:
    log.info("😀" * (1 << 20))
    assert journald.fields()["MESSAGE"].decode() == "😀" * LONGEST + " … (cut)"


def test_a_traceback_is_in_the_message(log: logging.Logger, journald: Journald) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        log.error("a fault", exc_info=True)
    lines = journald.fields()["MESSAGE"].decode().splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("a fault", "Traceback (most recent call last):", "ValueError: broken")


def test_a_journal_that_takes_nothing_holds_nobody_up_and_is_told_how_much_it_missed(
    log: logging.Logger, journald: Journald
) -> None:
    def write() -> None:  # more than the kernel keeps for a socket that nobody reads
        for number in range(2000):
            log.info("%d %s", number, "x" * 1000)

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(5)
    assert not writing.is_alive()
    taken = 0
    while not journald.is_empty():
        taken += 1
    log.info("again")
    said = journald.fields()
    assert said["MESSAGE"] == f"the journal has not taken {2000 - taken} messages".encode()
    assert said["PRIORITY"] == b"4"
    assert journald.fields()["MESSAGE"] == b"again"
    log.info("and again")
    assert journald.fields()["MESSAGE"] == b"and again"


def test_a_verb_waits_a_moment_for_a_journal_that_is_busy(journald: Journald) -> None:
    handler, log = Journal(journald.path, waits=5.0), logging.Logger("lbkit.test")
    log.addHandler(handler)
    taken: list[bytes] = []
    reading = threading.Timer(0.2, lambda: taken.extend(journald.fields()["MESSAGE"] for _ in range(600)))
    reading.start()
    for number in range(600):  # more than the kernel keeps for it
        log.info("%d", number)
    reading.join()
    handler.close()
    assert taken == [b"%d" % number for number in range(600)]


def test_a_journal_that_hangs_is_waited_for_once(journald: Journald) -> None:
    handler, log = Journal(journald.path, waits=0.3), logging.Logger("lbkit.test")
    log.addHandler(handler)
    begun = time.monotonic()
    for number in range(2000):
        log.info("%d", number)
    handler.close()
    assert 0.3 <= time.monotonic() - begun < 3


def test_a_journal_that_is_gone_and_comes_back_is_written_to_again(
    log: logging.Logger, journald: Journald, capfd: pytest.CaptureFixture[str]
) -> None:
    journald.close()
    log.info("to nobody")
    os.unlink(journald.path)
    assert not is_there(journald.path)
    log.info("to nobody")
    back = Journald(Path(journald.path))
    assert is_there(journald.path)
    log.info("again")
    assert back.fields()["MESSAGE"] == b"the journal has not taken 2 messages"
    assert back.fields()["MESSAGE"] == b"again"
    back.close()
    assert capfd.readouterr() == ("", "")


def test_stderr_is_the_journals_only_where_its_device_and_inode_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.fstat(2)
    for value, is_so in ((f"{here.st_dev}:{here.st_ino}", True), (f"{here.st_dev}:{here.st_ino + 1}", False)):
        monkeypatch.setenv("JOURNAL_STREAM", value)
        assert has_stderr() is is_so
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not has_stderr()
