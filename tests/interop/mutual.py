"""Servers that want client certificates of one CA that are not on its revocation list: HAProxy, nginx, `openssl s_server`.

Each has a port for TLS 1.2 and one for TLS 1.3.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from interop.balancers import bundle, running_haproxy, running_nginx
from interop.remotes import HOST, free_port, program, serving

from lbkit.testing import Identity, ThrowawayCA

VERSIONS = ("1.2", "1.3")


@dataclass(frozen=True)
class Clients:
    """The CA of a server and its clients, those that it must refuse, and the list by which it knows one of them."""

    ca: ThrowawayCA
    crl_file: str
    refused: dict[str, Identity | None]

    @classmethod
    def made(cls, folder: Path) -> Clients:
        ca, other = ThrowawayCA(folder), ThrowawayCA(folder)
        revoked = ca.issue("revoked.lbkit.test")
        refused = {"none": None, "another CA's": other.client, "revoked": revoked}
        return cls(ca, ca.revocation_list(revoked), refused)


Ports: TypeAlias = dict[str, int]  # by version of TLS
Start: TypeAlias = Callable[[Path, Clients], AbstractContextManager[Ports]]

HAPROXY = """
global
    maxconn 100
defaults
    timeout client 60s
    timeout connect 1s
    timeout server 60s
frontend web
    mode {mode}
    bind {host}:{ports[1.2]} ssl crt {pem} ca-file {ca} crl-file {crl} verify required ssl-max-ver TLSv1.2
    bind {host}:{ports[1.3]} ssl crt {pem} ca-file {ca} crl-file {crl} verify required ssl-min-ver TLSv1.3
    {answer}
backend deaf
    mode tcp
    server hung {host}:{hung}
"""


@contextmanager
def _haproxy(folder: Path, clients: Clients, mode: str, answer: str, hung: int = 1) -> Iterator[Ports]:
    ports = _free_ports()
    files = {"pem": bundle(folder, "server", clients.ca.server), "ca": clients.ca.ca_file, "crl": clients.crl_file}
    configuration = HAPROXY.format(host=HOST, ports=ports, mode=mode, answer=answer, hung=hung, **files)
    with running_haproxy(folder, configuration, ports["1.3"]):
        yield ports


def haproxy_http(folder: Path, clients: Clients) -> AbstractContextManager[Ports]:
    """HAProxy as a web server."""
    return _haproxy(folder, clients, "http", "http-request return status 200")


@contextmanager
def haproxy_hung(folder: Path, clients: Clients) -> Iterator[Ports]:
    """HAProxy before a server that takes connections and does nothing: it does not pass our goodbye on, nor end."""
    with (
        socket.create_server((HOST, 0)) as hung,
        _haproxy(folder, clients, "tcp", "default_backend deaf", hung.getsockname()[1]) as ports,
    ):
        yield ports


NGINX = """
    ssl_certificate {server.cert_file};
    ssl_certificate_key {server.key_file};
    ssl_client_certificate {ca};
    ssl_crl {crl};
    ssl_verify_client on;
    server {{ listen {host}:{ports[1.2]} ssl; ssl_protocols TLSv1.2; return 200 ok; }}
    server {{ listen {host}:{ports[1.3]} ssl; ssl_protocols TLSv1.3; return 200 ok; }}
"""


@contextmanager
def nginx(folder: Path, clients: Clients) -> Iterator[Ports]:
    """nginx, which completes every handshake and refuses in HTTP."""
    ports = _free_ports()
    files = {"server": clients.ca.server, "ca": clients.ca.ca_file, "crl": clients.crl_file}
    with running_nginx(folder, NGINX.format(host=HOST, ports=ports, **files), ports["1.3"]):
        yield ports


@contextmanager
def s_server(folder: Path, clients: Clients) -> Iterator[Ports]:
    """OpenSSL's own server, one for each version."""
    ports = _free_ports()
    files = folder / "trust.pem"
    files.write_bytes(Path(clients.ca.ca_file).read_bytes() + Path(clients.crl_file).read_bytes())
    server = clients.ca.server
    command = [
        program("openssl", "openssl"),
        "s_server",
        "-quiet",
        "-Verify",
        "1",
        "-verify_return_error",
        "-crl_check",
    ]
    command += ["-CAfile", str(files), "-cert", server.cert_file, "-key", server.key_file]
    with ExitStack() as stack:
        for version, port in ports.items():
            below = folder / version
            below.mkdir()
            flag = f"-tls{version.replace('.', '_')}"
            stack.enter_context(serving(port, *command, flag, "-accept", f"{HOST}:{port}", folder=below))
        yield ports


def _free_ports() -> Ports:
    return {version: free_port() for version in VERSIONS}


SERVERS: dict[str, Start] = {
    "haproxy": haproxy_http,
    "haproxy before a hung server": haproxy_hung,
    "nginx": nginx,
    "openssl s_server": s_server,
}
