"""IPVS's messages as bytes: what ipvsadm sends and the kernel answers, recorded; what can't be is refused."""

from __future__ import annotations

import errno
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.ipvs_tables import destinations, keys, parsed, services, tables

from lbkit.errors import EngineError, Misuse
from lbkit.ipvs import answers, ip_vs, netlink, requests, rules
from lbkit.ipvs.netlink import Answer
from lbkit.ipvs.table import Daemon, Destination, Marked, Service, Statistics, Timeouts, Virtual

RECORDED = Path(__file__).parent / "ipvs_messages"
TCP, UDP, MARK = Virtual("192.0.2.10", 104), Virtual("192.0.2.10", 514, "udp"), Marked(4000000000, "ipv6")
ONE_CONNECTION = Statistics(1, 3, 2, 1164, 112, bytes_in_rate=109, bytes_out_rate=10)

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the messages were recorded on a little-endian machine")


def lines(name: str) -> list[str]:
    return [line for line in (RECORDED / name).read_text().splitlines() if not line.startswith("#")]


SENT = {options: bytes.fromhex(sent) for options, sent in (line.split(" = ") for line in lines("requests.txt"))}


def datagrams(name: str) -> list[bytes]:
    return [bytes.fromhex(line.split()[1]) for line in lines("answers.txt") if line.split()[0] == name]


def answer(name: str) -> Answer:
    """The recorded answer, taken in."""
    found = datagrams(name)
    taken = Answer(struct.unpack_from("=I", found[0], 8)[0])
    for datagram in found:
        assert not taken.complete
        taken.take(datagram)
    assert taken.complete
    return taken


def trees(body: bytes, depth: int) -> dict[int, object]:
    """Attributes, of which those of the outer levels are made of others."""
    return {kind: trees(value, depth - 1) if depth else value for kind, value in netlink.attributes(body).items()}


@pytest.mark.parametrize(
    ("options", "command", "body", "depth"),
    [
        (
            "-A -u 192.0.2.10:104 -s sh -b sh-port -p 60 -M 255.255.255.0 -o", ip_vs.NEW_SERVICE,
            requests.service(Service(Virtual("192.0.2.10", 104, "udp"), "sh", 60, 24, True, 2)), 1,
        ),
        ("-E -f 7 -6 -s wlc -p 60 -M 64", ip_vs.SET_SERVICE, requests.service(Service(Marked(7, "ipv6"), "wlc", 60, 64)), 1),
        ("-A -f 7 -6 -s wlc -p 60 -M 64", ip_vs.NEW_SERVICE, requests.service(Service(Marked(7, "ipv6"), "wlc", 60, 64)), 1),
        ("-D -t [2001:db8::10]:104", ip_vs.DELETE_SERVICE, requests.key(Virtual("2001:db8::10", 104)), 1),
        (
            "-a -u 192.0.2.10:104 -r 192.0.2.11:1104 -m -w 3 -x 10 -y 5", ip_vs.NEW_DESTINATION,
            requests.destination(
                Virtual("192.0.2.10", 104, "udp"), Destination("192.0.2.11", 1104, 3, "masquerade", 10, 5)
            ), 1,
        ),
        (
            "-e -f 7 -6 -r [2001:db8::11]:104 -g -w 0", ip_vs.SET_DESTINATION,
            requests.destination(Marked(7, "ipv6"), Destination("2001:db8::11", 104, 0)), 1,
        ),
        (
            "-d -f 7 -6 -r [2001:db8::11]:104", ip_vs.DELETE_DESTINATION,
            requests.place(Marked(7, "ipv6"), "2001:db8::11", 104), 1,
        ),
        ("--set 901 121 301", ip_vs.SET_CONFIG, requests.timeouts(Timeouts(901, 121, 301)), 0),
        (
            "--start-daemon master --mcast-interface eth9 --syncid 7", ip_vs.NEW_DAEMON,
            requests.daemon(Daemon("master", "eth9", 7)), 1,
        ),
        ("--stop-daemon backup", ip_vs.DELETE_DAEMON, requests.role("backup"), 1),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)  # fmt: skip
def test_a_request_says_what_ipvsadm_says(options, command, body, depth):
    sent = SENT[options]
    ours = netlink.request(28, command, 1, body)[16:]
    assert ours[:2] == sent[:2]
    theirs = trees(sent[4:], depth)
    for kind, value in trees(ours[4:], depth).items():
        if isinstance(value, dict):
            assert {inner: theirs[kind][inner] for inner in value} == value  # what names an entry needs no more
            if command in (ip_vs.NEW_SERVICE, ip_vs.SET_SERVICE):
                assert theirs[kind].keys() == value.keys()
        else:
            assert theirs[kind] == value


def test_services_are_read():
    found = {seen.service.key: seen for seen in map(answers.service, answer("services").bodies)}
    assert [seen.service for seen in found.values()] == [
        Service(TCP, "wrr", 3600, 24),
        Service(UDP, "sh", one_packet=True, scheduler_flags=3),
        Service(MARK, "rr", 60, 64),
    ]
    assert [seen.statistics for seen in found.values()] == [ONE_CONNECTION, Statistics(), Statistics()]


@pytest.mark.parametrize(
    ("name", "expected", "counts"),
    [
        ("tcp", Destination("192.0.2.11", 104, 3, "masquerade", 10, 5), (1, 0, 1, ONE_CONNECTION)),
        ("udp", Destination("2001:db8::11", 514, 0, "tunnel"), (0, 0, 0, Statistics())),
        ("mark", Destination("2001:db8::12", 0, 7, "direct"), (0, 0, 0, Statistics())),
    ],
)
def test_destinations_are_read(name, expected, counts):
    (body,) = answer(f"destinations-{name}").bodies
    seen = answers.destination(body)
    assert (seen.destination, (seen.active, seen.inactive, seen.persistent, seen.statistics)) == (expected, counts)


def test_timeouts_version_and_daemons_are_read():
    assert [answers.timeouts(body) for body in answer("timeouts").bodies] == [Timeouts(900, 120, 300)]
    assert [answers.version(body) for body in answer("version").bodies] == [(1, 2, 1)]
    assert [answers.daemon(body) for body in answer("daemons").bodies] == [
        Daemon("master", "eth9", 7),
        Daemon("backup", "eth9", 9),
    ]
    assert answer("no-daemons").bodies == []


@pytest.mark.parametrize(("name", "error"), [("done", 0), ("exists", errno.EEXIST), ("no-family", errno.ENOENT)])
def test_an_acknowledgement_ends_an_answer_and_tells_the_error(name, error):
    taken = answer(name)
    assert (taken.complete, taken.error, taken.bodies) == (True, error, [])


def test_a_dump_may_end_with_an_error():
    taken = Answer(7)
    taken.take(struct.pack("=IHHIIi", 20, 3, 2, 7, 0, -errno.EMSGSIZE))
    assert (taken.complete, taken.error) == (True, errno.EMSGSIZE)


def test_messages_of_another_request_are_passed_over():
    first, last = datagrams("timeouts")
    sequence = struct.unpack_from("=I", first, 8)[0]
    taken = Answer(sequence + 1)
    taken.take(first + last)
    assert (taken.complete, taken.bodies) == (False, [])


def test_what_follows_the_end_is_passed_over():
    first, last = datagrams("timeouts")
    taken = Answer(struct.unpack_from("=I", first, 8)[0])
    taken.take(last + first)
    assert (taken.complete, taken.bodies) == (True, [])


def test_a_dump_that_was_interrupted_says_so():
    (first, last) = datagrams("services")
    marked = first[:6] + struct.pack("=H", 2 | 0x10) + first[8:]
    taken = Answer(struct.unpack_from("=I", first, 8)[0])
    taken.take(marked)
    taken.take(last)
    assert taken.complete
    assert taken.interrupted
    assert not answer("services").interrupted


@pytest.mark.parametrize("name", ["services", "destinations-tcp", "timeouts", "version", "daemons", "exists"])
def test_a_datagram_that_was_cut_short_is_an_error_or_ends_between_two_messages(name):
    (first, *_) = datagrams(name)
    sequence = struct.unpack_from("=I", first, 8)[0]
    ends = {0}
    while (at := max(ends)) < len(first):
        ends.add(at + struct.unpack_from("=I", first, at)[0])
    for length in range(len(first)):
        if length in ends:
            Answer(sequence).take(first[:length])
        else:
            with pytest.raises(EngineError, match="can't be read"):
                Answer(sequence).take(first[:length])


READERS = {
    "services": answers.service, "destinations-tcp": answers.destination, "timeouts": answers.timeouts,
    "version": answers.version, "daemons": answers.daemon,
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_message_without_one_of_its_attributes_is_an_error_and_one_with_more_is_not(name):
    read, body = READERS[name], answer(name).bodies[0]
    unknown = netlink.attribute(99, b"later")
    assert read(body + unknown) == read(body)
    if name in ("timeouts", "version"):
        with pytest.raises(EngineError, match="is missing"):
            read(unknown)
        return
    ((kind, inner),) = netlink.attributes(body).items()
    fields = {field: netlink.attribute(field, value) for field, value in netlink.attributes(inner).items()}
    assert read(netlink.nested(kind, *fields.values(), unknown)) == read(body)
    missed = {
        field for field in fields if not _reads(read, netlink.nested(kind, *(fields[f] for f in fields if f != field)))
    }
    assert (
        missed
        == {  # but the statistics of 32 bits, the tunnel's kind, and what else a daemon has
            "services": {1, 2, 3, 4, 6, 7, 8, 9, 12},
            "destinations-tcp": {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12},
            "daemons": {1, 2, 3},
        }[name]
    )


def _reads(read, body: bytes) -> bool:
    try:
        read(body)
    except EngineError as error:
        return "is missing" not in str(error)
    return True


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (ip_vs.AF, b"\x07\0", "attribute 1 is 7"),
        (ip_vs.PROTOCOL, b"\x33\0", "attribute 2 is 51"),
        (ip_vs.ADDRESS, b"\x0a\0\0", "an ipv4 address of 3 bytes"),
        (ip_vs.SCHEDULER, b"a\x1bb\0", "attribute 6 is"),
        (ip_vs.SCHEDULER, b"\0", "attribute 6 is ''"),
        (ip_vs.TIMEOUT, b"\x0a\0", "attribute 8 has 2 bytes, not 4"),
        (ip_vs.SERVICE_STATISTICS, b"\x08\0\x01\0\0\0\0\0", "attribute 1 has 4 bytes, not 8"),
        (ip_vs.SERVICE_STATISTICS, b"\x09\0\x01", "3 bytes that are no attribute"),
        (ip_vs.SERVICE_STATISTICS, b"\x09\0\x01\0", "an attribute of 9 bytes where 4 are left"),
        (ip_vs.SERVICE_STATISTICS, b"\x03\0\x01\0", "an attribute of 3 bytes where 4 are left"),
    ],
)
def test_an_attribute_that_makes_no_sense_is_an_error(kind, value, says):
    fields = netlink.attributes(netlink.attributes(answer("services").bodies[0])[ip_vs.SERVICE])
    broken = netlink.nested(ip_vs.SERVICE, *(netlink.attribute(*field) for field in (fields | {kind: value}).items()))
    with pytest.raises(EngineError) as raised:
        answers.service(broken)
    assert says in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_prefix_longer_than_an_address_is_an_error():
    fields = netlink.attributes(netlink.attributes(answer("services").bodies[2])[ip_vs.SERVICE])
    fields[ip_vs.MASK] = struct.pack("=I", 129)
    with pytest.raises(EngineError, match="attribute 9 is 129"):
        answers.service(netlink.nested(ip_vs.SERVICE, *(netlink.attribute(*field) for field in fields.items())))


def test_a_mask_with_holes_counts_its_bits():
    fields = netlink.attributes(netlink.attributes(answer("services").bodies[0])[ip_vs.SERVICE])
    fields[ip_vs.MASK] = bytes((255, 0, 255, 0))
    body = netlink.nested(ip_vs.SERVICE, *(netlink.attribute(*field) for field in fields.items()))
    assert answers.service(body).service.prefix == 16


@given(services())
def test_a_service_that_is_asked_for_is_read_as_it_was(service):
    ((kind, inner),) = netlink.attributes(requests.service(service)).items()
    counted = netlink.nested(ip_vs.SERVICE_STATISTICS, *(netlink.attribute(at, bytes(8)) for at in range(1, 11)))
    assert answers.service(netlink.nested(kind, inner, counted)).service == service


@given(keys().flatmap(lambda key: st.tuples(st.just(key), destinations(key))))
def test_a_destination_that_is_asked_for_is_read_as_it_was(given_one):
    inner = netlink.attributes(requests.destination(*given_one))[ip_vs.DESTINATION]
    counted = netlink.nested(ip_vs.STATISTICS, *(netlink.attribute(at, bytes(8)) for at in range(1, 11)))
    counts = [netlink.attribute(at, bytes(4)) for at in (ip_vs.ACTIVE, ip_vs.INACTIVE, ip_vs.PERSISTENT)]
    assert answers.destination(netlink.nested(ip_vs.DESTINATION, inner, counted, *counts)).destination == given_one[1]


@given(tables())
def test_rules_say_all_of_a_table(table):
    found = parsed("\n".join(rules.lines((service, to.values()) for service, to in table.values())))
    assert found == table
    assert list(found) == list(table)


def test_rules_are_written_as_ipvsadm_writes_them():
    mapped = Virtual("::ffff:102:304", 104)
    assert rules.lines([
        (Service(TCP, "sh", 60, 24, scheduler_flags=3), [Destination("192.0.2.11", 1104, 0, "masquerade", 10, 5)]),
        (Service(mapped, "rr"), [Destination("192.0.2.11", 104, forwarding="tunnel")]),
        (Service(Marked(7, "ipv6"), one_packet=True), []),
    ]) == [
        "-A -t 192.0.2.10:104 -s sh -p 60 -M 255.255.255.0 -b sh-fallback,sh-port",
        "-a -t 192.0.2.10:104 -r 192.0.2.11:1104 -m -w 0 -x 10 -y 5",
        "-A -t [::ffff:1.2.3.4]:104 -s rr",
        "-a -t [::ffff:1.2.3.4]:104 -r 192.0.2.11:104 -i -w 1 --tun-type ipip",
        "-A -f 7 -6 -s wlc -o",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: requests.key(Virtual("server-1", 104)), "'server-1' is no address"),
        (lambda: requests.key(Virtual("fe80::1%eth0", 104)), "without a zone"),
        (lambda: requests.key(Virtual("192.0.2.10", 65536)), "the port of 192.0.2.10 is 65536. Give a number from 0"),
        (lambda: requests.key(Marked(0)), "the firewall mark is 0. Give a number from 1 to 4294967295"),
        (lambda: requests.service(Service(TCP, "")), "scheduler is ''"),
        (lambda: requests.service(Service(TCP, "a" * 16)), "1 to 15 plain characters"),
        (lambda: requests.service(Service(TCP, "w\0lc")), "192.0.2.10:104/tcp: scheduler"),
        (lambda: requests.service(Service(TCP, persistence=0)), "persistence is 0. Give a number from 1 to 2678400"),
        (lambda: requests.service(Service(TCP, prefix=24)), "needs persistence"),
        (lambda: requests.service(Service(TCP, persistence=9, prefix=32)), "prefix is 32. Give a number from 0 to 31"),
        (lambda: requests.service(Service(MARK, persistence=9, prefix=0)), "prefix is 0. Give a number from 1 to 127"),
        (lambda: requests.service(Service(TCP, one_packet=True)), "one_packet is for udp"),
        (lambda: requests.service(Service(TCP, scheduler_flags=8)), "scheduler_flags is 8"),
        (lambda: requests.destination(TCP, Destination("192.0.2.11", -1)), "the port of 192.0.2.11 is -1"),
        (lambda: requests.destination(TCP, Destination("192.0.2.11", 1, -1)), "192.0.2.11:1: weight is -1"),
        (lambda: requests.destination(TCP, Destination("192.0.2.11", 1, upper=2**31)), "upper is 2147483648"),
        (lambda: requests.destination(TCP, Destination("192.0.2.11", 1, lower=-1)), "lower is -1"),
        (lambda: requests.destination(TCP, Destination("192.0.2.11", 1, upper=1, lower=2)), "2 is above the upper 1"),
        (lambda: requests.destination(TCP, Destination("2001:db8::1", 1)), "[2001:db8::1]:1: from one address family"),
        (lambda: requests.place(TCP, "", 1), "'' is no address"),
        (lambda: requests.timeouts(Timeouts(1, 0, 1)), "the timeout tcp_fin is 0. Give a number from 1 to 2147483"),
        (lambda: requests.daemon(Daemon("master", "e" * 16)), "the interface of the master"),
        (lambda: requests.daemon(Daemon("backup", "eth0", 256)), "the sync id of the backup is 256"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_misuse(ask, says):
    with pytest.raises(Misuse) as raised:
        ask()
    assert says in str(raised.value)
