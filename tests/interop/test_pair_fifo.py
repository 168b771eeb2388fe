"""The notify FIFO, with real ones."""

import os
import select

import pytest

from lbkit.errors import CannotRun
from lbkit.pair.fifo import Fifo, Told, told

MASTER = 'INSTANCE "lbkit_51" MASTER 248\n'


@pytest.fixture
def fifo(tmp_path):
    made = Fifo(tmp_path / "vrrp" / "fifo")
    yield made
    made.close()


def keepalived(path):
    """As keepalived has it open: for both, so that it can write while nobody reads."""
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


@pytest.mark.parametrize(
    ("line", "what", "role"),
    [
        ("MASTER", "MASTER", "master"),
        ("BACKUP", "BACKUP", "backup"),
        ("FAULT", "FAULT", "fault"),
        ("STOP", "STOP", "unknown"),
        ("MASTER_PRIORITY", "MASTER_PRIORITY", None),
        ("BACKUP_PRIORITY", "BACKUP_PRIORITY", None),
        ("MASTER_RX_LOWER_PRI", "MASTER_RX_LOWER_PRI", None),
    ],
)
def test_a_line_says_what_became_of_an_instance(line, what, role):
    found = told(f'INSTANCE "lbkit_51" {line} 248')
    assert found == Told("lbkit_51", what, 248)
    assert found.role == role


@pytest.mark.parametrize(
    "line", ["", "MASTER", 'GROUP "g" MASTER 0', 'INSTANCE "a" master 1', 'INSTANCE "a" MASTER', "\0"]
)
def test_any_other_line_says_nothing(line):
    assert told(line) is None


def test_it_is_made_where_there_is_none_for_its_owner_alone(fifo, tmp_path):
    assert fifo.open()
    assert not fifo.open()
    assert (tmp_path / "vrrp" / "fifo").is_fifo()
    assert (tmp_path / "vrrp" / "fifo").stat().st_mode & 0o777 == 0o600
    assert fifo.read() == []


def test_what_was_told_while_nobody_read_is_read(fifo, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = keepalived(path)
    os.write(writer, b'INSTANCE "lbkit_51" BACKUP 245\n' + MASTER.encode())
    fifo = Fifo(path)
    fifo.open()
    assert [one.what for one in fifo.read()] == ["BACKUP", "MASTER"]
    fifo.close()
    os.close(writer)


def test_a_line_in_parts_is_read_when_it_is_whole(fifo, tmp_path):
    fifo.open()
    writer = keepalived(tmp_path / "vrrp" / "fifo")
    os.write(writer, MASTER[:20].encode())
    assert fifo.read() == []
    os.write(writer, MASTER[20:].encode() + MASTER[:5].encode())
    assert fifo.read() == [Told("lbkit_51", "MASTER", 248)]
    os.write(writer, MASTER[5:].encode())
    assert fifo.read() == [Told("lbkit_51", "MASTER", 248)]
    os.close(writer)


def test_a_line_without_end_is_dropped_and_the_next_one_is_read(fifo, tmp_path):
    fifo.open()
    writer = keepalived(tmp_path / "vrrp" / "fifo")
    os.write(writer, b"x" * 5000)
    assert fifo.read() == []
    os.write(writer, b"\n" + MASTER.encode())
    assert fifo.read() == [Told("lbkit_51", "MASTER", 248)]
    os.close(writer)


def test_a_keepalived_that_ends_is_no_end_of_it(fifo, tmp_path):
    fifo.open()
    writer = keepalived(tmp_path / "vrrp" / "fifo")
    os.close(writer)
    assert not select.select([fifo.fd], [], [], 0)[0]
    assert fifo.read() == []


def test_one_that_was_made_anew_is_opened_anew(fifo, tmp_path):
    fifo.open()
    path = tmp_path / "vrrp" / "fifo"
    path.unlink()
    os.mkfifo(path)
    writer = keepalived(path)
    os.write(writer, MASTER.encode())
    assert fifo.open()
    assert fifo.read() == [Told("lbkit_51", "MASTER", 248)]
    os.close(writer)


def test_what_is_no_fifo_is_refused_with_words(tmp_path):
    (tmp_path / "fifo").write_text("")
    fifo = Fifo(tmp_path / "fifo")
    with pytest.raises(CannotRun, match=r"fifo is no FIFO\. Remove it"):
        fifo.open()
    (tmp_path / "fifo").unlink()
    assert fifo.open()
    fifo.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRun, match="keepalived tells there"):
        Fifo(tmp_path / "file" / "fifo").open()
