"""Certificates of real HAProxies, replaced while they serve."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from interop.remotes import HOST
from interop.runtime_haproxy import admin, haproxy, pem, runtime

from lbkit.errors import EngineError, NotThere

__all__ = ["admin", "haproxy", "runtime"]


def served(haproxy):
    """The certificate that a client is shown now."""
    context = ssl.create_default_context(cafile=haproxy.ca.ca_file)
    context.check_hostname = False
    with socket.create_connection((HOST, haproxy.ports["tls"]), timeout=5) as raw, context.wrap_socket(raw) as client:
        return ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True))


def test_a_certificate_is_replaced_while_it_serves(haproxy, runtime):
    file = f"{haproxy.folder}/own.pem"
    assert runtime.certificates() == [file]
    fresh = haproxy.ca.issue("127.0.0.1", "localhost")
    runtime.set_certificate(file, pem(fresh))
    assert served(haproxy) in Path(fresh.cert_file).read_text()


def test_a_certificate_without_its_key_is_refused_and_leaves_no_transaction(haproxy, runtime):
    file = f"{haproxy.folder}/own.pem"
    before = runtime.certificate(file)
    with pytest.raises(EngineError, match="must contain at least a certificate and a private key"):
        runtime.set_certificate(file, Path(haproxy.ca.issue("127.0.0.1", "localhost").cert_file).read_bytes())
    assert runtime.certificate(file) == before
    assert "transaction" not in runtime.ask("show ssl cert")
    with pytest.raises(NotThere, match="not referenced by the configuration"):
        runtime.set_certificate("other.pem", pem(haproxy.ca.server))


def test_ca_and_revocation_lists_are_replaced_from_2_8_on_and_refused_before(haproxy, runtime):
    cas, crls = f"{haproxy.folder}/ca.pem", f"{haproxy.folder}/crl.pem"
    ca, crl = Path(haproxy.ca.ca_file).read_bytes(), Path(haproxy.ca.revocation_list(haproxy.ca.client)).read_bytes()
    for replace in (lambda: runtime.set_ca_file(cas, ca), lambda: runtime.set_crl_file(crls, crl)):
        if haproxy.version == "2.6":
            with pytest.raises(EngineError, match="and may crash when"):
                replace()
        else:
            replace()
    assert len(runtime.ca_certificates(cas)) == 1
    if haproxy.version == "2.8":
        assert runtime.ask(f"show ssl crl-file {crls}").count("Serial Number:") == 1


def test_more_than_haproxy_takes_at_once_is_said(haproxy, admin):
    file = f"{haproxy.folder}/own.pem"
    with pytest.raises(EngineError, match=r"tune\.bufsize"):
        admin.set_certificate(file, pem(haproxy.ca.server) * 20)
