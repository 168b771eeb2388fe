"""What HAProxy can run of a VIP's check by itself, and why the agent runs the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from lbkit.checks.kind import CheckKind, Params, TlsParams, TlsTerms, validated
from lbkit.checks.plan import KindOf, parameters, towards
from lbkit.checks.script import HttpGet, Script
from lbkit.errors import LbkitError
from lbkit.haproxy.health import directives, hosts_file
from lbkit.haproxy.quoting import literal, too_long
from lbkit.haproxy.regex import not_portable
from lbkit.site.draft import Draft
from lbkit.site.findings import Key
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip

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


def not_native(vip: Vip, site: Site | Draft, servers: list[Checked]) -> list[tuple[Key, str]]:
    """Why HAProxy can't run this VIP's check by itself, each with its place in the VIP; none: it can.

    The agent runs it then, and HAProxy asks the agent.
    """
    found = [*_ports(vip), *_script(vip, servers[0].script)]
    for one in servers:
        found += _tls(vip, site, one)
    return found or list(_too_long(vip, servers))


def script_lines(vip: Vip, servers: list[Checked]) -> tuple[list[str], tuple[str, ...]]:
    """The lines of a check for which there is a script, and those of the map of Host headers that they may need."""
    host, hosts = _hosts(vip, servers)
    script = servers[0].script
    return [] if isinstance(script, str) else directives(script, connect_ports(vip), host), hosts


def _hosts(vip: Vip, servers: list[Checked]) -> tuple[Callable[[int | None], str], tuple[str, ...]]:
    """The Host header at a port as a log format, and the lines of the map that it may need."""
    formats: dict[int | None, str] = {}
    lines: list[str] = []
    for at in connect_ports(vip):
        found = {
            one.server.label: one.script.host_for(one.server.address, at or checked_port(vip, one.server))
            for one in servers
            if isinstance(one.script, HttpGet)
        }
        if len(set(found.values())) == 1:
            formats[at] = literal(next(iter(found.values())))
        else:
            suffix = "" if at is None else f":{at}"
            key = f"srv_name,concat({suffix})" if suffix else "srv_name"
            formats[at] = f"%[{key},map({hosts_file(vip.label)})]"
            lines += [f"{label}{suffix} {host}" for label, host in found.items()]
    return formats.__getitem__, tuple(lines)


def by_agent(site: Site, kind_of: KindOf) -> list[Vip]:
    """The layer-7 VIPs about whose real servers HAProxy asks the agent.

    One whose check can't be prepared is among them: `lbkit.checks.plan` says why, in its place.
    """
    return [vip for vip in site.vips if vip.mode == "l7-snat" and _is_for_the_agent(vip, site, kind_of)]


def _is_for_the_agent(vip: Vip, site: Site, kind_of: KindOf) -> bool:
    try:
        return bool(not_native(vip, site, checked(vip, site, kind_of(vip.check.kind))))
    except LbkitError:
        return True


def _ports(vip: Vip) -> Iterator[tuple[Key, str]]:
    if connect_ports(vip) != (None,) and any(server.port for server in vip.servers):
        yield (
            ("servers",),
            f"{vip.label}: HAProxy checks the same ports of all its servers, and some have one, some the VIP's "
            f"{len(vip.ports)}. Give each a port, or none, or the check one.",
        )


def _script(vip: Vip, script: Script | str) -> Iterator[tuple[Key, str]]:
    if isinstance(script, str):
        yield ("check",), f"{vip.label}: HAProxy can't run this check: {script}."
    elif isinstance(script, HttpGet) and script.match == "equals" and not script.body.strip():
        yield (
            ("check", "body"),
            f'{vip.label}: HAProxy finds nothing equal to an empty body. Give a body, or use match = "anything".',
        )
    elif isinstance(script, HttpGet) and script.match == "regex" and (why := not_portable(script.body)):
        yield (
            ("check", "body"),
            f"{vip.label}: HAProxy may match {script.body[:60]!r} otherwise than lbkit: {why}. Write it without, or use "
            'match = "contains".',
        )


def _too_long(vip: Vip, servers: list[Checked]) -> Iterator[tuple[Key, str]]:
    for why in filter(None, map(too_long, script_lines(vip, servers)[0])):
        yield ("check",), f"{vip.label}: {why}. Shorten what the check sends or expects."


def _tls(vip: Vip, site: Site | Draft, one: Checked) -> Iterator[tuple[Key, str]]:
    who = f"{vip.label} / {one.server.label}"
    if one.own_tls:
        yield from _own_tls(who, one.own_tls)
    elif one.inside_tls:
        offered = towards(one.server, site)
        defaults = {name: field.default for name, field in TlsTerms.model_fields.items()}
        other = [name for name in sorted(_TLS_TERMS) if getattr(one.params, name) != offered.get(name, defaults[name])]
        if other:
            yield (
                ("check", other[0]),
                f"{who}: HAProxy checks a re-encrypted server with the TLS terms of its traffic, and the check has its own "
                f"({', '.join(other)}). Take them out.",
            )


def _own_tls(who: str, params: TlsTerms) -> Iterator[tuple[Key, str]]:
    """HAProxy verifies the name that it sends as SNI, and no address."""
    if not params.verify:
        return
    if params.verify_name and (params.server_name is None or is_address(params.server_name)):
        yield (
            ("check", "server_name"),
            f"{who}: HAProxy verifies a name, no address. Give the check the server_name of the certificate, or "
            "verify_name = false.",
        )
    if not params.verify_name and params.server_name is not None:
        yield (
            ("check", "verify_name"),
            f"{who}: HAProxy verifies the name that it asks for. Take server_name out of the check, or verify_name.",
        )


def is_address(name: str) -> bool:
    """Whether a name is an IP address, which HAProxy looks for in no certificate."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
