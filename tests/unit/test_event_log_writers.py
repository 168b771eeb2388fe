"""Who writes into the log of events at once, dies there, finds no room or has no right: nothing else is lost or mixed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from unit.cut_short import killed_at_line
from unit.test_event_log import events, numbered, segments, texts
from unit.test_intents import _HOLD, as_nobody

from lbkit.errors import CannotRun
from lbkit.state import log as module
from lbkit.state.events import Event
from lbkit.state.log import BEGIN, EventLog, record

__all__ = ["as_nobody", "events"]


_RECORD = """
import sys
from pathlib import Path
from lbkit.state import log
from lbkit.state.events import Event
log.SEGMENT = 20_000
log._WAITS = 60
for n in range(100):
    a, b = (Event("test", f"{sys.argv[2]} {n} {which}", why="x" * n) for which in "ab")
    assert log.record(a, b, state=Path(sys.argv[1]))
"""


def test_several_processes_at_once_lose_nothing_and_mix_nothing(events, caplog):
    command = [sys.executable, "-c", _RECORD, str(events.folder.parent)]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    place, seen = BEGIN, []
    while any(writer.poll() is None for writer in writers):
        read = events.read(place)
        place, seen = read.end, [*seen, *texts(read)]
    seen += texts(events.read(place))
    assert [writer.returncode for writer in writers] == [0] * 4
    assert caplog.messages == []
    for number in range(4):
        own = [text for text in seen if text.startswith(f"{number} ")]
        assert own == [f"{number} {n} {which}" for n in range(100) for which in "ab"]
    assert len(seen) == 800
    assert len(segments(events)) > 3


def test_who_dies_at_any_line_takes_no_other_event_along(events):
    outcomes = []
    for number in range(1, 500):
        if not killed_at_line(number, ("disk.py", "state/log.py"), lambda: events.append(numbered(number))):  # noqa: B023
            break
        outcomes.append(str(number) in [one.text for one in events.all()])
        events.append(numbered(-number))
        assert [one.text for one in events.all()][-1] == str(-number)
    assert {True, False} <= set(outcomes)
    assert outcomes == sorted(outcomes)
    kept = [one.text for one in events.all()]
    assert [text for text in kept if text.startswith("-")] == [str(-n) for n in range(1, len(outcomes) + 1)]


def test_who_dies_as_a_segment_begins_leaves_none_that_others_may_not_write(events, monkeypatch):
    events.append(numbered(1))
    monkeypatch.setattr(module, "SEGMENT", 1)
    for number in range(1, 500):
        ended = not killed_at_line(number, ("disk.py", "state/log.py"), lambda: events.append(numbered(1)))
        assert {stat.S_IMODE(path.stat().st_mode) for path in events.folder.glob("*.jsonl")} == {0o660}
        if ended:
            break
    assert number > 50
    assert len(segments(events)) < 20


def test_who_holds_the_lock_too_long_is_named_and_the_event_goes_to_the_process_log(events, monkeypatch, caplog):
    events.append(numbered(1))
    monkeypatch.setattr(module, "_WAITS", 0.1)
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(events.folder / ".lock")], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        assert not record(Event("test", "in vain"), state=events.folder.parent)
    finally:
        holder.kill()
        holder.communicate()
    assert "not in the log of events: in vain (another lbkit has held" in caplog.text
    assert [one.text for one in events.all()] == ["1"]


# --- no room, no right ---

_FULL = """
import resource, sys
from pathlib import Path
from lbkit.state.events import Event
from lbkit.state.log import record
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
print(record(Event("test", "fits"), Event("test", "x" * 2000), Event("test", "later"), state=Path(sys.argv[1])))
"""


@pytest.mark.parametrize(("room", "kept"), [(1, []), (1000, []), (1 << 20, ["fits", "x" * 2000, "later"])])
def test_where_no_room_is_left_none_of_them_is_there(events, room, kept):
    events.append(numbered(1))
    path = events.folder / "00000001.jsonl"
    command = [sys.executable, "-c", _FULL, str(events.folder.parent), str(path.stat().st_size + room)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(bool(kept))
    assert ("not in the log of events: later (events can't be kept in" in ran.stderr) == (not kept)
    assert path.read_bytes().endswith(b"\n")
    events.append(numbered(2))
    assert [one.text for one in events.all()] == ["1", *kept, "2"]


def test_a_full_disk_is_named_with_what_to_do(events, monkeypatch):
    write = os.write
    events.append(numbered(1))
    before = (events.folder / "00000001.jsonl").read_bytes()
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(module.os, "write", lambda fd, data: write(fd if len(data) > 200 else full, data[:200]))
    with pytest.raises(CannotRun, match=r"No space left on device. Make room there"):
        events.append(numbered(2, 3, 4))
    monkeypatch.undo()
    os.close(full)
    assert (events.folder / "00000001.jsonl").read_bytes() == before


def test_what_the_disk_does_not_take_is_not_said_to_be_in_the_log(events, monkeypatch):
    """A power cut right after `record` has said yes is to take nothing along: the place of who read it is kept too."""

    def fails(fd):
        raise OSError(errno.EIO, "Input/output error")

    events.append(numbered(1))
    monkeypatch.setattr(module.os, "fdatasync", fails)
    assert not record(Event("test", "in vain"), state=events.folder.parent)
    monkeypatch.undo()
    assert [one.text for one in events.all()] == ["1"]


_READ_ONLY = """
import os, sys
from pathlib import Path
from lbkit.errors import CannotRun
from lbkit.state.events import Event
from lbkit.state.intents import Intent, Intents
from lbkit.state.log import EventLog, record
state, intent = Path(sys.argv[1]), Intent("WEB", "one", "drain")
with Intents(state).alone():
    Intents(state).record(intent)
record(Event("test", "a"), state=state)
os.system(f"mount -o remount,ro {state}")
with Intents(state).alone():
    print("alone")
try:
    Intents(state).record(intent)
except CannotRun as e:
    print(e)
print(record(Event("test", "b"), state=state), [one.text for one in EventLog(state).all()])
"""


def test_on_a_disk_that_the_kernel_has_made_read_only_verbs_get_as_far_as_they_can_and_say_so(tmp_path):
    unshare = [shutil.which("unshare") or "unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    own = [*unshare, "sh", "-c", f'mount -t tmpfs none {tmp_path} && exec "$@"', "sh"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip(reason="this machine lets nobody have mounts of his own (unshare --mount)")
    ran = subprocess.run(
        [*own, sys.executable, "-c", _READ_ONLY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    alone, refused, last = ran.stdout.splitlines()
    assert (alone, last) == ("alone", "False ['a']")
    assert refused.startswith(f"intents can't be kept in {tmp_path}: Read-only file system. ")
    assert "dmesg" in refused
    assert (
        f"not in the log of events: b (events can't be kept in {tmp_path}/events: Read-only file system" in ran.stderr
    )


@pytest.mark.usefixtures("as_nobody")
def test_a_folder_that_nobody_may_enter_is_said_in_the_process_log_and_raises_nothing(caplog):
    assert not record(Event("test", "a"), state=Path("/proc/1/root/lbkit"))  # root's, as /var/lib/lbkit is
    assert "not in the log of events: a (events can't be kept in" in caplog.text
    assert "Run this as root" in caplog.text
    with pytest.raises(CannotRun, match="Permission denied"):
        list(EventLog(Path("/proc/1/root/lbkit")).all())


def test_a_folder_that_is_a_file_raises_nothing(tmp_path, caplog):
    (tmp_path / "state").write_text("")
    assert not record(Event("test", "a"), state=tmp_path / "state")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "events").write_text("")
    assert not record(Event("test", "a"), state=tmp_path / "other")
    assert len(caplog.messages) == 2


def test_a_symbolic_link_in_the_place_of_a_segment_is_not_followed(events, tmp_path, caplog):
    events.append(numbered(1))
    (events.folder / "00000001.jsonl").unlink()
    (tmp_path / "shadow").write_text("")
    (events.folder / "00000001.jsonl").symlink_to(tmp_path / "shadow")
    assert not record(Event("test", "a"), state=events.folder.parent)
    assert (tmp_path / "shadow").read_text() == ""
