"""The client of IPVS against the kernel: every operation, and every way in which it is refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from system.ipvs.spaces import V4, V6, ipvsadm, kernel, seen, space, write
from system.namespaces import Namespace, namespaces

from lbkit.errors import AlreadyThere, EngineError, NotThere
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Daemon, Destination, Marked, Service, Statistics, Timeouts, Virtual

__all__ = ["ipvsadm", "kernel", "space"]

MARK = Marked(7)
NEW, THERE = Destination("192.0.2.12", 104), Destination("192.0.2.11", 104)
REFUSALS = [
    (lambda k: k.add_service(Service(V4)), AlreadyThere, "IPVS has a service 192.0.2.10:104/tcp already. Change it"),
    (lambda k: k.add_service(Service(V6, "nope")), NotThere, "no scheduler nope. As root: modprobe ip_vs_nope"),
    (lambda k: k.change_service(Service(V4, "nope")), NotThere, "no scheduler nope. As root: modprobe ip_vs_nope"),
    (lambda k: k.change_service(Service(V6)), NotThere, "IPVS has no service [2001:db8::10]:104/tcp"),
    (lambda k: k.remove_service(MARK), NotThere, "IPVS has no service mark 7 (ipv4)"),
    (lambda k: k.zero(V6), NotThere, "IPVS has no service [2001:db8::10]:104/tcp"),
    (lambda k: k.add(V4, THERE), AlreadyThere, "192.0.2.10:104/tcp has a destination 192.0.2.11:104 already"),
    (lambda k: k.add(MARK, NEW), NotThere, "IPVS has no service mark 7 (ipv4)"),
    (lambda k: k.change(V4, NEW), NotThere, "192.0.2.10:104/tcp has no destination 192.0.2.12:104"),
    (lambda k: k.change(MARK, NEW), NotThere, "IPVS has no service mark 7 (ipv4)"),
    (lambda k: k.remove(V4, *NEW.place), NotThere, "192.0.2.10:104/tcp has no destination 192.0.2.12:104"),
    (lambda k: k.remove(V6, *NEW.place), NotThere, "IPVS has no service [2001:db8::10]:104/tcp"),
    (lambda k: k.add(V4, Destination("224.0.0.1", 104)), EngineError, "takes no destination 224.0.0.1:104"),
    (lambda k: k.stop_daemon("backup"), NotThere, "IPVS has no backup sync daemon"),
    (lambda k: k.start_daemon(Daemon("master", "nope0")), NotThere, "no interface nope0 for the master sync daemon"),
]  # fmt: skip


def test_each_refusal_names_the_entry_and_what_to_do_and_changes_nothing(kernel):
    table = {V4: (Service(V4, "rr", 60), {THERE.place: THERE})}
    write(kernel, table)
    for ask, kind, says in REFUSALS:
        with pytest.raises(EngineError) as raised:
            ask(kernel)
        assert (type(raised.value), says in str(raised.value)) == (kind, True), str(raised.value)
        assert seen(kernel) == table


def test_zero_clears_one_service_or_all_and_flush_removes_all(space, kernel):
    space.run("ip addr add 192.0.2.10/32 dev lo", "ip addr add 192.0.2.11/32 dev lo")
    other = Virtual("192.0.2.10", 105)
    for key in (V4, other):
        to = Destination("192.0.2.11", key.port, forwarding="masquerade")
        write(kernel, {key: (Service(key), {to.place: to})})
        with space.inside(), _accepting(to.place):
            socket.create_connection((key.address, key.port), timeout=5).close()
    deadline = time.monotonic() + 10
    while _connections(kernel) != {V4: [1, 1], other: [1, 1]}:  # counted every 2 seconds
        assert time.monotonic() < deadline, _connections(kernel)
        time.sleep(0.05)
    kernel.zero(V4)
    assert _connections(kernel) == {V4: [0, 0], other: [1, 1]}
    kernel.zero()
    assert _connections(kernel) == {V4: [0, 0], other: [0, 0]}
    kernel.flush()
    assert kernel.services() == {}


def _connections(kernel: Kernel) -> dict[Virtual, list[int]]:
    return {
        key: [one.statistics.connections, *(to.statistics.connections for to in one.destinations.values())]
        for key, one in kernel.services().items()
    }


@pytest.fixture
def open_connection(space: Namespace, kernel: Kernel) -> Iterator[socket.socket]:
    """Through V4, where clients are kept, to its only destination; 1000 bytes have gone there."""
    space.run("ip addr add 192.0.2.10/32 dev lo", "ip addr add 192.0.2.11/32 dev lo")
    to = Destination("192.0.2.11", 104, forwarding="masquerade")
    write(kernel, {V4: (Service(V4, persistence=60), {to.place: to})})
    with space.inside(), _accepting(to.place), socket.create_connection((V4.address, V4.port), timeout=5) as connection:
        connection.sendall(b"x" * 1000)
        yield connection


@contextmanager
def _accepting(place: tuple[str, int]) -> Iterator[None]:
    """A server that reads until its clients have ended, one after the other."""
    listening = socket.create_server(place)

    def serve() -> None:
        with suppress(OSError):  # shut down
            while True:
                with listening.accept()[0] as accepted:
                    while accepted.recv(4096):
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listening.close()


def test_counts_and_statistics_of_an_open_connection_are_those_that_ipvsadm_shows(open_connection, kernel, ipvsadm):
    (to,) = kernel.services()[V4].destinations.values()
    assert (to.active, to.inactive, to.persistent) == (1, 0, 1)
    deadline = time.monotonic() + 10
    while (counted := kernel.services()[V4]).statistics.bytes_in < 1000:
        assert time.monotonic() < deadline, counted
        time.sleep(0.05)
    (to,) = counted.destinations.values()
    shown = ipvsadm("-ln", "--stats", "--exact").splitlines()[-2:]
    for statistics, line in zip((counted.statistics, to.statistics), shown, strict=True):
        five = [int(word) for word in line.split()[2:]]
        assert statistics == Statistics(
            *five, **{name: getattr(statistics, name) for name in Statistics.__slots__ if name.endswith("_rate")}
        )
        assert five[0] == 1
        assert five[3] > 1000
    assert counted.statistics.bytes_in_rate > counted.statistics.bytes_out_rate > 0


def test_timeouts_and_version_are_those_of_ipvsadm(kernel, ipvsadm):
    assert "TCP FIN UDP): 900 120 300" in ipvsadm("-l", "--timeout").replace("tcp tcpfin udp", "TCP FIN UDP")
    assert kernel.timeouts() == Timeouts(900, 120, 300)
    kernel.set_timeouts(Timeouts(901, 121, 301))
    assert "901 121 301" in ipvsadm("-l", "--timeout")
    ipvsadm("--set", "902", "122", "302")
    assert kernel.timeouts() == Timeouts(902, 122, 302)
    assert f"version {'.'.join(map(str, kernel.version()))} " in ipvsadm("-ln")


def test_sync_daemons_start_and_stop(space, kernel, ipvsadm):
    space.run("ip link add sync0 type dummy", "ip link set sync0 up", "ip link set sync0 multicast on")
    master, backup = Daemon("master", "sync0", 7), Daemon("backup", "sync0", 9)
    try:
        kernel.start_daemon(master)
        assert kernel.daemons() == [master]
        with pytest.raises(AlreadyThere, match="IPVS has a master sync daemon already"):
            kernel.start_daemon(Daemon("master", "sync0"))
        kernel.start_daemon(backup)
        assert kernel.daemons() == [master, backup]
        shown = ipvsadm("-l", "--daemon")
        assert "master sync daemon (mcast=sync0, syncid=7" in shown
        assert "backup sync daemon (mcast=sync0, syncid=9" in shown
        with pytest.raises(EngineError, match="of the other address family while a sync daemon runs"):
            write(kernel, {V4: (Service(V4), {("", 0): Destination("2001:db8::11", 104, forwarding="tunnel")})})
    finally:
        for role in ("master", "backup"):
            with suppress(NotThere):
                kernel.stop_daemon(role)
    assert kernel.daemons() == []


def test_no_sync_daemon_starts_while_a_destination_is_of_the_other_family(space, kernel):
    space.run("ip link add sync0 type dummy", "ip link set sync0 up")
    write(kernel, {V4: (Service(V4), {("", 0): Destination("2001:db8::11", 104, forwarding="tunnel")})})
    with pytest.raises(EngineError, match="Remove that destination first"):
        kernel.start_daemon(Daemon("backup", "sync0"))


def test_a_table_of_many_parts_is_read_whole(kernel):
    many = {(f"10.0.{number >> 8}.{number & 255}", 104): number for number in range(1, 401)}  # 160 KB of answers
    write(kernel, {V4: (Service(V4), {place: Destination(*place, weight) for place, weight in many.items()})})
    for port in range(1, 201):
        kernel.add_service(Service(Virtual("192.0.2.20", port)))
    found = kernel.services()
    assert {place: to.destination.weight for place, to in found[V4].destinations.items()} == many
    assert len(found) == 201


def test_each_namespace_has_a_table_of_its_own_and_the_thread_stays_where_it_was():
    with namespaces(2) as (one, other), Kernel(one.file) as kernel, Kernel(other.file) as second:
        before = os.readlink("/proc/thread-self/ns/net")
        kernel.add_service(Service(V4))
        assert (list(kernel.services()), second.services()) == ([V4], {})
        assert os.readlink("/proc/thread-self/ns/net") == before
        with one.inside(), Kernel() as third:
            assert list(third.services()) == [V4]


def test_a_namespace_that_is_none_is_said(tmp_path):
    with pytest.raises(NotThere, match=r"namespace .*/nowhere can't be opened: No such file"):
        Kernel(str(tmp_path / "nowhere")).version()
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"namespace .*/file can't be entered: Invalid argument"):
        Kernel(str(tmp_path / "file")).version()


UNPRIVILEGED = """
import os
from lbkit.errors import NotAllowed
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Service, Virtual
os.setgid(65534)
os.setuid(65534)
for ask in (Kernel.services, Kernel.version, lambda kernel: kernel.add_service(Service(Virtual("192.0.2.1", 1)))):
    try:
        ask(Kernel())
    except NotAllowed as error:
        print(error)
"""


def test_without_the_right_to_it_the_kernel_is_neither_read_nor_changed_and_the_error_says_so():
    ran = subprocess.run([sys.executable, "-c", UNPRIVILEGED], capture_output=True, text=True, timeout=30, check=False)
    said = ran.stdout.splitlines()
    assert len(said) == 3, ran.stderr
    assert all(line.endswith("Run as root, or with CAP_NET_ADMIN.") for line in said), said


def test_it_is_opened_again_after_close_and_leaves_no_file_open(space):
    before = len(os.listdir("/proc/self/fd"))
    with Kernel(space.file) as kernel:
        kernel.add_service(Service(V4))
        kernel.close()
        assert list(kernel.services()) == [V4]
    with pytest.raises(NotThere):
        Kernel(f"{space.file}/no").services()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_table_that_changes_while_it_is_read_is_read_without_an_error(space, kernel):
    """Each entry is as it was before or after a change."""
    write(kernel, {V4: (Service(V4), {})})
    stop = threading.Event()

    def change() -> None:
        with Kernel(space.file) as other:
            while not stop.is_set():
                for number in range(1, 60):
                    other.add(V4, Destination(f"192.0.2.{number}", 104, number))
                for number in range(1, 60):
                    other.remove(V4, f"192.0.2.{number}", 104)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            for (address, _), to in kernel.services()[V4].destinations.items():
                assert to.destination.weight == int(address.rpartition(".")[2])
    finally:
        stop.set()
        thread.join()
