"""Certificates on both sides, with the rendered configuration: only the right ones get through."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from interop.engines import Running, haproxy, rendered, running, short
from interop.remotes import HOST, free_port
from unit.site_text import server, vip

from lbkit.haproxy.program import Program
from lbkit.testing import Identity, Listener, ThrowawayCA

__all__ = ["haproxy", "short"]

NAME = "ccw1.hospital.example"
CHECK = {"kind": "connect", "interval": "200ms", "rise": 1, "fall": 1}


def pem(identity: Identity, path: Path) -> dict[str, str]:
    """Certificate and key in one file, as [certificates.X] has them."""
    path.write_bytes(Path(identity.cert_file).read_bytes() + Path(identity.key_file).read_bytes())
    return {"file": str(path)}


def says(word: bytes, context: ssl.SSLContext) -> Listener:
    def play(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secured:
            secured.sendall(word)
            secured.recv(1)

    return Listener(play)


def heard(port: int, context: ssl.SSLContext | None) -> bytes:
    """What a client is sent; raises ssl.SSLError where it is refused."""
    with socket.create_connection((HOST, port), timeout=5) as plain:
        if context is None:
            return plain.recv(16)
        with context.wrap_socket(plain, server_hostname="vip.hospital.example") as secured:
            return secured.recv(16)


def client(ca: ThrowawayCA, identity: Identity | None = None, most: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca.ca_file)
    if most:
        context.maximum_version = most
    if identity:
        context.load_cert_chain(identity.cert_file, identity.key_file)
    return context


# --- at the VIP -----------------------------------------------------------------------------------------------------


@contextmanager
def guarded(folder: Path, program: Program, ca: ThrowawayCA, revoked: Identity) -> Iterator[int]:
    """A VIP that wants clients' certificates, with a real server behind it that speaks TLS."""
    port = free_port()
    more = {
        "ca_families": {"F": {"ca_file": ca.ca_file, "crl_file": ca.revocation_list(revoked)}},
        "certificates": {"own": pem(ca.issue("vip.hospital.example"), folder / "own.pem")},
    }
    with says(b"served", ca.server_context(ca.issue(NAME))) as remote:
        terms = {"re_encrypt": True, "verify": "F", "server_name": NAME}
        ends = {"certificate": "own", "ca": "F"}
        one = vip("V", f"{HOST}:{port}", server("s", remote.target, **terms), check=CHECK, termination=ends)
        with running(folder, rendered(folder, one, **more), program) as engine:
            assert engine.checked("V")["s"]["status"] == "UP"
            yield port


def test_at_the_vip_only_clients_of_the_family_that_are_not_revoked_are_served(short, haproxy, tmp_path) -> None:
    ca, other = ThrowawayCA(tmp_path), ThrowawayCA(tmp_path)
    revoked = ca.issue("revoked.example")
    with guarded(short, haproxy, ca, revoked) as port:
        assert heard(port, client(ca, ca.client)) == b"served"
        assert heard(port, client(ca, ca.client, ssl.TLSVersion.TLSv1_2)) == b"served"
        for refused, alert in ((None, "certificate required"), (other.client, "unknown ca"), (revoked, "revoked")):
            with pytest.raises(ssl.SSLError, match=alert):
                heard(port, client(ca, refused))
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                heard(port, client(ca, refused, ssl.TLSVersion.TLSv1_2))


# --- towards the servers --------------------------------------------------------------------------------------------


def test_towards_servers_only_those_of_the_family_with_their_name_are_up_and_reached(short, haproxy, tmp_path) -> None:
    ca, other = ThrowawayCA(tmp_path), ThrowawayCA(tmp_path)
    revoked = ca.issue(NAME)
    more: dict[str, Any] = {
        "ca_families": {"F": {"ca_file": ca.ca_file, "crl_file": ca.revocation_list(revoked)}},
        "certificates": {"c": pem(ca.client, short / "c.pem"), "foreign": pem(other.client, short / "foreign.pem")},
    }
    contexts = {
        "right": ca.server_context(ca.issue(NAME), wants_client=True),
        "other-ca": ca.server_context(other.issue(NAME), wants_client=True),
        "other-name": ca.server_context(ca.issue("ccw2.hospital.example"), wants_client=True),
        "revoked": ca.server_context(revoked, wants_client=True),
    }
    terms = {"re_encrypt": True, "verify": "F", "server_name": NAME, "client_certificate": "c"}
    ports = {name: free_port() for name in contexts}
    with ExitStack() as stack:
        remotes = {name: stack.enter_context(says(name.encode(), context)) for name, context in contexts.items()}
        vips = [
            vip(f"V-{name}", f"{HOST}:{ports[name]}", server("s", remotes[name].target, **terms), check=CHECK)
            for name in contexts
        ]
        engine: Running = stack.enter_context(running(short, rendered(short, *vips, **more), haproxy))
        found = {name: engine.checked(f"V-{name}")["s"] for name in contexts}
        assert {name: row["status"] for name, row in found.items()} == {
            "right": "UP", "other-ca": "DOWN", "other-name": "DOWN", "revoked": "DOWN",
        }  # fmt: skip
        assert {row["check_status"] for name, row in found.items() if name != "right"} == {"L6RSP"}
        assert heard(ports["right"], None) == b"right"


def test_traffic_goes_by_the_same_terms_whatever_the_check_has_found(short, haproxy, tmp_path) -> None:
    """The check is a plain connection, and so up; a client gets nothing of a server with another name."""
    ca = ThrowawayCA(tmp_path)
    more = {"ca_families": {"F": {"ca_file": ca.ca_file}}}
    terms = {"re_encrypt": True, "verify": "F", "server_name": NAME}
    names = {NAME: b"served", "ccw2.hospital.example": b""}
    ports = {name: free_port() for name in names}
    with ExitStack() as stack:
        vips = []
        for number, name in enumerate(names):
            remote = stack.enter_context(says(b"served", ca.server_context(ca.issue(name))))
            row = server("s", remote.target, **terms)
            vips.append(vip(f"V{number}", f"{HOST}:{ports[name]}", row, check={**CHECK, "tls": False}))
        engine = stack.enter_context(running(short, rendered(short, *vips, **more), haproxy))
        assert [engine.checked(f"V{number}")["s"]["status"] for number in range(2)] == ["UP", "UP"]
        assert {name: heard(ports[name], None) for name in names} == names


@pytest.mark.parametrize("shown", [None, "foreign"])
def test_a_server_that_wants_our_certificate_serves_nothing_to_another(shown, short, haproxy, tmp_path) -> None:
    """In TLS 1.3 the refusal comes after the handshake, where a check that asks for no page has ended already."""
    ca, other = ThrowawayCA(tmp_path), ThrowawayCA(tmp_path)
    more = {
        "ca_families": {"F": {"ca_file": ca.ca_file}},
        "certificates": {"foreign": pem(other.client, short / "foreign.pem")},
    }
    terms = {"re_encrypt": True, "verify": "F", "server_name": NAME}
    terms |= {"client_certificate": shown} if shown else {}
    port = free_port()
    with says(b"served", ca.server_context(ca.issue(NAME), wants_client=True)) as remote:
        one = vip("V", f"{HOST}:{port}", server("s", remote.target, **terms), check=CHECK)
        with running(short, rendered(short, one, **more), haproxy):
            assert heard(port, None) == b""


def test_a_server_without_server_name_is_verified_by_its_family_alone(short, haproxy, tmp_path) -> None:
    ca, other = ThrowawayCA(tmp_path), ThrowawayCA(tmp_path)
    more = {"ca_families": {"F": {"ca_file": ca.ca_file}}}
    with ExitStack() as stack:
        remotes = [stack.enter_context(says(b"x", one.server_context(one.issue("any.example")))) for one in (ca, other)]
        rows = [
            server(name, remote.target, re_encrypt=True, verify="F")
            for name, remote in zip(("ours", "other"), remotes, strict=True)
        ]
        rows.append(server("unverified", remotes[1].target, re_encrypt=True))
        one = vip("V", f"127.0.0.2:{free_port()}", *rows, check=CHECK)
        engine = stack.enter_context(running(short, rendered(short, one, **more), haproxy))
        found = {name: row["status"] for name, row in engine.checked("V").items()}
    assert found == {"ours": "UP", "other": "DOWN", "unverified": "UP"}
