"""A site as HAProxy's files: haproxy.cfg, and what it names, beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from lbkit.checks.plan import KindOf
from lbkit.durations import written
from lbkit.errors import Misuse
from lbkit.haproxy import limits, native, sections, secured
from lbkit.haproxy.beside import Beside
from lbkit.haproxy.program import OLDEST
from lbkit.haproxy.quoting import address
from lbkit.haproxy.sections import Section
from lbkit.haproxy.transparent import rules
from lbkit.install.files import File
from lbkit.site.findings import Problem
from lbkit.site.findings import written as placed
from lbkit.site.model import Node, Site
from lbkit.state.node import node_of

NAME = "haproxy.cfg"
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_CIPHERSUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_BALANCE = {"first": "first", "least-connections": "leastconn", "round-robin": "roundrobin"}
_FEWEST_ENTRIES = 100_000
_KEEPS_CAPABILITIES = (2, 9, 0)  # setcap (manual 3.1)
_FINDS_CLIENT_CERTIFICATES = (2, 8, 0)  # of server lines; 2.6 heeds no `default-path` for them
_LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Rendered:
    """`files`: all, haproxy.cfg last. The mappings: which of them holds [certificates.X] or [ca_families.X], by X."""

    files: tuple[File, ...]
    certificates: Mapping[str, Path]
    ca_families: Mapping[str, Path]
    revocation_lists: Mapping[str, Path]

    @property
    def configuration(self) -> str:
        """The text of haproxy.cfg."""
        return self.files[-1].content.decode()


def render(site: Site, kind_of: KindOf, node: str | None = None, version: tuple[int, int, int] = OLDEST) -> Rendered:
    """The files of this node (`node`: as `node_of` takes it) for HAProxy of `version`; the same bytes for the same site.

    Raises Misuse for what HAProxy can't do of the site, and for a certificate that can't be read.
    """
    here = node_of(site, node)
    made = _sections(site, kind_of)
    beside = Beside(site, made)
    configuration = _configuration(site, made, here, version)
    cfg = File(Path(site.haproxy.folder, NAME), configuration.encode())
    return Rendered(
        (*beside.files(), *rules(site), cfg), beside.certificates, beside.ca_families, beside.revocation_lists
    )


def _sections(site: Site, kind_of: KindOf) -> list[Section]:
    made: list[Section] = []
    problems: list[Problem] = list(limits.problems(site))
    for number, vip in enumerate(site.vips):
        if vip.mode != "l7-snat":
            continue
        servers = native.checked(vip, site, kind_of(vip.check.kind))
        wrong = list(limits.of_vip(vip, ("vips", number), site, servers))
        if not wrong:
            made.append(sections.section(vip, site, servers))
        problems += wrong
    if problems:
        raise Misuse("\n".join(f"{placed(one.key)}: {one.message} ({one.rule})" for one in problems))
    return made


def _configuration(site: Site, made: list[Section], here: Node | None, version: tuple[int, int, int]) -> str:
    from jinja2 import Environment, StrictUndefined  # the agent loads this module, and never comes here

    environment = Environment(  # noqa: S701  (HAProxy's language is quoted by lbkit.haproxy.quoting)
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    environment.filters["duration"] = written
    template = environment.from_string((files("lbkit.haproxy") / f"{NAME}.j2").read_text())
    page = site.fallback_page
    return template.render(
        site=site,
        settings=site.haproxy,
        node=here.name if here else None,
        local=here.name if here else _LOCAL,
        peers=list(_peers(site)),
        peers_tls=secured.between_the_nodes(site.pair, site) if site.pair else "",
        sections=made,
        transparent=any(section.vip.transparent for section in made),
        keeps_capabilities=version >= _KEEPS_CAPABILITIES,
        ciphers=_CIPHERS,
        ciphersuites=_CIPHERSUITES,
        balance=_BALANCE,
        entries=max(2 * site.haproxy.max_connections, _FEWEST_ENTRIES),
        preloaded=list(_preloaded(made)) if version < _FINDS_CLIENT_CERTIFICATES else [],
        page=address(page.address, page.port) if page else None,
    )


def _preloaded(made: list[Section]) -> Iterator[str]:
    """Certificates that server lines alone name."""
    at_vips = {section.vip.termination.certificate for section in made if section.vip.termination}
    to_servers = {one.client_certificate for section in made for one in section.vip.servers if one.client_certificate}
    yield from (secured.certificate(name) for name in sorted(to_servers - at_vips))
    for section in made:
        if section.own_tls and section.own_tls.cert_file:
            yield secured.of_check(section.vip.label, "client.pem")


def _peers(site: Site) -> Iterator[tuple[str, str]]:
    """Without a pair one that is alone: with no peers section, a reload would lose the tables."""
    if site.pair is None:
        yield _LOCAL, address("127.0.0.1", site.haproxy.peer_port)
        return
    for node in site.pair.nodes:
        yield node.name, address(node.address, site.haproxy.peer_port)
