import os
import resource
import stat
from dataclasses import replace

import pytest
from unit.machine import Engine, a_machine

from lbkit import disk
from lbkit.errors import CannotRun, EngineError, RolledBack
from lbkit.install.manifest import Manifest
from lbkit.install.ritual import install


@pytest.fixture
def machine():
    with a_machine() as one:
        yield one


def test_files_come_into_force_with_their_modes_and_the_engine_is_asked_in_order(machine):
    engine = Engine()
    found = machine.install(machine.file("a", "1"), machine.file("deep/er/key", "2", 0o600, secret=True), engine=engine)
    assert [(change.path, change.kind) for change in found] == [
        (machine.path("a"), "new"),
        (machine.path("deep/er/key"), "new"),
    ]
    assert engine.calls == ["check", "activate", "verify"]
    there = machine.all()
    assert there["etc/a"][::3] == ("-rw-r--r--", b"1")
    assert there["etc/deep/er/key"][::3] == ("-rw-------", b"2")
    assert there["etc/deep"][0] == "drwxr-xr-x"
    assert there["etc/deep/er"][0] == "drwx------"
    assert there["lib/installed.json"][0] == "-rw-r--r--"
    assert not [name for name in there if ".lbkit-" in name]


def test_the_umask_has_no_say_in_modes(machine):
    before = os.umask(0o077)
    try:
        machine.install(machine.file("folder/a", "1"))
    finally:
        os.umask(before)
    assert machine.all()["etc/folder/a"][0] == "-rw-r--r--"
    assert machine.all()["etc/folder"][0] == "drwxr-xr-x"


def test_nothing_is_written_and_the_engine_left_alone_where_nothing_changes(machine):
    files = machine.file("a", "1"), machine.file("key", "2", 0o600, secret=True)
    machine.install(*files)
    before = {path: path.stat() for path in machine.root.rglob("*")}
    engine = Engine()
    assert machine.changes(*files) == ()
    assert machine.install(*files, engine=engine) == ()
    assert engine.calls == []
    assert {path: path.stat() for path in machine.root.rglob("*")} == before


def test_what_the_engine_refuses_changes_nothing(machine):
    machine.put("cfg", "old")
    machine.install(machine.file("a", "1"))
    before = machine.all()
    engine = Engine(check=EngineError("line 3: unknown keyword 'bnid'."))
    with pytest.raises(EngineError, match="line 3: unknown keyword"):
        machine.install(machine.file("cfg", "new"), engine=engine)
    assert (engine.calls, machine.all()) == (["check"], before)


@pytest.mark.parametrize("step", ["activate", "verify"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EngineError("the new worker died. See its log."), "the new worker died. See its log. Rolled back: "),
        (RuntimeError("no full stop"), "RuntimeError: no full stop. Rolled back: "),
        (KeyboardInterrupt(), "Interrupted. Rolled back: "),
        (SystemExit(1), "SystemExit: 1. Rolled back: "),
    ],
)
def test_what_does_not_hold_is_put_back_and_activated_again(machine, step, error, words):
    machine.install(machine.file("a", "1"), machine.file("gone", "2"))
    before = machine.all()
    engine = Engine(**{step: [error]})
    with pytest.raises(RolledBack) as raised:
        machine.install(machine.file("a", "new", 0o600), machine.file("folder/b", "3"), engine=engine)
    assert str(raised.value).startswith(words)
    assert str(raised.value).endswith("the files are as they were before, and the engine runs with them again.")
    assert raised.value.__cause__ is error
    assert engine.calls == ["check", "activate", *(["verify"] if step == "verify" else []), "activate"]
    assert machine.all() == before
    assert machine.changes(machine.file("a", "1"), machine.file("gone", "2")) == ()


def test_putting_back_keeps_times_and_the_very_file(machine):
    machine.put("cfg", "admin's")
    os.utime(machine.path("cfg"), (1e9, 1e9))
    before = machine.path("cfg").stat()
    with pytest.raises(RolledBack):
        machine.install(machine.file("cfg", "ours"), engine=Engine(verify=EngineError("no.")))
    after = machine.path("cfg").stat()
    assert (after.st_ino, after.st_mtime, after.st_nlink) == (before.st_ino, before.st_mtime, 1)


def test_an_engine_that_does_not_take_the_old_files_again_is_said_plainly(machine):
    machine.install(machine.file("a", "1"))
    before = machine.all()
    engine = Engine(activate=[EngineError("died."), EngineError("died again.")])
    with pytest.raises(EngineError) as raised:
        machine.install(machine.file("a", "2"), engine=engine)
    assert str(raised.value) == (
        "died. The files are as they were before, but the engine did not take them again: died again. "
        "Which configuration it runs with is not certain: see its log, then reload it by hand."
    )
    assert machine.all() == before


def test_files_that_cannot_be_put_back_are_named_and_what_was_there_stays_beside(machine):
    machine.install(machine.file("a", "1"), machine.file("b", "1"))

    def spoil():
        machine.path("a").unlink()
        machine.path("a").mkdir()
        raise EngineError("no.")

    with pytest.raises(EngineError) as raised:
        install(
            [machine.file("a", "2"), machine.file("b", "2")],
            machine.manifest,
            check=lambda: None,
            activate=spoil,
            verify=lambda: None,
        )
    assert f"could not all be put back as they were: {machine.path('a')} (IsADirectoryError" in str(raised.value)
    assert machine.path(".a.lbkit-old").read_text() == "1"
    assert machine.path("b").read_text() == "1"


def test_a_disk_that_takes_no_more_is_noticed_before_anything_is_in_force(machine):
    machine.install(machine.file("a", "1"))
    before = machine.all()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    engine = Engine()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(RolledBack) as raised:
            machine.install(
                machine.file("a", "2"), machine.file("folder/big", "x" * 200_000, 0o600, True), engine=engine
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{machine.path('folder/big')} can't be written: File too large." in str(raised.value)
    assert str(raised.value).endswith("the files are as they were before; the engine was not touched.")
    assert (engine.calls, machine.all()) == (["check"], before)


def test_what_lbkit_has_not_made_is_kept_once_and_said(machine):
    machine.put("cfg", "the admin's\n", 0o640)
    (change,) = machine.install(machine.file("cfg", "ours\n"))
    assert change.summary == (
        f"{machine.path('cfg')}: changed, 1 line in, 1 out; not made by lbkit: cfg.before-lbkit keeps it; "
        "mode 0640 becomes 0644"
    )
    assert machine.all()["etc/cfg.before-lbkit"][::3] == ("-rw-r-----", b"the admin's\n")
    machine.install(machine.file("cfg", "ours 2\n"))
    machine.manifest.unlink()
    (change,) = machine.install(machine.file("cfg", "ours 3\n"))
    assert "not made by lbkit: cfg.before-lbkit is there already and stays" in change.summary
    assert machine.path("cfg.before-lbkit").read_text() == "the admin's\n"


def test_what_was_kept_goes_again_with_a_roll_back(machine):
    machine.put("cfg", "the admin's\n")
    before = machine.all()
    with pytest.raises(RolledBack):
        machine.install(machine.file("cfg", "ours\n"), engine=Engine(verify=EngineError("no.")))
    assert {name: entry for name, entry in machine.all().items() if name != "lib"} == before


def test_a_file_that_the_site_no_longer_has_is_removed(machine):
    machine.install(machine.file("a", "1\n"), machine.file("b", "2\n"))
    found = machine.install(machine.file("a", "1\n"))
    assert [(change.path, change.kind) for change in found] == [(machine.path("b"), "removed")]
    assert found[0].lines == (f"--- a{machine.path('b')}", "+++ /dev/null", "@@ -1 +0,0 @@", "-2")
    assert not machine.path("b").exists()
    assert list(Manifest.read(machine.manifest).digests) == [machine.path("a")]


def test_a_file_that_was_there_as_wanted_before_lbkit_came_is_not_lbkits_to_remove(machine):
    machine.put("a", "1")
    assert machine.install(machine.file("a", "1")) == ()
    assert machine.install() == ()
    assert machine.path("a").exists()


def test_a_file_that_others_use_too_stays_and_what_it_was_is_kept(machine):
    machine.put("ca", "theirs")
    shared = replace(machine.file("ca", "new"), shared=True)
    machine.install(machine.file("a", "1"), shared)
    assert [change.path for change in machine.install(machine.file("a", "2"))] == [machine.path("a")]
    assert machine.path("ca").read_text() == "new"
    assert machine.path("ca.before-lbkit").read_text() == "theirs"


def test_a_lock_that_is_a_link_is_not_followed(machine):
    machine.put("shadow", "secret", 0o600)
    machine.manifest.parent.mkdir()
    machine.manifest.with_name(f"{machine.manifest.name}.lock").symlink_to(machine.path("shadow"))
    with (
        pytest.raises(CannotRun, match="can't be opened"),
        disk.locked(machine.manifest.with_name(f"{machine.manifest.name}.lock"), 0.1, 0o666),
    ):
        pass
    assert machine.path("shadow").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_owner_stays_the_owner(machine):
    machine.put("a", "1", 0o640)
    os.chown(machine.path("a"), 1234, 4321)
    machine.install(machine.file("a", "2", 0o640))
    assert machine.all()["etc/a"] == ("-rw-r-----", 1234, 4321, b"2")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of somebody else")
def test_who_may_not_write_is_told_so_and_nothing_changes(machine):
    machine.install(machine.file("a", "1"))
    before = machine.all()
    machine.root.chmod(0o755)
    machine.manifest.with_name("installed.json.lock").chmod(0o644)
    os.seteuid(65534)
    try:
        with pytest.raises(RolledBack, match=r"can't be written: .* Check who may write there \(root\?\)"):
            machine.install(machine.file("a", "2"))
    finally:
        os.seteuid(0)
    assert machine.all() == before


def test_a_symbolic_link_is_written_through(machine):
    machine.put("real", "1")
    machine.path("link").symlink_to("real")
    machine.path("dangling").symlink_to("made")
    machine.install(machine.file("link", "2"), machine.file("dangling", "3"))
    there = machine.all()
    assert (there["etc/link"][3], there["etc/real"][3]) == ("real", b"2")
    assert (there["etc/dangling"][3], there["etc/made"][3]) == ("made", b"3")
    assert there["etc/real.before-lbkit"][3] == b"1"
    machine.install(machine.file("link", "2"))
    assert "etc/made" not in machine.all()


def test_two_installations_never_run_at_once(machine):
    engine = Engine()

    def second():
        with pytest.raises(CannotRun, match=r"another lbkit has held .*installed.json.lock for 0.1 s"):
            machine.install(machine.file("a", "2"), lock_timeout=0.1)

    install([machine.file("a", "1")], machine.manifest, **(engine.doors() | {"activate": second}))
    assert machine.path("a").read_text() == "1"


def test_others_cannot_hold_an_installation_up(machine):
    machine.install(machine.file("a", "1"))
    assert stat.S_IMODE(machine.manifest.with_name("installed.json.lock").stat().st_mode) == 0o600
