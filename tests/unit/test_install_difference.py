import json
import os
import stat
from pathlib import Path

import pytest
from unit.machine import a_machine

from lbkit import disk
from lbkit.errors import CannotRun, Misuse
from lbkit.install.files import File, stage
from lbkit.install.manifest import Manifest


@pytest.fixture
def machine():
    with a_machine() as one:
        yield one


def test_a_file_that_was_removed_by_hand_is_new_again(machine):
    machine.install(machine.file("a", "1"))
    machine.path("a").unlink()
    assert [change.kind for change in machine.changes(machine.file("a", "1"))] == ["new"]
    assert machine.changes() == ()


def test_a_change_by_hand_is_said(machine):
    machine.install(machine.file("a", "1\n"), machine.file("b", "2\n"))
    machine.put("a", "mine\n")
    machine.put("b", "mine\n")
    changed, removed = machine.changes(machine.file("a", "1\n"))
    assert changed.summary == f"{machine.path('a')}: changed, 1 line in, 1 out; changed by hand since lbkit wrote it"
    assert removed.summary == f"{machine.path('b')}: removed, 0 lines in, 1 out; changed by hand since lbkit wrote it"


def test_what_a_run_that_was_cut_short_left_is_not_called_a_change_by_hand(machine):
    machine.install(machine.file("a", "1"))
    begun = Manifest.read(machine.manifest).begun(Manifest.of([machine.file("a", "2")]))
    machine.manifest.write_bytes(begun.written())
    (change,) = machine.changes(machine.file("a", "2"))
    assert change.notes == ()


def test_a_mode_alone_is_a_change(machine):
    machine.install(machine.file("a", "1"))
    machine.path("a").chmod(0o666)
    (change,) = machine.install(machine.file("a", "1"))
    assert (change.kind, change.lines) == ("mode", ())
    assert change.summary == f"{machine.path('a')}: mode; mode 0666 becomes 0644"
    assert machine.all()["etc/a"][0] == "-rw-r--r--"


def test_the_difference_is_a_unified_one(machine):
    machine.put("a", "one\ntwo\n++ like a header\nend")
    (change,) = machine.changes(machine.file("a", "one\n2\n++ like a header\nend\n"))
    assert change.lines == (
        f"--- a{machine.path('a')}",
        f"+++ b{machine.path('a')}",
        "@@ -1,4 +1,4 @@",
        " one",
        "-two",
        "+2",
        " ++ like a header",
        "-end",
        "\\ No newline at end of file",
        "+end",
    )
    assert "changed, 2 lines in, 2 out" in change.summary


@pytest.mark.parametrize(("old", "new"), [(b"\xff\n", b"a\n"), (b"a\n", b"\xff\n"), (b"a\0\n", b"a\n")])
def test_binaries_have_no_lines(machine, old, new):
    machine.put("a", old)
    (change,) = machine.changes(machine.file("a", new))
    assert (change.kind, change.lines) == ("changed", ())


def test_secrets_are_never_shown_nor_guessable_from_the_manifest(machine):
    machine.put("key", "old-secret")
    ours = machine.file("key", "new-secret", 0o600, secret=True)
    told = repr(machine.install(ours)) + machine.manifest.read_text()
    open_now = machine.file("key", "no longer", 0o600)
    told += repr(machine.changes(open_now)) + repr(machine.changes()) + repr(ours)
    assert "secret'" not in told.replace("content is secret'", "")
    assert "-secret" not in told
    assert json.loads(machine.manifest.read_bytes())["files"] == {str(machine.path("key")): None}
    assert "its content is secret" in machine.changes(open_now)[0].summary


def test_a_key_that_was_there_is_not_shown_where_a_certificate_alone_is_wanted(machine):
    machine.put("web.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    (change,) = machine.changes(machine.file("web.pem", "certificate\n"))
    assert (change.lines, change.notes[0]) == ((), "its content is secret")
    machine.install(machine.file("web.pem", "certificate\n"))
    machine.put("web.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    (change,) = machine.changes()
    assert (change.kind, change.lines) == ("removed", ())


@pytest.mark.parametrize("path", ["relative/a", "/etc/../a", "/etc/a\0b"])
def test_a_path_that_cannot_be_is_misuse(path):
    with pytest.raises(Misuse, match="is no place for a file"):
        File(Path(path), b"")


def test_two_files_at_one_place_are_misuse(machine):
    machine.path("link").symlink_to("a")
    for other in ("a", "link"):
        with pytest.raises(Misuse, match="are one file"):
            machine.install(machine.file("a", "1"), machine.file(other, "2"))
    assert machine.all().keys() == {"etc", "etc/link"}


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_left_alone(machine, make):
    make(machine.path("a"))
    before = machine.all()
    with pytest.raises(Misuse, match="is there, and is no file"):
        machine.install(machine.file("a", "1"))
    assert machine.all() == before


def test_a_folder_that_is_a_file_is_one_clear_message(machine):
    machine.put("a", "1")
    with pytest.raises(CannotRun, match="can't be looked at: Not a directory"):
        machine.install(machine.file("a/b", "1"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no JSON"),
        ("[]", "is no manifest of version 1"),
        ('{"version": 2}', "a newer lbkit wrote"),
        ('{"version": 1, "finished": 1, "files": {}}', "is no manifest"),
        ('{"version": 1, "finished": true, "files": {"etc/a": null}}', "is no manifest"),
        ('{"version": 1, "finished": true, "files": {"/etc/../a": null}}', "is no manifest"),
        ('{"version": 1, "finished": true, "files": {"/etc/a": 7}}', "is no manifest"),
    ],
)
def test_a_broken_manifest_is_one_clear_message_and_nothing_changes(machine, content, says):
    machine.manifest.parent.mkdir()
    machine.manifest.write_text(content)
    before = machine.all()
    for deed in (machine.changes, machine.install):
        with pytest.raises(Misuse, match=says):
            deed(machine.file("a", "1"))
    assert machine.all() == before


def test_staged_files_lie_as_at_their_places_and_nobody_else_may_look(tmp_path):
    files = [File(Path("/etc/haproxy/haproxy.cfg"), b"cfg"), File(Path("/etc/lbkit/tls/key.pem"), b"key", 0o600, True)]
    folder = tmp_path / "staged"
    stage(files, Path("/etc"), folder)
    assert (folder / "haproxy/haproxy.cfg").read_bytes() == b"cfg"
    assert (folder / "lbkit/tls/key.pem").read_bytes() == b"key"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "lbkit/tls/key.pem")]
    assert modes == [0o700, 0o600]


def test_a_file_beyond_the_root_is_not_staged(tmp_path):
    with pytest.raises(Misuse, match=r"/var/a is not below /etc\. Give a root"):
        stage([File(Path("/var/a"), b"")], Path("/etc"), tmp_path / "staged")
    assert not (tmp_path / "staged").exists()


def test_where_nothing_can_be_staged_is_one_clear_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRun, match="can't be written"):
        stage([File(Path("/etc/a"), b"")], Path("/etc"), tmp_path / "file")


def test_an_endless_file_is_not_read(machine):
    with machine.path("a").open("wb") as file:
        file.truncate(disk.LIMIT + 1)
    with pytest.raises(Misuse, match="more than 64 MiB"):
        machine.changes(machine.file("a", "1"))
