"""Which checks a site asks for: of each real server, as its engine speaks to it, and of each VIP, as a client does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lbkit.checks import direct_routing
from lbkit.checks.direct_routing import NOT_TESTABLE_HERE
from lbkit.checks.here import is_of_this_machine
from lbkit.checks.kind import Check, CheckKind
from lbkit.checks.target import Target
from lbkit.errors import LbkitError, UnknownCheck
from lbkit.site.draft import Draft
from lbkit.site.model import Site
from lbkit.site.naming import vips_of
from lbkit.site.services import RealServer, Vip

KindOf: TypeAlias = Callable[[str], CheckKind[Any]]  # raises UnknownCheck, PluginBroken

CANNOT_RUN = "cannot-run"

_NOT_HERE = (
    "not testable here: this machine holds {address}, and a layer-4 balancer can't connect to its own VIP. "
    "Check it from a client, or from the other node."
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One check of a site. `server` None: of the VIP itself. `check` None: it can't be run; `message` says why."""

    vip: str
    server: str | None
    kind: str
    target: Target
    check: Check | None
    reason: str = ""
    message: str = ""


def plan(
    site: Site, kind_of: KindOf, vips: Collection[str] = (), *, real: bool = True, virtual: bool = True
) -> list[Planned]:
    """The checks of these VIPs (none given: of all), in the site's order. Raises Misuse for a VIP that is not there.

    What keeps a single check from being run (a file, a plugin that is missing) is said in its place; the others run.
    """
    return list(_Planner(site, kind_of).of_vips(vips_of(site, vips), real, virtual))


class _Planner:
    """Equal checks are prepared once: reading certificates is most of the work."""

    def __init__(self, site: Site, kind_of: KindOf) -> None:
        self._site = site
        self._kind_of = kind_of
        self._prepared: dict[tuple[str, str], Check | LbkitError] = {}

    def of_vips(self, vips: Collection[Vip], real: bool, virtual: bool) -> Iterator[Planned]:
        for vip in vips:
            if virtual:
                for port in vip.ports:
                    yield self._of_vip(vip, port)
            if virtual and real and vip.mode == "l4-dr":
                yield from self._direct_routing(vip)
            if real:
                for server in vip.servers:
                    offered = towards(server, self._site)
                    for port in (server.port,) if server.port else vip.ports:
                        yield self._planned(vip, server, server.address, port, offered)

    def _of_vip(self, vip: Vip, port: int) -> Planned:
        if vip.mode == "l4-dr" and is_of_this_machine(vip.address):
            target = Target(vip.address, port)
            why = _NOT_HERE.format(address=vip.address)
            return Planned(vip.label, None, vip.check.kind, target, None, NOT_TESTABLE_HERE, why)
        return self._planned(vip, None, vip.address, port, self._as_client(vip))

    def _direct_routing(self, vip: Vip) -> Iterator[Planned]:
        """From the balancer: the ARP problem of the VIP and its real servers; nothing where no plugin gives that check."""
        try:
            self._kind_of(direct_routing.KIND)
        except UnknownCheck:
            return
        except LbkitError:
            pass  # said below, in its place
        hindrance = direct_routing.hindrance(vip)
        for port in vip.ports:
            target = Target(vip.address, port)
            if hindrance is not None:
                yield Planned(vip.label, None, direct_routing.KIND, target, None, *hindrance)
            else:
                check = self._prepare(direct_routing.KIND, direct_routing.parameters(vip, self._site), {})
                yield _placed(vip, None, direct_routing.KIND, target, check)

    def _planned(
        self, vip: Vip, server: RealServer | None, address: str, port: int, offered: Mapping[str, object]
    ) -> Planned:
        check = self._prepare(vip.check.kind, offered, vip.check.params)
        # the port of a check that looks elsewhere than the traffic goes
        target = Target(address, vip.check.params.get("port", port) if server else port)
        return _placed(vip, server, vip.check.kind, target, check)

    def _prepare(self, name: str, offered: Mapping[str, object], own: Mapping[str, object]) -> Check | LbkitError:
        memo = (name, repr((sorted(offered.items()), sorted(own.items()))))
        if memo not in self._prepared:
            try:
                kind = self._kind_of(name)
                self._prepared[memo] = kind.prepare(parameters(kind, offered, own))
            except LbkitError as e:
                self._prepared[memo] = e
        return self._prepared[memo]

    def _as_client(self, vip: Vip) -> dict[str, object]:
        """The TLS parameters by which a client speaks to a VIP."""
        ends = vip.termination
        return _tls(self._site, ends.ca, ends.check_certificate, ends.server_name) if ends else {}


def _placed(vip: Vip, server: RealServer | None, kind: str, target: Target, check: Check | LbkitError) -> Planned:
    label = server.label if server else None
    if isinstance(check, Check):
        return Planned(vip.label, label, kind, target, check)
    return Planned(vip.label, label, kind, target, None, CANNOT_RUN, str(check))


def towards(server: RealServer, site: Site | Draft) -> dict[str, object]:
    """The TLS parameters by which the engine speaks to a real server, and its check too; none without re-encryption."""
    return _tls(site, server.verify, server.client_certificate, server.server_name) if server.re_encrypt else {}


def parameters(kind: CheckKind[Any], offered: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """A check's own, and before them those of the TLS parameters offered that its kind has; none to one without TLS."""
    takes = kind.params.model_fields.keys() if own.get("tls") is not False else ()
    return {**{key: value for key, value in offered.items() if key in takes}, **own}


def _tls(site: Site | Draft, family: str | None, certificate: str | None, server_name: str | None) -> dict[str, object]:
    offered: dict[str, object] = {"tls": True, "verify": family is not None, "verify_name": server_name is not None}
    if server_name is not None:
        offered["server_name"] = server_name
    if family is not None:
        cas = site.ca_families[family]
        offered |= {"ca_file": cas.ca_file, "crl_file": cas.crl_file}
    if certificate is not None:
        own = site.certificates[certificate]
        offered |= {"cert_file": own.file, "key_file": own.key_file, "key_password_file": own.password_file}
    return {name: value for name, value in offered.items() if value is not None}
