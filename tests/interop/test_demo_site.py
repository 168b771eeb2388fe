"""The simulated CCW site: all of it is up, HAProxy serves it, and each fault is found by name."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

import lbkit
from lbkit.checks.many import Checker
from lbkit.checks.plan import Planned, plan
from lbkit.checks.registry import Registry
from lbkit.checks.result import Result
from lbkit.errors import Misuse
from lbkit.operate.overview import overview
from lbkit.operate.tables import pin
from lbkit.site.naming import vip_of
from lbkit_demo.client import VipClient
from lbkit_demo.fault import Fault
from lbkit_demo.hl7 import frame
from lbkit_demo.kinds import KINDS
from lbkit_demo.site import STATE, SimulatedSite
from lbkit_demo.story import PLOT, checked, down, name, verdict

TIMEOUT = 0.6
SUBJECTS = {  # of each kind, a server that is broken
    "https": "CCW_NOTIFICATION/CCW_App_Server_1",
    "tls": "CCW_WEB_443/CCW_App_Server_1",
    "tcp": "CCW_WEB_8070-49200-49201/CCW_App_Server_1",
    "hl7": "EMR_INBOUND/CLOVERLEAF_OB",
}
ROWS = [(kind, fault) for kind in SUBJECTS for fault in KINDS[kind]]
LAYER_4 = {"CCW_DICOMSERVICE_VS", "CCW_DICOMSERVER_VS", "CCW_DICOM_1115", "CCW_DICOM_1299"}

Driver: TypeAlias = Callable[[Planned], Result]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedSite]:
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch, SimulatedSite(folder, TIMEOUT) as site:
        patch.setenv(STATE, str(site.state))
        yield site


def all_up_at_their_first_servers(site: SimulatedSite) -> None:
    """What HAProxy has found of servers that other tests broke and mended is over."""
    deadline = time.monotonic() + 10
    while any(server.health != "up" for view in overview(site.site) for server in view.servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for vip in site.site.vips:
        if vip.persistence.mode == "last-successful":
            pin(site.site, vip.label, first=True)


def blocking(planned: Planned) -> Result:
    assert planned.check is not None
    return planned.check.run(planned.target)


def in_asyncio(planned: Planned) -> Result:
    async def run() -> Result:
        assert planned.check is not None
        async with Checker() as checker:
            return await checker.start(planned.check, planned.target)

    return asyncio.run(run())


def planned_for(site: SimulatedSite, subject: str) -> list[Planned]:
    """The checks of one real server."""
    vip, _, server = subject.partition("/")
    return [one for one in plan(site.site, Registry().kind, [vip], virtual=False) if one.server == server]


@pytest.fixture
def broken(site: SimulatedSite) -> Iterator[Callable[[str, str], None]]:
    """`broken(server, fault)`; the end of the test mends it."""
    subjects = []

    def break_it(subject: str, fault: str) -> None:
        subjects.append(subject)
        site.servers[subject].become(fault)

    yield break_it
    for subject in subjects:
        site.servers[subject].mend()


def test_every_real_server_is_up_and_every_vip_that_can_be_tested_here(site: SimulatedSite) -> None:
    all_up_at_their_first_servers(site)
    found = checked(site)
    assert [one.result.line() for one in down(found)] == []
    assert {one.vip for one in found if one.result.status == "not-testable"} == LAYER_4
    assert {name(one) for one in found if one.server} == site.servers.keys()
    assert {one.vip for one in found if not one.server} == {vip.label for vip in site.site.vips}


def test_two_real_servers_a_vip_of_which_vips_10_and_14_and_11_and_15_share_theirs(site: SimulatedSite) -> None:
    assert len(site.servers) == 30
    assert len(set(site.servers.values())) == 26
    for first, second in (("CCG_IB_2101", "PORT_CCG_IB_2103"), ("CCG_IB_2102", "PORT_CCG_IB_2104")):
        of = [[one for label, one in site.servers.items() if label.startswith(f"{vip}/")] for vip in (first, second)]
        assert of[0] == of[1]


@pytest.mark.parametrize("driver", [blocking, in_asyncio])
@pytest.mark.parametrize(("kind", "fault"), ROWS, ids=[f"{kind}-{fault.name}" for kind, fault in ROWS])
def test_each_fault_is_told_by_its_step_and_reason(
    site: SimulatedSite, broken: Callable[[str, str], None], kind: str, fault: Fault, driver: Driver
) -> None:
    broken(SUBJECTS[kind], fault.name)
    result = driver(planned_for(site, SUBJECTS[kind])[0])
    assert verdict(result) == fault.expected, result.line()


def second_servers(site: SimulatedSite, kind: str) -> list[str]:
    """A name of each server of a kind that is no VIP's first."""
    return [
        f"{vip.label}/{vip.servers[1].label}"
        for vip in site.site.vips
        if site.servers[f"{vip.label}/{vip.servers[1].label}"].kind == kind
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_of_the_site_finds_every_fault_there_is_by_the_name_of_its_server(
    site: SimulatedSite, broken: Callable[[str, str], None], kind: str
) -> None:
    """As many faults at a time as there are servers of the kind."""
    subjects, faults = second_servers(site, kind), list(KINDS[kind])
    while faults:
        expected = {}
        for subject in subjects:
            if faults:
                fault = faults.pop()
                broken(subject, fault.name)
                expected |= dict.fromkeys(site.names_of(site.servers[subject]), fault.expected)
        found = {name(one): one.result for one in checked(site) if one.server}
        assert {label: verdict(found[label]) for label in expected} == expected
        assert {label for label, one in found.items() if one.status == "down"} <= expected.keys()
        for subject in subjects:
            site.servers[subject].mend()


def test_side_by_side_each_broken_server_is_found_by_its_names_and_no_other(
    site: SimulatedSite, broken: Callable[[str, str], None]
) -> None:
    all_up_at_their_first_servers(site)
    expected = {}
    for subject, fault in dict(PLOT).items():
        broken(subject, fault)
        for label in site.names_of(site.servers[subject]):
            expected[label] = site.servers[subject].fault.expected
    assert len(expected) > 10
    found = checked(site)
    assert {name(one) for one in down(found)} == {label for label, said in expected.items() if said.status == "down"}
    for one in found:
        if name(one) in expected:
            assert verdict(one.result) == expected[name(one)], one.result.line()


def test_clients_of_a_layer_7_vip_are_served_as_long_as_one_of_its_servers_is(
    site: SimulatedSite, broken: Callable[[str, str], None]
) -> None:
    client = VipClient(site.site, vip_of(site.site, "PORT_EMR_IB"), "127.0.0.1")
    assert client.request().server == "PORT_CL_OB"
    broken("PORT_EMR_IB/PORT_CL_OB", "refused")
    assert client.request().server == "PORT_CL_OB_2"
    broken("PORT_EMR_IB/PORT_CL_OB_2", "refused")
    assert client.request().failure


def test_a_layer_4_vip_is_served_by_the_first_server_that_takes_connections(
    site: SimulatedSite, broken: Callable[[str, str], None]
) -> None:
    vip = vip_of(site.site, "CCW_DICOM_1115")

    def status() -> str:
        return lbkit.check("c-echo", f"{vip.address}:{vip.ports[0]}", timeout=TIMEOUT).status

    broken("CCW_DICOM_1115/DICOM_Server_1", "silent-at-associate")
    assert status() == "down"
    broken("CCW_DICOM_1115/DICOM_Server_1", "refused")
    assert status() == "up"
    broken("CCW_DICOM_1115/DICOM_Server_2", "refused")
    assert status() == "down"


def test_each_simulated_server_says_who_it_is_to_the_clients_of_its_vips(site: SimulatedSite) -> None:
    all_up_at_their_first_servers(site)
    for vip in site.site.vips:
        if vip.mode == "l7-snat":
            request = VipClient(site.site, vip, "127.0.0.1").request()
            assert request.server in {server.label for server in vip.servers}, request


def test_a_server_that_breaks_and_is_mended_keeps_its_addresses_and_ports(site: SimulatedSite) -> None:
    for subject in (*SUBJECTS.values(), "CCW_DICOM_1115/DICOM_Server_1"):
        server = site.servers[subject]
        before = server.addresses
        server.become("refused")
        assert server.is_broken
        server.mend()
        assert server.addresses == before
        assert not server.is_broken
        assert all(blocking(planned).status == "up" for planned in planned_for(site, subject))


def test_a_fault_that_is_unknown_is_refused_and_changes_nothing(site: SimulatedSite) -> None:
    server = site.servers[SUBJECTS["tls"]]
    with pytest.raises(Misuse, match=r"no server of kind tls has a fault 'wrong-body'; there are: healthy, refused"):
        server.become("wrong-body")
    assert blocking(planned_for(site, SUBJECTS["tls"])[0]).status == "up"


@pytest.mark.parametrize("at", ["server", "vip"])
def test_hl7_listeners_acknowledge_a_message(site: SimulatedSite, at: str) -> None:
    vip = next(vip for vip in site.site.vips if vip.label == "EMR_INBOUND")
    address = (vip.address, vip.ports[0]) if at == "vip" else site.servers[SUBJECTS["hl7"]].addresses[0]
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(frame(b"MSH|^~\\&|EMR|W|CCW|C|20240131||ADT^A01|ID77|P|2.5\rPID|1\r"))
        received = b""
        while not received.endswith(b"\x1c\r"):
            received += client.recv(4096)
    assert re.search(rb"\rMSA\|AA\|ID77\|127\.0\.40\.233:\d+\r", received)


def test_the_health_api_has_one_page_and_answers_404_to_all_else(site: SimulatedSite) -> None:
    context = ssl.create_default_context(cafile=str(site.file.parent / "tls/ca-cert.pem"))
    context.load_cert_chain(site.file.parent / "tls/client-cert.pem")
    address = site.servers[SUBJECTS["https"]].addresses[0]
    answers = []
    with (
        socket.create_connection(address, timeout=5) as connection,
        context.wrap_socket(connection, server_hostname="ccw1.hospital.example") as client,
    ):
        for path in ("/api/health/", "/api/health", "/", "/api/health/"):
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: ccw1.hospital.example\r\n\r\n".encode())
            answers.append(client.recv(4096))
    assert [answer.split(b" ")[1] for answer in answers] == [b"200", b"404", b"404", b"200"]
    assert answers[0].endswith(b"\r\n\r\nallServicesOperative")


def test_a_client_without_a_certificate_is_refused(site: SimulatedSite) -> None:
    context = ssl.create_default_context(cafile=str(site.file.parent / "tls/ca-cert.pem"))
    address = site.servers[SUBJECTS["tls"]].addresses[0]
    with (
        socket.create_connection(address, timeout=5) as connection,
        context.wrap_socket(connection, server_hostname="ccw1.hospital.example") as client,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        client.recv(1)


def test_only_its_owner_may_read_the_clients_key(site: SimulatedSite) -> None:
    assert stat.S_IMODE((site.file.parent / "tls/client-cert.pem").stat().st_mode) == 0o600


def test_a_dicom_server_keeps_no_thread_for_a_client_that_left_without_a_word(site: SimulatedSite) -> None:
    before = set(threading.enumerate())
    socket.create_connection(site.servers["CCW_DICOM_1115/DICOM_Server_1"].addresses[0], timeout=5).close()
    # connections are taken in turn: once another was served, the first one has its thread
    assert blocking(planned_for(site, "CCW_DICOM_1115/DICOM_Server_1")[0]).status == "up"
    for thread in set(threading.enumerate()) - before:
        thread.join(3)
        assert not thread.is_alive()


def test_servers_can_be_broken_from_the_start_by_any_of_their_names(tmp_path: Path) -> None:
    faults = {"PORT_CCG_IB_2103/Port_CCW_5001": "refused", "CCW_DICOM_1299/DICOM_Server_2": "silent-at-echo"}
    with SimulatedSite(tmp_path, TIMEOUT, faults) as site:
        found = {name(one): one.result.reason for one in down(checked(site)) if one.server}
    assert found == {
        "CCG_IB_2101/CCW_INT_5001": "refused",
        "PORT_CCG_IB_2103/Port_CCW_5001": "refused",
        "CCW_DICOM_1299/DICOM_Server_2": "timed-out",
    }


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"CCW_NOTIFICATION/CCW_App_Server": "refused"}, "Did you mean CCW_NOTIFICATION/CCW_App_Server_"),
        ({"nobody": "refused"}, "There are: CCW_WEB_443/CCW_App_Server_1, "),
        ({"EMR_INBOUND/CLOVERLEAF_OB": "wrong-body"}, "no server of kind hl7 has a fault 'wrong-body'"),
    ],
)
def test_what_can_not_be_broken_is_refused_by_name(tmp_path: Path, faults: dict[str, str], said: str) -> None:
    with pytest.raises(Misuse, match=said), SimulatedSite(tmp_path, TIMEOUT, faults):
        pass


def test_two_sites_can_stand_side_by_side(site: SimulatedSite, tmp_path: Path) -> None:
    with SimulatedSite(tmp_path, TIMEOUT) as second:
        assert not set(second.servers["CCG_IB_2101/CCW_INT_5001"].addresses) & {
            address for server in site.servers.values() for address in server.addresses
        }
        assert down(checked(second)) == []


def test_the_site_file_loads_by_its_path(site: SimulatedSite) -> None:
    assert lbkit.load_site(site.file) == site.site
