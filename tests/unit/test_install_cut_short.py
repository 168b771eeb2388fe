import gc
import stat
import subprocess
import sys
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.cut_short import at_line, interrupted_at_line, killed_at_line
from unit.machine import Engine, a_machine

from lbkit.errors import EngineError, RolledBack
from lbkit.install.manifest import Manifest

OURS = ("disk.py", "install/ritual.py", "install/replacement.py")


@pytest.fixture
def machine():
    with a_machine() as one:
        yield one


NAMES = ["a", "b", "folder/c", "folder/d", "link"]
FILES = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.binary(max_size=30) | st.text(max_size=30), st.sampled_from([0o644, 0o600, 0o755]), st.booleans()),
)


@settings(deadline=None)
@given(
    foreign=st.dictionaries(st.sampled_from(["a", "b", "real"]), st.binary(max_size=30)),
    first=FILES,
    second=FILES,
    failing=st.sampled_from([None, "check", "activate", "verify"]),
)
def test_any_files_come_into_force_or_all_is_as_it_was(foreign, first, second, failing):
    with a_machine() as machine:
        for name, content in foreign.items():
            machine.put(name, content)
        machine.path("link").symlink_to("real")
        machine.install(*(machine.file(name, *rest) for name, rest in first.items()))
        before = machine.all()
        made = Manifest.read(machine.manifest).digests
        files = [machine.file(name, *rest) for name, rest in second.items()]
        expected = machine.changes(*files)
        engine = Engine(**({failing: [EngineError("no.")]} if failing else {}))
        if failing and expected:
            with pytest.raises(EngineError if failing == "check" else RolledBack):
                machine.install(*files, engine=engine)
            assert machine.all() == before
            assert machine.changes(*files) == expected
        assert machine.install(*files) == expected
        for file in files:
            assert (file.path.read_bytes(), stat.S_IMODE(file.path.stat().st_mode)) == (file.content, file.mode)
        for name in first.keys() - second.keys():
            assert machine.path(name) not in made or not machine.path(name).exists()
        assert machine.changes(*files) == ()
        assert not [name for name in machine.all() if ".lbkit-" in name]


def test_the_last_file_is_written_last_and_what_goes_goes_after_it(machine):
    machine.install(machine.file("gone", "g"), machine.file("cfg", "1"))
    seen = []

    def look():
        now = {name: entry[3] for name, entry in machine.all().items() if not name.startswith("etc/.")}
        now = (now.get("etc/map"), now["etc/cfg"], now.get("etc/gone"))
        if not seen or seen[-1] != now:
            seen.append(now)

    for number in range(1, 400):
        with at_line(number, OURS, look):
            machine.install(machine.file("map", "m"), machine.file("cfg", "2"))
        machine.install(machine.file("gone", "g"), machine.file("cfg", "1"))
    assert seen == [(None, b"1", b"g"), (b"m", b"1", b"g"), (b"m", b"2", b"g"), (b"m", b"2", None)]


def test_the_new_content_of_a_secret_is_never_in_a_file_that_others_read(machine):
    machine.put("key", "old", 0o600)
    seen = set()

    def look():
        for path in machine.path("").iterdir():
            if path.is_file() and path.read_bytes() == b"new-secret":
                seen.add((path.name, stat.S_IMODE(path.stat().st_mode)))

    for number in range(1, 300):
        with at_line(number, OURS, look):
            machine.install(machine.file("key", "new-secret", 0o600, secret=True))
        machine.install(machine.file("key", "old", 0o600, secret=True))
    assert seen == {(".key.lbkit-new", 0o600), ("key", 0o600)}


def scene(machine):
    """One of each: what lbkit made and keeps, changes and removes, what it did not make, what is new, a link."""
    machine.put("foreign", "f")
    machine.put("real", "r", 0o640)
    machine.path("link").symlink_to("real")
    machine.install(machine.file("same", "s"), machine.file("cfg", "1"), machine.file("gone", "g", 0o600, True))
    return [
        machine.file("same", "s"),
        machine.file("foreign", "ours"),
        machine.file("link", "ours"),
        machine.file("folder/key", "k", 0o600, True),
        machine.file("cfg", "2"),
    ]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_line_leaves_all_of_the_old_or_all_of_the_new():
    rolled_back = whole = 0
    for number in range(1, 2000):
        with a_machine() as machine:
            files = scene(machine)
            before = machine.all()

            ended = interrupted_at_line(number, OURS, partial(machine.install, *files))
            if ended is None:
                break
            if isinstance(ended, RolledBack):
                rolled_back += 1
                assert machine.all() == before
            else:
                assert isinstance(ended, KeyboardInterrupt)
                whole += 1
                after = {name: entry for name, entry in machine.all().items() if ".lbkit-" not in name}
                assert after == before or machine.changes(*files) == ()
    gc.collect()  # an interrupt as `with` begins or ends leaves its file to the collector
    assert rolled_back > 100
    assert whole > 10


def test_a_crash_at_any_line_leaves_each_file_old_or_new_and_the_next_run_ends_it():
    crashes = 0
    for number in range(1, 2000):
        with a_machine() as machine:
            files = scene(machine)
            before = machine.all()
            if not killed_at_line(number, OURS, partial(machine.install, *files)):
                break
            crashes += 1
            there = machine.all()
            for file in files:
                old = before.get(f"etc/{file.path.name}", (None,))[3:] or (None,)
                now = file.path.read_bytes() if file.path.exists() else None
                before_it = b"r" if file.path.name == "link" else old[0]
                assert now in (before_it, file.content)
            differs = machine.changes(*files)
            manifest = Manifest.read(machine.manifest)
            assert manifest.finished is False or len(differs) in (0, 5)
            engine = Engine()
            machine.install(*files, engine=engine)
            done_before = manifest.finished and not differs
            assert engine.calls == ([] if done_before else ["check", "activate", "verify"])
            assert machine.changes(*files) == ()
            if not done_before:
                assert not [name for name in machine.all() if ".lbkit-" in name]
            assert machine.path("foreign.before-lbkit").read_text() == "f"
            assert there["etc/same"] == before["etc/same"]
    assert crashes > 100


def test_an_engine_that_takes_this_process_with_it_is_activated_again_the_next_time(machine):
    script = (
        "import os, sys; from pathlib import Path; from lbkit.install.files import File;"
        "from lbkit.install.ritual import install; nothing = lambda: None;"
        "install([File(Path(sys.argv[1]), b'2')], Path(sys.argv[2]), check=nothing,"
        " activate=lambda: os.kill(os.getpid(), 9), verify=nothing)"
    )
    machine.install(machine.file("cfg", "1"))
    subprocess.run([sys.executable, "-c", script, str(machine.path("cfg")), str(machine.manifest)], check=False)
    assert machine.path("cfg").read_text() == "2"
    assert Manifest.read(machine.manifest).finished is False
    engine = Engine()
    assert machine.install(machine.file("cfg", "2"), engine=engine) == ()
    assert engine.calls == ["check", "activate", "verify"]
    assert Manifest.read(machine.manifest).finished is True
