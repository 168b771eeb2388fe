"""One VIP as a section of haproxy.cfg: what its template prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lbkit.checks.kind import TlsTerms
from lbkit.checks.script import HttpGet
from lbkit.durations import written
from lbkit.haproxy import secured
from lbkit.haproxy.health import directives
from lbkit.haproxy.native import Checked, checked_port, connect_ports
from lbkit.haproxy.quoting import address, literal, too_long
from lbkit.site.draft import Draft
from lbkit.site.findings import Key, Problem
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip

FALLBACK = "_fallback"
FALLBACK_ID = 1000


@dataclass(frozen=True, slots=True)
class Section:
    """`hosts`: the lines of its map file, of servers to Host headers; empty: it needs none. `own_tls`: of its check."""

    vip: Vip
    check_timeout: float
    summary: str
    binds: tuple[str, ...]
    check: tuple[str, ...]
    default_server: str
    servers: tuple[str, ...]
    hosts: tuple[str, ...]
    own_tls: TlsTerms | None

    @property
    def cookie(self) -> str:
        """Its name."""
        return f"lb-{self.vip.label}"

    @property
    def moved_file(self) -> str:
        """Cookie values that are sent elsewhere, seen from haproxy.cfg; filled at run time."""
        return moved_file(self.vip.label)

    @property
    def hosts_file(self) -> str:
        """The Host header of the check for each server, seen from haproxy.cfg."""
        return hosts_file(self.vip.label)


def moved_file(vip: str) -> str:
    """Cookie values that are sent elsewhere, seen from haproxy.cfg; filled at run time."""
    return f"lists/{vip}.acl"


def hosts_file(vip: str) -> str:
    """The Host header of the check for each server, seen from haproxy.cfg."""
    return f"lists/{vip}.map"


def section(vip: Vip, site: Site | Draft, servers: list[Checked]) -> Section:
    """Of a layer-7 VIP of which `native.problems` has found none."""
    host, hosts = _hosts(vip, servers)
    options = [list(_options(vip, one, site)) for one in servers]
    common = _common(options)
    script = servers[0].script
    return Section(
        vip,
        servers[0].params.timeout,
        _summary(vip),
        tuple(_binds(vip, site)),
        () if isinstance(script, str) else tuple(directives(script, connect_ports(vip), host)),
        " ".join(common),
        tuple(_servers(vip, options, common)),
        hosts,
        next((one.own_tls for one in servers if one.own_tls), None),
    )


def problems(made: Section, key: Key) -> Iterator[Problem]:
    """What HAProxy could not read of a section."""
    for why in filter(None, map(too_long, (*made.check, made.default_server, *made.servers))):
        message = f"{made.vip.label}: {why}. Shorten what the check sends or expects."
        yield Problem("error", "line-too-long", (*key, "check"), message)


def _summary(vip: Vip) -> str:
    ports = f"port{'s' * (len(vip.ports) > 1)} {', '.join(map(str, vip.ports))}"
    ends = vip.termination
    tls = "" if not ends else f", TLS with client certificates of {ends.ca}" if ends.ca else ", TLS"
    kept = {"none": "no persistence", "source-ip": "source IP", "http-cookie": "HTTP cookie"}
    persistence = kept.get(vip.persistence.mode, "Last Successful")
    check = f"check {vip.check.kind} every {written(vip.check.interval)}"
    return f"{vip.label}: {vip.address} {ports}{tls}; {persistence}; {check}"


def _binds(vip: Vip, site: Site | Draft) -> Iterator[str]:
    tls = (
        "".join(f" {one}" for one in secured.at_the_vip(vip.termination, site, vip.protocol)) if vip.termination else ""
    )
    for port in vip.ports:
        yield address(vip.address, port) + tls


def _options(vip: Vip, one: Checked, site: Site | Draft) -> Iterator[str]:
    """Of a server line; those that all servers of a VIP have move to its `default-server`."""
    server = one.server
    if server.re_encrypt:
        yield from secured.to_the_server(server, site)
    if vip.proxy_protocol:
        yield "send-proxy-v2"
    yield f"check inter {written(vip.check.interval)} rise {vip.check.rise} fall {vip.check.fall}"
    if connect_ports(vip) == (None,) and checked_port(vip, server) != server.port:
        yield f"port {checked_port(vip, server)}"
    if one.own_tls:
        yield from secured.of_the_check_alone(one.own_tls, vip.label)
    elif one.inside_tls:
        yield "check-ssl"
        if server.server_name is not None:
            yield f"check-sni {server.server_name}"
    elif server.re_encrypt:
        yield "no-check-ssl"
    if vip.proxy_protocol:
        yield "check-send-proxy"
    yield f"weight {server.weight}"


def _common(options: list[list[str]]) -> list[str]:
    """Those of all. Without `ssl`, `check-ssl` stays at each: the fallback has it otherwise, and nothing to verify by."""
    common = [one for one in options[0] if all(one in others for others in options)]
    secured_alike = any(one.startswith("ssl ") for one in common)
    return [one for one in common if one != "check-ssl" or secured_alike]


def _servers(vip: Vip, options: list[list[str]], common: list[str]) -> Iterator[str]:
    rows = [
        [server.label, address(server.address, server.port), f"id {number}", *_own(vip, server)]
        + [one for one in mine if one not in common]
        for number, (server, mine) in enumerate(zip(vip.servers, options, strict=True), 1)
    ]
    if vip.fallback:
        target = address(vip.fallback.address, vip.fallback.port)
        shared = {one.split()[0] for one in common}
        negated = [f"no-{one}" for one in ("ssl", "check-ssl", "send-proxy-v2") if one in shared]
        rows.append([FALLBACK, target, f"id {FALLBACK_ID}", "backup non-stick no-check", *negated])
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield " ".join([*padded, *row[3:]]).rstrip()


def _own(vip: Vip, server: RealServer) -> Iterator[str]:
    """What stands on each server line, since the fallback must not have it."""
    if vip.persistence.mode == "http-cookie":
        yield f"cookie {server.label}"
    if vip.transparent:
        yield f"source {'[::]' if ':' in server.address else '0.0.0.0'} usesrc clientip"  # noqa: S104  (any of ours)
    elif vip.source_address is not None:
        yield f"source {address(vip.source_address)}"


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
