"""Certificates, CAs and revocation lists that change while HAProxy runs, as handshakes on both sides see them."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from interop.applied import worker
from interop.engines import haproxy as haproxy
from interop.engines import short as short
from interop.operated import HOST, Operated, operated, own_port
from unit.site_text import server, vip

from lbkit.errors import Misuse, RolledBack
from lbkit.haproxy.program import HAPROXY, Program
from lbkit.operate import certs, rotate
from lbkit.operate.reload import reload
from lbkit.state.log import EventLog
from lbkit.state.who import who_asks
from lbkit.testing import Identity, Listener, ThrowawayCA


class Hospital:
    """A site whose one VIP ends mTLS and speaks mTLS to its server, in front of that server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.doors, self.clients, self.inside, self.ours = (ThrowawayCA(folder) for _ in range(4))
        self.client, self.revoked = self.clients.issue("good.lbkit.test"), self.clients.issue("bad.lbkit.test")
        self.put("door", self.doors.server)
        self.put("own", self.ours.client)
        self.copy(self.clients.ca_file, "clients.pem")
        self.copy(self.clients.revocation_list(self.revoked), "clients.crl")
        self.copy(self.inside.ca_file, "inside.pem")
        self.served = self.context_of_server()

    def copy(self, file: str, name: str) -> None:
        shutil.copy(file, self.folder / name)

    def put(self, name: str, identity: Identity) -> None:
        self.copy(identity.cert_file, f"{name}.pem")
        self.copy(identity.key_file, f"{name}.key")

    def context_of_server(self, *trusted: ThrowawayCA) -> ssl.SSLContext:
        context = self.inside.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        for ca in trusted or (self.ours,):
            context.load_verify_locations(ca.ca_file)
        return context

    def serve(self, client: socket.socket) -> None:
        """Tell the serial number of who connects, then echo."""
        if not client.recv(1, socket.MSG_PEEK):  # what has gone already can't be wrapped, and Python leaks it then
            return
        with suppress(ssl.SSLError), self.served.wrap_socket(client, server_side=True) as session:
            shown = session.getpeercert()
            assert shown is not None
            session.sendall(f"{shown['serialNumber']}\n".encode())
            while data := session.recv(4096):
                session.sendall(data)

    @property
    def named(self) -> dict[str, object]:
        """As the site file names it all."""
        return {
            "certificates": {name: {"file": f"{name}.pem", "key_file": f"{name}.key"} for name in ("door", "own")},
            "ca_families": {
                "clients": {"ca_file": "clients.pem", "crl_file": "clients.crl"},
                "inside": {"ca_file": "inside.pem"},
            },
        }


def serial(identity: Identity) -> int:
    return x509.load_pem_x509_certificate(Path(identity.cert_file).read_bytes()).serial_number


class Met:
    """A client's session with the VIP. `shown`: the serial number of its certificate; `seen`: of ours, by the server.

    `resumes`: one of before, by whose session this one would be let in without showing its certificate again.
    """

    def __init__(self, site: Operated, identity: Identity | None, resumes: Met | None = None) -> None:
        self.context = resumes.context if resumes else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not resumes:
            self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2  # a refusal is a part of its handshake
            if identity:
                self.context.load_cert_chain(identity.cert_file, identity.key_file)
        with ExitStack() as stack:
            raw = stack.enter_context(site.connect("A"))
            resumed = resumes.session.session if resumes else None
            self.session = stack.enter_context(self.context.wrap_socket(raw, session=resumed))
            self.shown = x509.load_der_x509_certificate(self.session.getpeercert(True) or b"").serial_number
            self.seen = int(self.session.recv(100) or b"-1", 16)
            if self.seen < 0:
                raise ConnectionResetError("the VIP has closed it")
            stack.pop_all()

    def lives(self) -> bool:
        self.session.sendall(b"ping")
        return self.session.recv(10) == b"ping"

    def close(self) -> None:
        self.session.close()


@pytest.fixture
def hospital(short: Path) -> Hospital:
    return Hospital(short)


@pytest.fixture
def site(short: Path, hospital: Hospital, haproxy: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    monkeypatch.setenv(HAPROXY, haproxy.path)
    with Listener(hospital.serve) as listener:
        one = server(
            "one", listener.target, re_encrypt=True, verify="inside", server_name="localhost", client_certificate="own"
        )
        check = {"kind": "connect", "interval": "60s"}
        a = vip("A", f"{HOST}:{own_port()}", one, check=check, termination={"certificate": "door", "ca": "clients"})
        with operated(short, a, servers={}, **hospital.named) as made:
            yield made


def rotated(site: Operated, *names: str, dry_run: bool = False) -> list[str]:
    done = rotate.rotate(site.site, site.kind_of, names=names, dry_run=dry_run, state=site.state)
    return [one.vip for one in done]


def states(site: Operated) -> dict[tuple[str, str], str]:
    return {(one.name, one.kind): one.state for one in certs.listed(site.site)}


def refused(site: Operated, identity: Identity | None, resumes: Met | None = None) -> bool:
    try:
        Met(site, identity, resumes).close()
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def in_one_worker(site: Operated, haproxy: Program, family: bool = False) -> Callable[[], None]:
    """To be called afterwards: no reload came between, but for CAs in a HAProxy that can't take them otherwise."""
    before = worker(site)
    by_reload = family and haproxy.version < (2, 8, 0)

    def holds() -> None:
        assert (worker(site) != before) == by_reload

    return holds


def test_certificates_are_listed_with_their_end_their_use_and_whether_they_are_in_force(
    site: Operated, hospital: Hospital
) -> None:
    assert set(states(site).values()) == {"in force"}
    listed = {(one.name, one.kind): one for one in certs.listed(site.site)}
    assert listed.keys() == {
        ("door", "certificate"), ("own", "certificate"), ("clients", "ca"), ("clients", "crl"), ("inside", "ca"),
    }  # fmt: skip
    assert {one.used_by for one in listed.values()} == {("A",)}
    assert 0.9 < listed["clients", "crl"].days_left <= 1
    hospital.put("door", hospital.doors.issue("127.0.0.1"))
    hospital.copy(hospital.clients.revocation_list(), "clients.crl")
    hospital.copy(hospital.ours.ca_file, "inside.pem")
    changed = {("door", "certificate"), ("clients", "crl"), ("inside", "ca")}
    assert {key for key, state in states(site).items() if state == "differs"} == changed


def test_where_haproxy_does_not_run_nobody_is_asked(short: Path, hospital: Hospital) -> None:
    one = server("one", f"{HOST}:1")
    a = vip("A", f"{HOST}:{own_port()}", one, termination={"certificate": "door"})
    site = Operated(short, a, servers={}, certificates={"door": {"file": "door.pem", "key_file": "door.key"}})
    assert states(site) == {("door", "certificate"): "not asked"}


def test_an_issuer_in_the_file_is_listed_with_an_end_of_its_own(short: Path) -> None:
    root = trustme.CA()
    issued = root.create_child_ca().issue_cert("door", not_after=datetime(3100, 1, 1, tzinfo=UTC))
    for end, pems in (("pem", (*issued.cert_chain_pems, root.cert_pem)), ("key", [issued.private_key_pem])):
        (short / f"door.{end}").write_bytes(b"".join(one.bytes() for one in pems))
    a = vip("A", f"{HOST}:{own_port()}", server("one", f"{HOST}:1"), termination={"certificate": "door"})
    site = Operated(short, a, servers={}, certificates={"door": {"file": "door.pem", "key_file": "door.key"}})
    first, then = certs.listed(site.site)
    assert [(one.name, one.kind, one.used_by) for one in (first, then)] == [
        ("door", "issuer", ("A",)),
        ("door", "certificate", ("A",)),
    ]
    assert first.not_after < then.not_after
    assert first.subject != then.subject


def test_a_certificate_is_rotated_at_the_vip_and_open_connections_live_on(
    site: Operated, hospital: Hospital, haproxy: Program
) -> None:
    with closing(Met(site, hospital.client)) as before:
        holds = in_one_worker(site, haproxy)
        new = hospital.doors.issue(HOST, "localhost")
        hospital.put("door", new)
        assert before.shown != serial(new)
        assert rotated(site, dry_run=True) == ["door"]
        assert states(site)["door", "certificate"] == "differs"
        assert rotated(site) == ["door"]
        with closing(Met(site, hospital.client)) as after:
            assert after.shown == serial(new)
        assert before.lives()
        holds()
        assert states(site)["door", "certificate"] == "in force"
        assert rotated(site) == []
    (event,) = EventLog(site.state).all()
    assert (event.kind, event.who) == ("certificates-rotated", who_asks())
    assert event.text == "new certificates, CAs or revocation lists are in force: door"
    reload(site.site, state=site.state)
    with closing(Met(site, hospital.client)) as after:
        assert after.shown == serial(new)


def test_our_certificate_towards_a_server_is_rotated(site: Operated, hospital: Hospital, haproxy: Program) -> None:
    with closing(Met(site, hospital.client)) as before:
        assert before.seen == serial(hospital.ours.client)
        holds = in_one_worker(site, haproxy)
        new = hospital.ours.issue("next.lbkit.test")
        hospital.put("own", new)
        assert rotated(site, "own") == ["own"]
        for _ in range(3):
            with closing(Met(site, hospital.client)) as after:
                assert after.seen == serial(new)
        assert before.lives()
        holds()


def test_clients_of_a_new_ca_are_let_in_and_those_of_the_old_no_more(
    site: Operated, hospital: Hospital, haproxy: Program, tmp_path: Path
) -> None:
    other = ThrowawayCA(tmp_path)
    assert refused(site, other.client)
    with closing(Met(site, hospital.client)) as before:
        holds = in_one_worker(site, haproxy, family=True)
        hospital.copy(other.ca_file, "clients.pem")
        hospital.copy(other.revocation_list(), "clients.crl")
        assert rotated(site) == ["clients", "clients"]
        assert not refused(site, other.client)
        assert refused(site, hospital.client)
        assert refused(site, None)
        assert before.lives()
        holds()
    assert states(site)["clients", "ca"] == "in force"


def test_a_client_that_is_revoked_now_is_refused_at_once(site: Operated, hospital: Hospital, haproxy: Program) -> None:
    assert refused(site, hospital.revoked)
    holds = in_one_worker(site, haproxy, family=True)
    hospital.copy(hospital.clients.revocation_list(hospital.client), "clients.crl")
    with closing(Met(site, hospital.client)) as before:
        assert rotated(site, "clients") == ["clients"]
        assert refused(site, hospital.client)
        assert refused(site, hospital.client, resumes=before)
    assert not refused(site, hospital.revoked)  # the new list does not have it
    holds()


def test_a_server_of_another_ca_is_refused_once_its_family_is_rotated(
    site: Operated, hospital: Hospital, haproxy: Program, tmp_path: Path
) -> None:
    assert not refused(site, hospital.client)
    holds = in_one_worker(site, haproxy, family=True)
    other = ThrowawayCA(tmp_path)
    hospital.copy(other.ca_file, "inside.pem")
    assert rotated(site) == ["inside"]
    assert refused(site, hospital.client)
    hospital.inside = other
    hospital.served = hospital.context_of_server()
    assert not refused(site, hospital.client)
    holds()


def test_a_key_of_another_certificate_changes_nothing(site: Operated, hospital: Hospital) -> None:
    hospital.copy(hospital.ours.client.key_file, "door.key")
    installed = site.folder / "etc/tls/certificates/door.pem"
    before = installed.read_bytes()
    with pytest.raises(Misuse, match=r"door\.key") as said:
        rotated(site)
    assert "PRIVATE" not in str(said.value)
    assert installed.read_bytes() == before
    assert not refused(site, hospital.client)


@pytest.mark.parametrize("names", [("door",), ()])
def test_what_a_handshake_does_not_show_is_put_back(
    site: Operated, hospital: Hospital, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    with closing(Met(site, hospital.client)) as met:
        before = met.shown
    installed = {path: path.read_bytes() for path in (site.folder / "etc/tls").rglob("*.pem")}
    hospital.put("door", hospital.doors.issue(HOST))
    hospital.put("own", hospital.ours.issue("next.lbkit.test"))
    with monkeypatch.context() as patched:
        patched.setattr(rotate, "_shown", lambda address, port: "00")
        with pytest.raises(RolledBack, match=r"A at port [0-9]+ shows the certificate 00") as said:
            rotated(site, *names)
    assert "PRIVATE" not in str(said.value)
    assert {path: path.read_bytes() for path in (site.folder / "etc/tls").rglob("*.pem")} == installed
    with closing(Met(site, hospital.client)) as met:
        assert met.shown == before
        assert met.seen == serial(hospital.ours.client)
    assert rotated(site) == ["door", "own"]


def test_only_what_is_named_is_rotated(site: Operated, hospital: Hospital) -> None:
    hospital.put("door", hospital.doors.issue(HOST))
    hospital.put("own", hospital.ours.issue("next.lbkit.test"))
    assert rotated(site, "own") == ["own"]
    assert states(site)["door", "certificate"] == "differs"
    with pytest.raises(Misuse, match=r"no certificate or CA family 'dor'\. There are: door, own, clients, inside\."):
        rotated(site, "dor")


def test_a_certificate_that_haproxy_does_not_have_yet_wants_an_apply(site: Operated, hospital: Hospital) -> None:
    hospital.put("new", hospital.doors.issue(HOST))
    site._more["certificates"] = {**site._more["certificates"], "new": {"file": "new.pem", "key_file": "new.key"}}
    site.write(vip("A", f"{HOST}:{own_port()}", server("one", f"{HOST}:1"), termination={"certificate": "new"}))
    assert states(site)["new", "certificate"] == "not loaded"
    with pytest.raises(Misuse, match=r"new\.pem is not there yet: .* lbkit apply"):
        rotated(site, "new")


def test_what_haproxy_has_other_than_its_disk_is_given_to_it(site: Operated, hospital: Hospital) -> None:
    """As after an attempt that was killed between the disk and HAProxy."""
    new = hospital.doors.issue(HOST)
    hospital.put("door", new)
    installed = site.folder / "etc/tls/certificates/door.pem"
    made = next(file for file in rotate.render(site.site, site.kind_of).files if file.path == installed)
    installed.write_bytes(made.content)
    assert states(site)["door", "certificate"] == "differs"
    assert rotated(site) == ["door"]
    with closing(Met(site, hospital.client)) as met:
        assert met.shown == serial(new)
