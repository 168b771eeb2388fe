"""What HAProxy can run of a VIP's check by itself, and why it can't run the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from lbkit.checks.kind import CheckKind, Params, TlsParams, TlsTerms, validated
from lbkit.checks.plan import parameters, towards
from lbkit.checks.script import HttpGet, Script
from lbkit.durations import written
from lbkit.haproxy.regex import not_portable
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip

LONGEST = 24 * 86400.0  # seconds; HAProxy counts milliseconds in 31 bits (manual 2.5)
_TLS_TERMS = TlsTerms.model_fields.keys() - Params.model_fields.keys()


@dataclass(frozen=True, slots=True)
class Checked:
    """How one real server is checked. They differ within a VIP by their TLS terms alone."""

    server: RealServer
    params: Params
    script: Script | str

    @property
    def inside_tls(self) -> bool:
        """Whether the check speaks TLS."""
        return self.params.tls if isinstance(self.params, TlsParams) else isinstance(self.params, TlsTerms)

    @property
    def own_tls(self) -> TlsTerms | None:
        """The terms of a check inside TLS, to a server that is not re-encrypted."""
        own = self.inside_tls and not self.server.re_encrypt
        return self.params if own and isinstance(self.params, TlsTerms) else None


def checked(vip: Vip, site: Site | Draft, kind: CheckKind[Any]) -> list[Checked]:
    """Each real server, with the parameters that `lbkit check site` has for it. Raises Misuse for wrong parameters."""
    found = []
    for server in vip.servers:
        given = parameters(kind, towards(server, site), vip.check.params)
        params = validated(kind.name, kind.params, given)
        script = kind.script(params) if kind.script else "its plugin does not say how an engine could"
        found.append(Checked(server, params, script))
    return found


def connect_ports(vip: Vip) -> tuple[int | None, ...]:
    """The ports that a check connects to one after the other; None: the one of each server."""
    several = len(vip.ports) > 1 and "port" not in vip.check.params and any(not s.port for s in vip.servers)
    return vip.ports if several else (None,)


def checked_port(vip: Vip, server: RealServer) -> int:
    """The port of this server that is checked, where it is one for each."""
    return int(vip.check.params.get("port", server.port or vip.ports[0]))


def problems(vip: Vip, key: Key, site: Site | Draft, servers: list[Checked]) -> Iterator[Problem]:
    """Why HAProxy can't run this VIP as the site has it."""
    yield from _durations(vip, key, servers[0].params.timeout)
    yield from _ports(vip, key)
    yield from _script(vip, (*key, "check"), servers[0].script)
    for index, one in enumerate(servers):
        yield from _tls(vip, (*key, "servers", index), site, one)


def _not_native(key: Key, message: str) -> Problem:
    return Problem("error", "not-native", key, message)


def _durations(vip: Vip, key: Key, timeout: float) -> Iterator[Problem]:
    found = {
        ("check", "interval"): vip.check.interval,
        ("check", "timeout"): timeout,
        ("persistence", "timeout"): vip.persistence.timeout,
        ("client_timeout",): vip.client_timeout,
        ("server_timeout",): vip.server_timeout,
    }
    for place, duration in found.items():
        if duration is not None and duration > LONGEST:
            message = f"{vip.label}: {written(duration)} is more than HAProxy counts ({written(LONGEST)}). Give less."
            yield _not_native((*key, *place), message)


def _ports(vip: Vip, key: Key) -> Iterator[Problem]:
    if connect_ports(vip) != (None,) and any(server.port for server in vip.servers):
        message = (
            f"{vip.label}: HAProxy checks the same ports of all its servers, and some have one, some the VIP's "
            f"{len(vip.ports)}. Give each a port, or none, or the check one."
        )
        yield _not_native((*key, "servers"), message)


def _script(vip: Vip, key: Key, script: Script | str) -> Iterator[Problem]:
    if isinstance(script, str):
        yield _not_native(key, f"{vip.label}: HAProxy can't run this check: {script}.")
    elif isinstance(script, HttpGet) and script.match == "equals" and not script.body.strip():
        message = f'{vip.label}: HAProxy finds nothing equal to an empty body. Give a body, or use match = "anything".'
        yield _not_native((*key, "body"), message)
    elif isinstance(script, HttpGet) and script.match == "regex" and (why := not_portable(script.body)):
        message = (
            f"{vip.label}: HAProxy may match {script.body[:60]!r} otherwise than lbkit: {why}. Write it without, or use "
            'match = "contains".'
        )
        yield Problem("error", "regex-not-portable", (*key, "body"), message)


def _tls(vip: Vip, key: Key, site: Site | Draft, one: Checked) -> Iterator[Problem]:
    who = f"{vip.label} / {one.server.label}"
    if one.server.verify is not None and one.server.server_name is not None and _is_address(one.server.server_name):
        message = (
            f"{who}: HAProxy looks for names in certificates, never for addresses such as {one.server.server_name}. Give "
            "a name that its certificate has."
        )
        yield _not_native((*key, "server_name"), message)
    if one.own_tls:
        yield from _own_tls(who, (*key[:2], "check"), one.own_tls)
    elif one.inside_tls:
        offered = towards(one.server, site)
        defaults = {name: field.default for name, field in TlsTerms.model_fields.items()}
        other = [name for name in sorted(_TLS_TERMS) if getattr(one.params, name) != offered.get(name, defaults[name])]
        if other:
            message = (
                f"{who}: HAProxy checks a re-encrypted server with the TLS terms of its traffic, and the check has its own "
                f"({', '.join(other)}). Take them out."
            )
            yield _not_native((*key[:2], "check", other[0]), message)


def _own_tls(who: str, key: Key, params: TlsTerms) -> Iterator[Problem]:
    """HAProxy verifies the name that it sends as SNI, and no address."""
    if not params.verify:
        return
    if params.verify_name and (params.server_name is None or _is_address(params.server_name)):
        message = (
            f"{who}: HAProxy verifies a name, no address. Give the check the server_name of the certificate, or "
            "verify_name = false."
        )
        yield _not_native((*key, "server_name"), message)
    if not params.verify_name and params.server_name is not None:
        message = (
            f"{who}: HAProxy verifies the name that it asks for. Take server_name out of the check, or verify_name."
        )
        yield _not_native((*key, "verify_name"), message)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
