"""One VIP as a section of haproxy.cfg: what its template prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lbkit.checks.kind import TlsTerms
from lbkit.durations import written
from lbkit.haproxy import secured
from lbkit.haproxy.health import hosts_file
from lbkit.haproxy.native import Checked, checked_port, connect_ports, not_native, script_lines
from lbkit.haproxy.quoting import address
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip

FALLBACK = "_fallback"
FALLBACK_ID = 1000
AGENT = "127.0.0.1"
_ASKED_EVERY = 1.0  # seconds at most; the agent knows the answer, so that this is all it adds
_ANSWERS_WITHIN = 1.0  # seconds


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


def section(vip: Vip, site: Site, servers: list[Checked]) -> Section:
    """Of a layer-7 VIP of which `limits.of_vip` has found none."""
    by_agent = bool(not_native(vip, site, servers))
    options = [list(_options(vip, one, site, by_agent)) for one in servers]
    common = _common(options)
    check, hosts = ([], ()) if by_agent else script_lines(vip, servers)
    return Section(
        vip,
        _ANSWERS_WITHIN if by_agent else servers[0].params.timeout,
        _summary(vip) + (" by the agent" if by_agent else ""),
        tuple(_binds(vip, site)),
        tuple(check),
        " ".join(common),
        tuple(_servers(vip, options, common, by_agent)),
        hosts,
        None if by_agent else next((one.own_tls for one in servers if one.own_tls), None),
    )


def _summary(vip: Vip) -> str:
    ports = f"port{'s' * (len(vip.ports) > 1)} {', '.join(map(str, vip.ports))}"
    ends = vip.termination
    tls = "" if not ends else f", TLS with client certificates of {ends.ca}" if ends.ca else ", TLS"
    kept = {"none": "no persistence", "source-ip": "source IP", "http-cookie": "HTTP cookie"}
    persistence = kept.get(vip.persistence.mode, "Last Successful")
    check = f"check {vip.check.kind} every {written(vip.check.interval)}"
    return f"{vip.label}: {vip.address} {ports}{tls}; {persistence}; {check}"


def _binds(vip: Vip, site: Site) -> Iterator[str]:
    tls = (
        "".join(f" {one}" for one in secured.at_the_vip(vip.termination, site, vip.protocol)) if vip.termination else ""
    )
    for port in vip.ports:
        yield address(vip.address, port) + tls


def _options(vip: Vip, one: Checked, site: Site, by_agent: bool) -> Iterator[str]:
    """Of a server line; those that all servers of a VIP have move to its `default-server`."""
    if one.server.re_encrypt:
        yield from secured.to_the_server(one.server, site)
    if vip.proxy_protocol:
        yield "send-proxy-v2"
    yield from _agent_check(vip, site) if by_agent else _own_check(vip, one)
    if vip.slow_start is not None:
        yield f"slowstart {written(vip.slow_start)}"
    yield f"weight {one.server.weight}"


def _agent_check(vip: Vip, site: Site) -> Iterator[str]:
    """HAProxy asks the agent, which has counted rise and fall already (manual 5.2: agent-check)."""
    every = written(min(vip.check.interval, _ASKED_EVERY))
    yield f"agent-check agent-addr {AGENT} agent-port {site.agent.check_port} agent-inter {every}"


def _own_check(vip: Vip, one: Checked) -> Iterator[str]:
    fast = "" if vip.check.fast_interval is None else f" fastinter {written(vip.check.fast_interval)}"
    yield f"check inter {written(vip.check.interval)}{fast} rise {vip.check.rise} fall {vip.check.fall}"
    server = one.server
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


def _common(options: list[list[str]]) -> list[str]:
    """Those of all. Without `ssl`, `check-ssl` stays at each: the fallback has it otherwise, and nothing to verify by."""
    common = [one for one in options[0] if all(one in others for others in options)]
    secured_alike = any(one.startswith("ssl ") for one in common)
    return [one for one in common if one != "check-ssl" or secured_alike]


def _servers(vip: Vip, options: list[list[str]], common: list[str], by_agent: bool) -> Iterator[str]:
    rows = [
        [server.label, address(server.address, server.port), f"id {number}", *_own(vip, server, by_agent)]
        + [one for one in mine if one not in common]
        for number, (server, mine) in enumerate(zip(vip.servers, options, strict=True), 1)
    ]
    if vip.fallback:
        target = address(vip.fallback.address, vip.fallback.port)
        shared = {one.split()[0] for one in common}
        negated = [f"no-{one}" for one in ("ssl", "check-ssl", "send-proxy-v2", "agent-check") if one in shared]
        rows.append([FALLBACK, target, f"id {FALLBACK_ID}", "backup non-stick no-check", *negated])
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield " ".join([*padded, *row[3:]]).rstrip()


def _own(vip: Vip, server: RealServer, by_agent: bool) -> Iterator[str]:
    """What stands on each server line, since the fallback must not have it."""
    if by_agent:
        yield f'agent-send "{vip.label}/{server.label}\\n"'
    if vip.persistence.mode == "http-cookie":
        yield f"cookie {server.label}"
    if vip.transparent:
        yield f"source {'[::]' if ':' in server.address else '0.0.0.0'} usesrc clientip"  # noqa: S104  (any of ours)
    elif vip.source_address is not None:
        yield f"source {address(vip.source_address)}"
