"""Which VIP, port and real servers are meant: by the parameters, or by the site file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lbkit.checks.target import Target
from lbkit.errors import CannotRun, Misuse
from lbkit_direct_routing.observed import Asked, Named
from lbkit_direct_routing.params import DirectRoutingParams, is_ipv4, named

if TYPE_CHECKING:
    from lbkit.site.model import Site
    from lbkit.site.services import Vip

_LAYER_7 = "{0} is of layer 7, whose real servers need no direct routing. Name a VIP of mode l4-dr."


class Asking:
    """The parameters of a check, and the site file once it is needed."""

    def __init__(self, params: DirectRoutingParams) -> None:
        self._params = params
        self._loaded: Site | None = None

    def target(self, text: str) -> Target:
        """The address and port of `VIP[:PORT]`, an address or a label. Raises Misuse."""
        parsed = Target.parse(text, self._params.port)
        if ":" in parsed.host:
            raise Misuse(f"target {text!r}: direct-routing is for IPv4 only. Give the VIP's IPv4 address.")
        has_port = ":" in text or "port" in self._params.model_fields_set
        if is_ipv4(parsed.host) and self._params.real_server:
            return parsed
        vips = self._vips(parsed.host)
        if is_ipv4(parsed.host):
            vips = [vip for vip in vips if not has_port or parsed.port in vip.ports]
        if not vips:
            raise Misuse(_not_there(text, parsed, self._site))
        ports = [port for vip in vips for port in vip.ports]
        if not has_port and len(ports) > 1:
            several = ", ".join(map(str, ports))
            raise Misuse(f"target {text!r}: this VIP has the ports {several}. Name one of them: {text}:{ports[0]}.")
        address = vips[0].address
        if not is_ipv4(address):
            raise Misuse(f"target {text!r}: direct-routing is for IPv4 only, and this VIP is {address}.")
        return Target(address, parsed.port if has_port else ports[0])

    def asked(self, target: Target) -> Asked:
        """Everything that the check needs to know. Raises CannotRun where no real servers are known for the target."""
        params = self._params
        servers, nodes = [named(one) for one in params.real_server], [named(one) for one in params.node]
        if not servers:
            try:
                vips = [vip for vip in self._vips(target.host) if target.port in vip.ports]
            except Misuse as e:
                raise CannotRun(str(e)) from None
            if not vips:
                raise CannotRun(_not_there(str(target), target, self._site))
            servers = [Named(server.label, server.address) for server in vips[0].servers]
        if not nodes and self._loaded is not None and self._loaded.pair is not None:
            nodes = [Named(node.name, node.address) for node in self._loaded.pair.nodes]
        return Asked(target.host, target.port, _ipv4(servers), _ipv4(nodes), params.interface)

    def _vips(self, name: str) -> list[Vip]:
        """Those of the site that have this label, or this address. Raises Misuse."""
        vips = [vip for vip in self._site.vips if name in (vip.label, vip.address)]
        for vip in vips:
            if vip.mode != "l4-dr":
                raise Misuse(_LAYER_7.format(vip.label))
        return vips

    @property
    def _site(self) -> Site:
        if self._loaded is None:
            from lbkit.checks.facade import load_site
            from lbkit.site.found import site_file

            try:
                file = site_file(self._params.site_file)
            except Misuse as e:
                raise Misuse(f"{e} Or give the VIP's address, and its real servers with --real-server.") from None
            self._loaded = load_site(file)
        return self._loaded


def _ipv4(all_of_them: Iterable[Named]) -> tuple[Named, ...]:
    return tuple(one for one in all_of_them if is_ipv4(one.address))


def _not_there(text: str, target: Target, site: Site) -> str:
    known = ", ".join(vip.label for vip in site.vips if vip.mode == "l4-dr") or "none"
    what = f"at {target}" if is_ipv4(target.host) else f"labelled {target.host!r}"
    return (
        f"target {text!r}: no VIP of site {site.name} is {what}. Those of layer 4 are: {known}. Name one of them, or give "
        "its address and --real-server."
    )
