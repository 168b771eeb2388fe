"""The log of events: JSON, one event a line, in `events/` of the state folder. It is the audit log and the spool of alerts.

It is cut into segments, `00000001.jsonl` and on; a new one begins at SEGMENT bytes, and the oldest beyond KEPT go. A place
in it is a segment's number and an offset in bytes: a follower that keeps its place loses nothing, unless it falls so far
behind that its segment is gone, which it is told.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lbkit import disk
from lbkit.errors import CannotRun, LbkitError, Misuse
from lbkit.state.events import Event
from lbkit.state.folder import made, out_of_reach, state_folder
from lbkit.state.journal import EVENT

SEGMENT = 4 << 20  # bytes
KEPT = 16  # segments: 64 MiB, about 200,000 events
_WAITS = 5.0  # seconds for another process that writes
_LONGEST = 16 << 20  # bytes that are read for a line; a segment has fewer
_ALL = 1 << 62
_WHAT = "events"
_NAME = re.compile(r"(\d{8})\.jsonl")

_PRIORITY = {"info": logging.INFO, "warning": logging.WARNING, "alarm": logging.ERROR}

log = logging.getLogger("lbkit.events")


class Place(NamedTuple):
    """Where a follower is: all before it has been read."""

    segment: int = 1
    offset: int = 0


BEGIN = Place(0)  # before the oldest that there is


class Read(NamedTuple):
    """What was read from a place: events, the place behind each, and how many segments were gone before they were read."""

    events: list[tuple[Event, Place]]
    end: Place
    gone: int = 0


def record(*events: Event, state: Path | None = None) -> bool:
    """Write these, with this node and this moment where they name none. Whether they are in the log.

    Never raises: what happened has happened, and is not undone because it can't be written down. It is in the process's own
    log then. `state`: the state folder.
    """
    now, node = time.time(), socket.gethostname()
    whole = [replace(one, node=one.node or node, when=one.when or now) for one in events]
    try:
        EventLog(state).append(whole)
    except LbkitError as e:
        for one in whole:
            log.warning("not in the log of events: %s (%s)", one.text, e, extra={EVENT: one})
        return False
    for one in whole:
        log.log(_PRIORITY[one.level], "%s", one.text, extra={EVENT: one})
    return True


class EventLog:
    """That of this node, in `folder`, $LBKIT_STATE or /var/lib/lbkit. Methods raise CannotRun where it is out of reach."""

    def __init__(self, folder: Path | None = None) -> None:
        self._above = state_folder(folder)
        self.folder = self._above / "events"

    def append(self, events: Iterable[Event]) -> None:
        """Write these behind all others, all of them or none."""
        texts = (json.dumps(one.as_dict(), ensure_ascii=False) for one in events)
        lines = b"".join(one.encode(errors="replace") + b"\n" for one in texts)  # half of a surrogate pair: a `?`
        if not lines:
            return
        try:
            group = made(self._above, self.folder)
            with disk.locked(self.folder / ".lock", _WAITS, 0o660, group):
                self._write(lines, group)
        except OSError as e:
            raise out_of_reach(_WHAT, self.folder, e) from None

    def read(self, place: Place = BEGIN, most: int = 1000) -> Read:
        """At most so many events from a place on. A line that is no event is passed over, and said in the process's log."""
        numbers = self._segments()
        if not numbers:
            return Read([], place)
        gone = max(0, numbers[0] - place.segment) if place != BEGIN else 0
        if place.segment < numbers[0] or place.segment > numbers[-1]:  # the second: the folder was made anew
            place = Place(numbers[0])
        found: list[tuple[Event, Place]] = []
        while True:
            place = self._read_segment(place, most, found)
            if len(found) >= most or place.segment >= numbers[-1]:
                return Read(found, place, gone)
            place = Place(next(one for one in numbers if one > place.segment))

    def all(self) -> Iterator[Event]:
        """From the oldest on."""
        place = BEGIN
        while (read := self.read(place)).events:
            yield from (event for event, _ in read.events)
            place = read.end

    def last(
        self, most: int | None = None, since: float = 0.0, wanted: Callable[[Event], bool] = lambda event: True
    ) -> tuple[list[Event], Place]:
        """The last `most` of those that are `wanted`, None: all; and the place behind them. The newest is the last.

        `since`: seconds since the epoch; none from before. Of the log no more is read than that takes.
        """
        numbers = self._segments()
        found: list[Event] = []
        end = Place(numbers[-1]) if numbers else Place()
        for number in reversed(numbers):
            read: list[tuple[Event, Place]] = []
            behind = self._read_segment(Place(number), _ALL, read)
            end = max(end, behind)
            found[:0] = [event for event, _ in read if event.when >= since and wanted(event)]
            if (most is not None and len(found) >= most) or self._written(number) < since:
                break
        return found if most is None else found[max(0, len(found) - most) :], end

    def end(self) -> Place:
        """Behind the last event."""
        numbers = self._segments()
        if not numbers:
            return Place()
        try:
            with open(self._file(numbers[-1]), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST))
                begin = file.tell()
                return Place(numbers[-1], begin + file.read().rfind(b"\n") + 1)  # what is behind it is being written
        except OSError as e:
            raise self._unreadable(e) from None

    def has_more(self, place: Place) -> bool:
        """Whether there may be events behind a place, for one stat in most cases."""
        try:
            size = self._file(place.segment).stat().st_size
        except OSError:
            return True
        return size != place.offset or size >= SEGMENT

    def _write(self, lines: bytes, group: int) -> None:
        number = (self._segments() or [1])[-1]
        with suppress(FileNotFoundError):
            if self._file(number).stat().st_size >= SEGMENT:
                number += 1
        if not self._file(number).exists():
            disk.write(self._file(number), b"", 0o660, (-1, group))  # at once with its mode: others write there too
            self._drop_oldest(number)
        fd = os.open(self._file(number), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            begin = os.fstat(fd).st_size
            if begin and os.pread(fd, 1, begin - 1) != b"\n":  # somebody died within a line
                lines = b"\n" + lines
            try:  # no room is made before: readers take no lock, and would read zeros there
                written = 0
                while written < len(lines):
                    written += os.write(fd, lines[written:])
                os.fdatasync(fd)  # or a power cut leaves a place behind the end, and the next event is half skipped
            except OSError:
                os.ftruncate(fd, begin)
                raise
        finally:
            os.close(fd)

    def _drop_oldest(self, newest: int) -> None:
        for number in self._segments():
            if number <= newest - KEPT:
                with suppress(OSError):  # more of the past is there than is needed
                    self._file(number).unlink()

    def _read_segment(self, place: Place, most: int, found: list[tuple[Event, Place]]) -> Place:
        """Adds to `found`; where it has come to."""
        offset = place.offset
        try:
            with open(self._file(place.segment), "rb") as file:
                offset = min(offset, file.seek(0, os.SEEK_END))  # a power cut may have taken what was read already
                file.seek(offset)
                while len(found) < most and (line := file.readline(_LONGEST)):
                    if not line.endswith(b"\n"):
                        break  # it is being written
                    offset += len(line)
                    try:
                        found.append((Event.of(json.loads(line)), Place(place.segment, offset)))
                    except (Misuse, ValueError, RecursionError):
                        if line.strip():
                            log.warning("%s has a line that is no event, before byte %d", file.name, offset)
        except FileNotFoundError:
            pass
        except OSError as e:
            raise self._unreadable(e) from None
        return Place(place.segment, offset)

    def _written(self, number: int) -> float:
        """When a segment was written last; one that is gone never."""
        try:
            return self._file(number).stat().st_mtime
        except OSError:
            return 0.0

    def _segments(self) -> list[int]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as e:
            raise self._unreadable(e) from None
        return sorted(int(found[1]) for found in map(_NAME.fullmatch, names) if found)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:08}.jsonl"

    def _unreadable(self, error: OSError) -> CannotRun:
        return CannotRun(
            f"the log of events in {self.folder} can't be read: {error.strerror}. "
            "Run this as root, or as a member of the group of that folder."
        )
