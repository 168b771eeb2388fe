"""c-echo inside TLS: against storescp, and against a server that speaks TLS 1.3 only, whose alerts come late."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
from interop.doors import Door, blocking, in_asyncio
from interop.remotes import Remote
from interop.secured import Secured

from lbkit.testing import Identity, Listener, Script, ThrowawayCA

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
Listen: TypeAlias = Callable[[Script], Listener]


def without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def test_a_server_that_requires_a_client_certificate_is_up_with_one(storescp_tls: Secured, door: Door) -> None:
    said = door("c-echo", storescp_tls.remote.target, **storescp_tls.options)
    assert said.verdict == ("up", "echo", "ok"), said.message


def test_the_session_is_told_in_the_details(storescp_tls: Secured) -> None:
    for door in (blocking, in_asyncio):
        details = door("c-echo", storescp_tls.remote.target, **storescp_tls.options).details
        assert details["tls"]["version"] in ("TLSv1.2", "TLSv1.3")
        assert details["tls"]["cipher"]
        assert details["implementation_version"].startswith("OFFIS_DCMTK_")


def test_without_a_client_certificate_the_refusal_is_told(storescp_tls: Secured, door: Door) -> None:
    said = door("c-echo", storescp_tls.remote.target, **without(storescp_tls.options, "cert_file", "key_file"))
    assert said.verdict == ("down", "tls", "client-certificate-refused"), said.message
    assert "--cert-file" in said.message


def test_a_server_of_another_ca_is_untrusted(storescp_tls: Secured, throwaway_ca: ThrowawayCA, door: Door) -> None:
    said = door("c-echo", storescp_tls.remote.target, **(storescp_tls.options | {"ca_file": throwaway_ca.ca_file}))
    assert said.verdict == ("down", "tls", "certificate-untrusted"), said.message


def test_without_verification_a_server_of_another_ca_is_up(storescp_tls: Secured, door: Door) -> None:
    said = door("c-echo", storescp_tls.remote.target, **without(storescp_tls.options, "ca_file"), verify=False)
    assert said.verdict == ("up", "echo", "ok"), said.message


def test_a_certificate_for_another_name_is_told(storescp_tls: Secured, door: Door) -> None:
    said = door("c-echo", storescp_tls.remote.target, **storescp_tls.options, server_name="other.lbkit.test")
    assert said.verdict == ("down", "tls", "certificate-name"), said.message


def test_tls_to_a_server_that_answers_in_plain_dicom_is_told(pynetdicom_server: Remote, door: Door) -> None:
    """pynetdicom sends A-ABORT."""
    said = door("c-echo", pynetdicom_server.target, tls=True)
    assert said.verdict == ("down", "tls", "not-tls"), said.message
    assert "--no-tls" in said.message


def test_tls_to_a_server_that_resets_hints_at_the_reason(storescp: Remote, orthanc_lax: Remote, door: Door) -> None:
    """dcmtk, and Orthanc with it, answer what is no DICOM with RST."""
    for remote in (storescp, orthanc_lax):
        said = door("c-echo", remote.target, tls=True)
        assert said.verdict == ("down", "tls", "reset"), said.message
        assert "no TLS on this port" in said.message


def test_no_tls_to_a_server_that_wants_it_hints_at_the_reason(storescp_tls: Secured, door: Door) -> None:
    said = door("c-echo", storescp_tls.remote.target)
    assert said.verdict == ("down", "associate", "reset"), said.message
    assert "expects TLS" in said.message


# --- alerts that come after the handshake -------------------------------------------------------------------------------


def at_once(context: ssl.SSLContext) -> Script:
    """Closes as soon as the handshake has failed; with our request still unread, that is an RST behind the alert."""

    def script(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secured:
            secured.recv(4096)

    return script


def gently(context: ssl.SSLContext) -> Script:
    """Says what it has to say, then reads until the client has gone."""

    def script(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
            except ssl.SSLError:
                socket.socket.shutdown(secured, socket.SHUT_WR)
                while socket.socket.recv(secured, 4096):
                    pass

    return script


def only(version: ssl.TLSVersion, ca: ThrowawayCA) -> ssl.SSLContext:
    context = ca.server_context(wants_client=True)
    context.minimum_version = context.maximum_version = version
    return context


def no_certificate(_: ThrowawayCA, __: ThrowawayCA) -> None:
    return None


def of_another_ca(_: ThrowawayCA, other: ThrowawayCA) -> Identity:
    return other.client


def expired(ca: ThrowawayCA, _: ThrowawayCA) -> Identity:
    return ca.issue("client.lbkit.test", not_after=LONG_AGO)


@pytest.mark.parametrize("ending", [at_once, gently])
@pytest.mark.parametrize(
    ("client", "alert"),
    [(no_certificate, "certificate required"), (of_another_ca, "unknown ca"), (expired, "certificate expired")],
)
def test_a_late_alert_of_tls_13_is_told_by_its_name(
    client: Callable[[ThrowawayCA, ThrowawayCA], Identity | None],
    alert: str,
    ending: Callable[[ssl.SSLContext], Script],
    listener: Listen,
    throwaway_ca: ThrowawayCA,
    tmp_path_factory: pytest.TempPathFactory,
    door: Door,
) -> None:
    remote = listener(ending(only(ssl.TLSVersion.TLSv1_3, throwaway_ca)))
    options: dict[str, Any] = {"tls": True, "ca_file": throwaway_ca.ca_file}
    if identity := client(throwaway_ca, ThrowawayCA(tmp_path_factory.mktemp("other"))):
        options |= {"cert_file": identity.cert_file, "key_file": identity.key_file}
    said = door("c-echo", remote.target, **options)
    assert said.verdict == ("down", "tls", "client-certificate-refused"), said.message
    assert f"“{alert}”" in said.message


def test_the_handshake_failure_of_tls_12_hints_at_the_missing_certificate(
    listener: Listen, throwaway_ca: ThrowawayCA, door: Door
) -> None:
    """TLS 1.2 has no alert for a client certificate that is missing."""
    remote = listener(gently(only(ssl.TLSVersion.TLSv1_2, throwaway_ca)))
    said = door("c-echo", remote.target, tls=True, ca_file=throwaway_ca.ca_file)
    assert said.verdict == ("down", "tls", "tls-refused"), said.message
    assert "client certificate (--cert-file)" in said.message
