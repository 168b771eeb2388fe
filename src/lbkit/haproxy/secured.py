"""TLS on `bind` and `server` lines (manual 5.1, 5.2), and where the files that they name lie, seen from haproxy.cfg."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.checks.kind import TlsTerms
from lbkit.site.draft import Draft
from lbkit.site.model import Pair, Site
from lbkit.site.services import RealServer, Termination


def certificate(name: str) -> str:
    """Of [certificates.NAME]."""
    return f"tls/certificates/{name}.pem"


def cas(name: str) -> str:
    """Of [ca_families.NAME]."""
    return f"tls/families/{name}.pem"


def crl(name: str) -> str:
    """The revocation lists of [ca_families.NAME]."""
    return f"tls/families/{name}.crl"


def of_check(vip: str, what: str) -> str:
    """Of a check that brings TLS files of its own; `what`: client.pem, ca.pem, ca.crl."""
    return f"tls/checks/{vip}/{what}"


def at_the_vip(ends: Termination, site: Site | Draft, protocol: str) -> Iterator[str]:
    """What follows the address of a `bind`."""
    yield f"ssl crt {certificate(ends.certificate)}"
    if protocol == "http":
        yield "alpn h2,http/1.1"
    if ends.ca is not None:
        yield "verify required"
        yield from _family(ends.ca, site)


def to_the_server(server: RealServer, site: Site | Draft) -> Iterator[str]:
    """How a `server` is spoken to, and its check too. HAProxy verifies the name that it sends as SNI."""
    if server.verify is None:
        yield "ssl verify none"
    else:
        yield " ".join(("ssl verify required", *_family(server.verify, site)))
        if server.server_name is not None:
            yield f"verifyhost {server.server_name}"
    if server.server_name is not None:
        yield f"sni str({server.server_name})"
    if server.client_certificate is not None:
        yield f"crt {certificate(server.client_certificate)}"


def between_the_nodes(pair: Pair, site: Site) -> str:
    """How the peers of a pair speak to each other: both show the same certificate. "" without one."""
    if pair.certificate is None or pair.ca is None:
        return ""
    return " ".join((f"ssl crt {certificate(pair.certificate)} verify required", *_family(pair.ca, site)))


def of_the_check_alone(params: TlsTerms, vip: str) -> Iterator[str]:
    """How a check speaks to a server that the VIP's clients reach without TLS of ours."""
    if not params.verify:
        yield "check-ssl verify none"
    else:
        trusted = of_check(vip, "ca.pem") if params.ca_file else "@system-ca"
        lists = f" crl-file {of_check(vip, 'ca.crl')}" if params.crl_file else ""
        yield f"check-ssl verify required ca-file {trusted}{lists}"
        if params.verify_name:
            yield f"verifyhost {params.server_name}"
    if params.cert_file:
        yield f"crt {of_check(vip, 'client.pem')}"
    if params.server_name:
        yield f"check-sni {params.server_name}"


def _family(name: str, site: Site | Draft) -> Iterator[str]:
    yield f"ca-file {cas(name)}"
    if site.ca_families[name].crl_file is not None:
        yield f"crl-file {crl(name)}"
