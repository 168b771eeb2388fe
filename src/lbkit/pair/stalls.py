"""How long this machine stands still now and then, and which `advert_interval` bears it.

A hypervisor's snapshots and migrations, a busy host and a slow disk stall a whole machine; a master that stalls for longer
than its backup waits loses the VIPs. Whoever sleeps for 10 ms and wakes up late has been stalled. A guest whose clock stands
still while it is paused sees nothing of that, until somebody puts its clock right: such steps are kept too.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lbkit import disk
from lbkit.durations import seconds, written
from lbkit.errors import CannotRun, Misuse
from lbkit.state.folder import state_folder

VERSION = 1
EVERY = 0.01  # seconds of sleep
ENOUGH = 23 * 3600.0  # seconds: a day with its night, when backups and snapshots are made
KEPT = 20  # of the worst
_STEP = 0.05  # seconds that the clock is put forward at once; what slews it is slower
_SAVED_EVERY = 10.0
_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_INTERVALS = tuple(map(seconds, ("100ms", "200ms", "300ms", "500ms", "1s", "2s", "3s", "5s", "10s", "20s", "40s")))
_UNPROVEN = 1.0  # second: what is safe to begin with
_MARGIN = 2.0


@dataclass(frozen=True, slots=True, order=True)
class Stall:
    """`late`: seconds; `when` it ended, seconds since the epoch."""

    late: float
    when: float


@dataclass(frozen=True, slots=True)
class Record:
    """What was measured so far on `node`, in all runs together.

    `begun`, `ended`: of the first and the last run, seconds since the epoch; `measured`: seconds of all. `worst`: longest
    first. `over`: how many were longer than each of some durations. `steps`: by which the clock was put forward. `stolen`:
    seconds of processor time that the hypervisor gave to others, and `stolen_most`: the largest share of a second.
    """

    node: str
    begun: float
    ended: float
    measured: float = 0.0
    worst: tuple[Stall, ...] = ()
    over: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(written, _LEVELS), 0))
    steps: tuple[Stall, ...] = ()
    stolen: float = 0.0
    stolen_most: float = 0.0

    @property
    def longest(self) -> float:
        """Seconds."""
        return self.worst[0].late if self.worst else 0.0

    @property
    def is_enough(self) -> bool:
        """A day with its night is in it."""
        return self.measured >= ENOUGH

    @property
    def bears(self) -> float | None:
        """The shortest `advert_interval` in seconds that bears what was measured; None: none does.

        A stall begins when the next advert is due, at worst: the backup hears nothing for the stall and one advert, and it
        waits for three and its skew time. So two adverts have to be longer than the stall, here twice as long.
        """
        return next((one for one in _INTERVALS if 2 * one > _MARGIN * self.longest), None)

    @property
    def safe(self) -> float | None:
        """The same, but not below 1 s before a whole day was measured."""
        bears = self.bears
        return bears if self.is_enough or bears is None else max(bears, _UNPROVEN)

    def with_stall(self, one: Stall) -> Record:
        """And this one."""
        over = {level: number + (one.late > seconds(level)) for level, number in self.over.items()}
        return replace(self, worst=tuple(sorted((*self.worst, one), reverse=True)[:KEPT]), over=over)

    def with_step(self, one: Stall) -> Record:
        """And this one."""
        return replace(self, steps=tuple(sorted((*self.steps, one), reverse=True)[:KEPT]))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are stable."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Record:
        """What `as_dict` gave. Raises KeyError, TypeError, ValueError for anything else."""
        lists = {name: tuple(Stall(**one) for one in values[name]) for name in ("worst", "steps")}
        return cls(**{**values, **lists})


def path(state: Path | None = None) -> Path:
    """Where the record is kept; who removes it begins anew."""
    return state_folder(state) / "stalls.json"


def read(state: Path | None = None) -> Record | None:
    """What was measured so far; None: nothing. Raises Misuse for a file that is broken, CannotRun."""
    content = disk.read(path(state))
    if content is None:
        return None
    try:
        document = json.loads(content)
        if document.pop("version") != VERSION:
            raise ValueError
        return Record.of(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Misuse(f"{path(state)} is no record of stalls of this lbkit. Remove it, and measure anew.") from None


def measure(
    duration: float, state: Path | None = None, progress: Callable[[Record, float], None] = lambda record, left: None
) -> Record:
    """Measure for so many seconds, on top of what was measured before; Ctrl-C ends it earlier.

    The record is kept every ten seconds, and at the end: whatever stops it, no more is lost. `progress` is told each second
    what is known, and how many seconds are left. Raises CannotRun where it can't be kept, or another one measures.
    """
    try:
        path(state).parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise _not_kept(state, e) from None
    with disk.locked(path(state).with_name("stalls.lock"), 0.0):
        now = time.time()
        watch = _Watch(read(state) or Record(socket.gethostname(), now, now))
        deadline = saved = _clock()
        deadline += duration
        try:
            while (left := deadline - _clock()) > 0:
                watch.a_second(min(1.0, left))
                progress(watch.record, left)
                if _clock() - saved >= _SAVED_EVERY:
                    _save(watch.record, state)
                    saved = _clock()
        except KeyboardInterrupt:
            pass
        _save(watch.record, state)
        return watch.record


class _Watch:
    """`record`: what is known by now."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._stolen = _stolen()

    def a_second(self, duration: float) -> None:
        """Sleep in small pieces for so many seconds, and note what came late."""
        began = last = _clock()
        ahead = time.time() - last
        while last - began < duration:
            time.sleep(EVERY)
            now, wall = _clock(), time.time()
            late = now - last - EVERY
            if late > _LEVELS[0]:
                self.record = self.record.with_stall(Stall(round(late, 4), round(wall, 3)))
            if wall - now - ahead > _STEP:
                self.record = self.record.with_step(Stall(round(wall - now - ahead, 4), round(wall, 3)))
            last, ahead = now, wall - now
        before, self._stolen = self._stolen, _stolen()
        stolen, took = max(0.0, self._stolen - before), last - began
        self.record = replace(
            self.record,
            ended=round(time.time(), 3),
            measured=round(self.record.measured + took, 3),
            stolen=round(self.record.stolen + stolen, 2),
            stolen_most=max(self.record.stolen_most, round(stolen / took / (os.cpu_count() or 1), 3)),
        )


def _clock() -> float:
    """As time.monotonic, and it goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _stolen() -> float:
    """Seconds that the hypervisor gave to others, of all processors (proc(5): steal)."""
    try:
        words = Path("/proc/stat").read_text().partition("\n")[0].split()
        return int(words[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def _save(record: Record, state: Path | None) -> None:
    try:
        disk.write(path(state), json.dumps({"version": VERSION, **record.as_dict()}).encode() + b"\n", 0o644)
    except OSError as e:
        raise _not_kept(state, e) from None


def _not_kept(state: Path | None, error: OSError) -> CannotRun:
    return CannotRun(
        f"{path(state)} can't be written: {error.strerror}. "
        + disk.way_out(error, "Run this as root, or give a folder of your own (LBKIT_STATE).")
    )
