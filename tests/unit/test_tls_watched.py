"""A value read from files, and read again when they change."""

import os
from pathlib import Path

import pytest

from lbkit.errors import Misuse
from lbkit.tls import files
from lbkit.tls.watched import Watched


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    return path


@pytest.fixture
def watched(file):
    """The file's content; `reads` counts."""
    reads = []

    def read():
        reads.append(file)
        return files.read(str(file))

    found = Watched(read, [str(file)])
    return found, reads


def test_what_does_not_change_is_read_once(watched):
    found, reads = watched
    assert [found.get(), found.get(), found.error, len(reads)] == [b"one", b"one", None, 1]


def rewritten(file):
    file.write_text("two")


def replaced(file):
    """As careful programs do it: with the same size and time."""
    new = file.with_name("new")
    new.write_text("two")
    was = file.stat()
    os.utime(new, ns=(was.st_atime_ns, was.st_mtime_ns))
    new.replace(file)


def rewritten_with_its_time_kept(file):
    was = file.stat()
    file.write_text("two")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("change", [rewritten, replaced, rewritten_with_its_time_kept])
def test_a_file_that_changes_is_read_again(watched, file, change):
    found, reads = watched
    change(file)
    assert [found.get(), found.get(), len(reads)] == [b"two", b"two", 2]


def test_a_symlink_that_is_turned_to_another_file_is_a_change(tmp_path, file):
    """As with certbot's `live/` and Kubernetes' `..data`."""
    link, other = tmp_path / "link", tmp_path / "other"
    other.write_text("two")
    link.symlink_to(file)
    found = Watched(lambda: files.read(str(link)), [str(link)])
    assert found.get() == b"one"
    new = tmp_path / "new"
    new.symlink_to(other)
    new.replace(link)
    assert found.get() == b"two"


def test_any_of_several_files_counts(tmp_path, file):
    other = tmp_path / "other"
    other.write_text("a")
    found = Watched(lambda: files.read(str(file)) + files.read(str(other)), [str(file), str(other)])
    other.write_text("bb")
    assert found.get() == b"onebb"


@pytest.mark.parametrize("break_it", [Path.unlink, lambda file: file.write_text("")])
def test_the_last_good_value_stays_while_the_new_one_cannot_be_read_and_the_error_is_seen(watched, file, break_it):
    found, _ = watched
    break_it(file)
    assert found.get() == b"one"
    assert str(file) in str(found.error)
    assert found.get() == b"one"
    file.write_text("three")
    assert [found.get(), found.error] == [b"three", None]


def test_the_first_value_must_be_good(tmp_path):
    with pytest.raises(Misuse, match="No such file"):
        Watched(lambda: files.read(str(tmp_path / "nowhere")), [str(tmp_path / "nowhere")])


def test_a_change_while_it_is_read_is_seen_by_the_next(file):
    def read():
        content = files.read(str(file))
        file.write_text("two!")
        return content

    found = Watched(read, [str(file)])
    assert found.get() == b"two!"
