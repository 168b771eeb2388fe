"""The client of IPVS beside the two others that there are, ipvsadm and pyroute2: each reads what the other has written."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroute2 import IPVS, IPVSDest, IPVSService
from system.ipvs.spaces import V4, ipvsadm, kernel, seen, space, write
from unit.ipvs_tables import Table, destinations, keys, services, tables

from lbkit.ipvs import rules
from lbkit.ipvs.table import Destination, Marked, Service, Virtual

__all__ = ["ipvsadm", "kernel", "space"]

EXAMPLES = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def lines(table: Table) -> list[str]:
    return rules.lines((service, to.values()) for service, to in table.values())


def without_limits(line: str) -> str:
    """As `ipvsadm -Sn` prints it: thresholds are not in it."""
    return line.partition(" -x ")[0] + (" --tun-type ipip" if " -x " in line and "--tun" in line else "")


@given(table=tables())
@EXAMPLES
def test_what_is_written_ipvsadm_prints_as_our_rules_say(kernel, ipvsadm, table):
    kernel.flush()
    write(kernel, table)
    assert seen(kernel) == table
    assert sorted(ipvsadm("-Sn").splitlines()) == sorted(without_limits(line) for line in lines(table))


@given(table=tables())
@EXAMPLES
def test_what_ipvsadm_restores_from_our_rules_is_read_as_it_was(kernel, ipvsadm, table):
    kernel.flush()
    ipvsadm("-R", said="".join(f"{line}\n" for line in lines(table)))
    assert seen(kernel) == table


@given(data=st.data())
@EXAMPLES
def test_a_change_makes_an_entry_as_given_whatever_it_was_before(kernel, data):
    kernel.flush()
    key = data.draw(keys())
    before, after = (data.draw(services(key)) for _ in "12")
    one = data.draw(destinations(key))
    kernel.add_service(before)
    kernel.add(key, one)
    kernel.change_service(after)
    assert seen(kernel) == {key: (after, {one.place: one})}
    other = _at(one, data.draw(destinations(key)))
    kernel.change(key, other)
    assert seen(kernel) == {key: (after, {one.place: other})}
    kernel.remove(key, *other.place)
    assert seen(kernel) == {key: (after, {})}
    kernel.remove_service(key)
    assert seen(kernel) == {}


def _at(place: Destination, other: Destination) -> Destination:
    """`other` in another's place; where the families may differ there is but the tunnel."""
    forwarding = "tunnel" if place.forwarding == "tunnel" else other.forwarding
    return replace(other, address=place.address, port=place.port, forwarding=forwarding)


@given(table=tables())
@EXAMPLES
def test_pyroute2_reads_the_same(space, kernel, table):
    kernel.flush()
    write(kernel, table)
    with space.inside(), IPVS() as other:
        for message in other.service("dump"):
            service = dict(message.get_nested("IPVS_CMD_ATTR_SERVICE")["attrs"])
            key = _key(service)
            expected, to = table.pop(key)
            flags = service["IPVS_SVC_ATTR_FLAGS"]["flags"]
            assert service["IPVS_SVC_ATTR_SCHED_NAME"] == expected.scheduler
            assert (flags & 1, flags & 4, flags >> 3 & 7) == (
                expected.persistence is not None, 4 * expected.one_packet, expected.scheduler_flags,
            )  # fmt: skip
            assert service["IPVS_SVC_ATTR_TIMEOUT"] == (expected.persistence or 0)
            asked = IPVSService.from_message(message)
            found = [dict(one.get_nested("IPVS_CMD_ATTR_DEST")["attrs"]) for one in other.dest("dump", service=asked)]
            assert {_destination(one).place: _destination(one) for one in found} == to
    assert table == {}


def _key(service: dict[str, object]) -> Virtual | Marked:
    family = {2: "ipv4", 10: "ipv6"}[service["IPVS_SVC_ATTR_AF"]]
    if "IPVS_SVC_ATTR_FWMARK" in service:
        return Marked(service["IPVS_SVC_ATTR_FWMARK"], family)
    protocol = {6: "tcp", 17: "udp", 132: "sctp"}[service["IPVS_SVC_ATTR_PROTOCOL"]]
    return Virtual(_address(service["IPVS_SVC_ATTR_ADDR"]), service["IPVS_SVC_ATTR_PORT"], protocol)


def _address(text: str) -> str:
    return str(ip_address(text))


def _destination(given_by: dict[str, object]) -> Destination:
    read = {name.removeprefix("IPVS_DEST_ATTR_"): value for name, value in given_by.items()}
    method = {0: "masquerade", 1: "local", 2: "tunnel", 3: "direct"}[read["FWD_METHOD"]]
    limits = (read["U_THRESH"], read["L_THRESH"])
    return Destination(_address(read["ADDR"]), read["PORT"], read["WEIGHT"], method, *limits)


def test_what_pyroute2_writes_is_read(space, kernel):
    with space.inside(), IPVS() as other:
        service = IPVSService(addr=V4.address, port=V4.port, protocol=6, sched_name="rr", timeout=60)
        service["flags"] = {"flags": 1, "mask": 0xFFFFFFFF}
        other.service("add", service=service)
        other.dest("add", service=service, dest=IPVSDest(addr="192.0.2.11", port=104, fwd_method=2, weight=9))
    assert seen(kernel) == {
        V4: (Service(V4, "rr", 60), {("192.0.2.11", 104): Destination("192.0.2.11", 104, 9, "tunnel")})
    }


def test_a_port_of_its_own_is_kept_by_the_kernel_whatever_the_forwarding(kernel):
    write(kernel, {V4: (Service(V4), {("192.0.2.11", 105): Destination("192.0.2.11", 105)})})
    assert list(kernel.services()[V4].destinations) == [("192.0.2.11", 105)]
