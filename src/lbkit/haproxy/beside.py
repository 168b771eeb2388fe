"""The files that haproxy.cfg names: identities, CA families, lists, the fallback page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from lbkit.checks.kind import TlsTerms
from lbkit.haproxy import page, secured
from lbkit.haproxy.sections import Section
from lbkit.install.files import File
from lbkit.site.model import Site
from lbkit.tls.family import read_family
from lbkit.tls.identity import read_identity


class Beside:
    """Of what the sections name. `certificates`, `ca_families`, `revocation_lists`: by the site's names, where they lie."""

    def __init__(self, site: Site, made: list[Section]) -> None:
        self._site = site
        self._made = made
        self._folder = Path(site.haproxy.folder)
        pair = [site.pair] if site.pair and site.pair.certificate and site.pair.ca else []
        names = [*_certificates(made), *(one.certificate for one in pair if one.certificate)]
        families = [*_families(made), *(one.ca for one in pair if one.ca)]
        lists = [name for name in families if site.ca_families[name].crl_file]
        self.certificates = {name: self._folder / secured.certificate(name) for name in dict.fromkeys(names)}
        self.ca_families = {name: self._folder / secured.cas(name) for name in dict.fromkeys(families)}
        self.revocation_lists = {name: self._folder / secured.crl(name) for name in dict.fromkeys(lists)}

    def files(self) -> Iterator[File]:
        """All of them. Raises Misuse for what can't be read."""
        for name, path in self.certificates.items():
            own = self._site.certificates[name]
            yield self._identity(path, own.file, own.key_file, own.password_file)
        for name, path in self.ca_families.items():
            family = self._site.ca_families[name]
            yield from _family(path, self.revocation_lists.get(name), family.ca_file, family.crl_file)
        for section in self._made:
            if section.own_tls:
                yield from self._of_check(section.vip.label, section.own_tls)
            if section.vip.persistence.mode == "http-cookie":
                yield File(self._folder / section.moved_file, b"# filled at run time\n")
            if section.hosts:
                yield File(self._folder / section.hosts_file, "".join(f"{one}\n" for one in section.hosts).encode())
        if self._site.fallback_page:
            content = page.content(self._site.fallback_page, self._site.name)
            yield File(self._folder / page.NAME, content)

    def _identity(self, path: Path, file: str, key_file: str | None, password_file: str | None) -> File:
        content = read_identity(file, key_file or "", password_file or "").pem()
        return File(path, content, 0o640 if self._site.haproxy.group else 0o600, secret=True)

    def _of_check(self, vip: str, own: TlsTerms) -> Iterator[File]:
        if own.cert_file:
            path = self._folder / secured.of_check(vip, "client.pem")
            yield self._identity(path, own.cert_file, own.key_file, own.key_password_file)
        if own.verify and own.ca_file:
            ca, crl = (self._folder / secured.of_check(vip, name) for name in ("ca.pem", "ca.crl"))
            yield from _family(ca, crl if own.crl_file else None, own.ca_file, own.crl_file)


def _certificates(made: list[Section]) -> Iterator[str]:
    for section in made:
        if section.vip.termination:
            yield section.vip.termination.certificate
        yield from filter(None, (server.client_certificate for server in section.vip.servers))


def _families(made: list[Section]) -> Iterator[str]:
    for section in made:
        if section.vip.termination and section.vip.termination.ca:
            yield section.vip.termination.ca
        yield from filter(None, (server.verify for server in section.vip.servers))


def _family(ca: Path, crl: Path | None, ca_file: str, crl_file: str | None) -> Iterator[File]:
    """Normalised: what stands around the blocks of a PEM file is no business of HAProxy's."""
    family = read_family([ca_file], [crl_file] if crl_file else [])
    yield File(ca, b"".join(one.raw.public_bytes(Encoding.PEM) for one in family.cas))
    if crl:
        yield File(crl, b"".join(one.raw.public_bytes(Encoding.PEM) for one in family.lists))
