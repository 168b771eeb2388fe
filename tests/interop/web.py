"""nginx and HAProxy as web servers in TLS that want client certificates, each with the same pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from interop.balancers import bundle, running_haproxy, running_nginx
from interop.remotes import HOST, free_port

from lbkit.testing import Identity, ThrowawayCA

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EXPECTED = "allServicesOperative"
PORTS = ("tls12", "tls13", "plain", "expired", "named")


@dataclass(frozen=True)
class Web:
    """A web server that runs. Its ports, by name:

    `tls12`, `tls13`: that version only, and clients with a certificate of the CA only. `plain`: no TLS. `expired`: TLS with
    an expired certificate. `named`: TLS for a.lbkit.test and b.lbkit.test, each with a certificate and pages of its own.
    """

    name: str
    ports: dict[str, int]

    def target(self, port: str) -> str:
        return f"{HOST}:{self.ports[port]}"


@dataclass(frozen=True)
class Identities:
    """The certificates of a web server."""

    ca: ThrowawayCA
    expired: Identity
    a: Identity
    b: Identity


def identities(ca: ThrowawayCA) -> Identities:
    """Certificates of this CA."""
    names = (f"{letter}.lbkit.test" for letter in "ab")
    return Identities(ca, ca.issue(HOST, not_after=LONG_AGO), *map(ca.issue, names))


def free_ports() -> dict[str, int]:
    return {name: free_port() for name in PORTS}


# --- nginx ----------------------------------------------------------------------------------------------------------

NGINX_PAGES = """
        location = /api/health/ { return 200 "allServicesOperative\\n"; }
        location = /chunked { sub_filter_types *; sub_filter Some all; return 200 SomeServicesOperative; }
        location = /other { return 200 twoServicesOperative; }
        location = /down { return 503 allServicesOperative; }
        location = /moved { return 302 /api/health/; }
        location = /away { return 302 https://elsewhere.lbkit.test/; }
        location = /host { return 200 "$host"; }
        location = /name { return 200 "$server_name"; }
"""


def _nginx_server(port: int, name: str, identity: Identity | None, *settings: str) -> str:
    tls, listen = "", f"listen {HOST}:{port};"
    if identity is not None:
        tls = f"ssl_certificate {identity.cert_file}; ssl_certificate_key {identity.key_file};"
        listen = f"listen {HOST}:{port} ssl;"
    return f"server {{ {listen} server_name {name}; {tls} {' '.join(settings)} {NGINX_PAGES} }}\n"


@contextmanager
def nginx(folder: Path, known: Identities) -> Iterator[Web]:
    """nginx, in one process."""
    ports = free_ports()
    wants = f"ssl_client_certificate {known.ca.ca_file}; ssl_verify_client on;"
    servers = "".join(
        (
            _nginx_server(ports["tls12"], "_", known.ca.server, "ssl_protocols TLSv1.2;", wants),
            _nginx_server(ports["tls13"], "_", known.ca.server, "ssl_protocols TLSv1.3;", wants),
            _nginx_server(ports["plain"], "_", None),
            _nginx_server(ports["expired"], "_", known.expired),
            _nginx_server(ports["named"], "a.lbkit.test", known.a),
            _nginx_server(ports["named"], "b.lbkit.test", known.b),
        )
    )
    with running_nginx(folder, servers, ports["plain"]):
        yield Web("nginx", ports)


# --- HAProxy --------------------------------------------------------------------------------------------------------

HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout client 10s
    timeout connect 1s
    timeout server 1s
frontend web
    bind {host}:{ports[plain]}
    bind {host}:{ports[tls12]} ssl crt {server} ca-file {ca} verify required ssl-min-ver TLSv1.2 ssl-max-ver TLSv1.2
    bind {host}:{ports[tls13]} ssl crt {server} ca-file {ca} verify required ssl-min-ver TLSv1.3 ssl-max-ver TLSv1.3
    bind {host}:{ports[expired]} ssl crt {expired}
    bind {host}:{ports[named]} ssl crt {a} crt {b}
    http-request return status 200 content-type text/plain string "allServicesOperative\\n" if {{ path /api/health/ }}
    http-request return status 200 content-type text/plain string twoServicesOperative if {{ path /other }}
    http-request return status 503 content-type text/plain string allServicesOperative if {{ path /down }}
    http-request redirect location /api/health/ if {{ path /moved }}
    http-request redirect location https://elsewhere.lbkit.test/ if {{ path /away }}
    http-request return status 200 content-type text/plain lf-string "%[req.hdr(host),field(1,:)]" if {{ path /host }}
    http-request return status 200 content-type text/plain lf-string "%[ssl_fc_sni]" if {{ path /name }}
    http-request deny status 404
"""


@contextmanager
def haproxy(folder: Path, known: Identities) -> Iterator[Web]:
    """HAProxy, which answers by itself."""
    ports = free_ports()
    found = {"server": known.ca.server, "expired": known.expired, "a": known.a, "b": known.b}
    files = {name: bundle(folder, name, identity) for name, identity in found.items()}
    configuration = HAPROXY.format(host=HOST, ports=ports, ca=known.ca.ca_file, **files)
    with running_haproxy(folder, configuration, ports["plain"]):
        yield Web("haproxy", ports)
