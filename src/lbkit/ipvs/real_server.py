"""What a real server of layer-4 VIPs needs on itself: it takes packets for them and answers no ARP (guide 7.1, 8.2)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Literal

from jinja2 import Environment, StrictUndefined

from lbkit.errors import Misuse
from lbkit.ipvs.wanted import layer_4
from lbkit.site.model import Site
from lbkit.site.naming import everywhere
from lbkit.site.services import Vip

Format = Literal["powershell", "netsh", "commands", "networkd"]

_NETWORK = "/etc/systemd/network/50-lbkit-real-server.network"
_SYSCTL = "/etc/sysctl.d/90-lbkit-real-server.conf"
_SETTINGS = "net.ipv4.conf.all.arp_ignore = 1\nnet.ipv4.conf.all.arp_announce = 2\n"
_QUOTES, _TWICE = re.compile("['\u2018-\u201b]"), r"\g<0>\g<0>"
_BINDINGS = {"IPv4": "ms_tcpip", "IPv6": "ms_tcpip6"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """`vips`: the labels of the VIPs at each address. `files`: content by path, or by a name where any place will do.

    `commands`: what root runs once the files are there.
    """

    name: str
    address: str
    vips: dict[str, list[str]]
    files: dict[str, str]
    commands: tuple[str, ...] = ()


def prepared(site: Site, server: str, form: Format, *, undo: bool = False) -> Prepared:
    """What makes the real server of that label or address ready, or takes that back; a fallback server by its address too.

    Raises Misuse: no such real server, one of no layer-4 VIP, or a label that several machines have.
    """
    name, addresses = _machine(site, server)
    vips = _vips(site, addresses)
    if not vips:
        raise Misuse(f"{server} is in no layer-4 VIP of site {site.name}: on layer 7 a real server needs nothing.")
    address = addresses[0]
    words = _Words(site, name, address, vips, undo)
    if form == "networkd":
        return Prepared(name, address, vips, dict(_files(words, undo)), _commands(vips, undo))
    file, template = {
        "powershell": (f"lbkit-real-server-{name}.ps1", "ps1"),
        "netsh": (f"lbkit-real-server-{name}.cmd", "cmd"),
        "commands": (f"lbkit-real-server-{name}.sh", "sh"),
    }[form]
    return Prepared(name, address, vips, {file: words.into(template, file)})


def _machine(site: Site, server: str) -> tuple[str, list[str]]:
    """Name and addresses: one, or an IPv4 and an IPv6 one. Labels are a VIP's own: two machines can have the same."""
    spare = {vip.fallback.address for vip in layer_4(site) if vip.fallback}
    if server in spare and not any(one.address == server for vip in site.vips for one in vip.servers):
        return server, [server]
    found = [one for _, one in everywhere(site, server)]
    addresses = list(dict.fromkeys(one.address for one in found))
    if len({":" in address for address in addresses}) < len(addresses):
        raise Misuse(f"{server} is the label of several real servers: {', '.join(addresses)}. Give an address.")
    return found[0].label, addresses


def _vips(site: Site, addresses: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for vip in layer_4(site):
        if not _takers(vip).isdisjoint(addresses):
            found.setdefault(vip.address, []).append(vip.label)
    return found


def _takers(vip: Vip) -> set[str]:
    """A fallback server takes packets for the VIP as real servers do."""
    return {server.address for server in vip.servers} | ({vip.fallback.address} if vip.fallback else set())


class _Words:
    """The templates beside this module, with what they are to say."""

    def __init__(self, site: Site, name: str, address: str, vips: dict[str, list[str]], undo: bool) -> None:
        self._environment = Environment(  # noqa: S701  (each language has a filter of its own below)
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
        )
        self._environment.filters |= {
            "powershell": powershell,
            "sh": shlex.quote,
            "prefix": _prefix,
            "ip_option": lambda vip: "-6" if ":" in vip else "-4",
        }
        families = sorted({"IPv6" if ":" in vip else "IPv4" for vip in vips})
        self._known = {
            "site": site.name,
            "name": name,
            "address": address,
            "vips": vips,
            "undo": undo,
            "families": families,
            "bindings": [_BINDINGS[family] for family in families],
        }

    def into(self, template: str, file: str) -> str:
        """The text of real_server.`template`.j2; what is for Windows has its line ends."""
        source = (files("lbkit.ipvs") / f"real_server.{template}.j2").read_text(encoding="utf-8")
        text = self._environment.from_string(source).render(self._known, file=PurePosixPath(file).name)
        return text.replace("\n", "\r\n") if template in ("ps1", "cmd") else text


def _files(words: _Words, undo: bool) -> Iterator[tuple[str, str]]:
    if not undo:
        yield _SYSCTL, f"# ARP is answered for addresses of the asked interface alone. Rendered by lbkit.\n{_SETTINGS}"
        yield _NETWORK, words.into("network", _NETWORK)


def _commands(vips: Iterable[str], undo: bool) -> tuple[str, ...]:
    if not undo:
        return f"sysctl -q -p {_SYSCTL}", "networkctl reload"
    gone = [f"ip address del {_prefix(vip)} dev lo 2>/dev/null || true" for vip in vips]
    defaults = "sysctl -q -w net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.arp_announce=0"
    return f"rm -f {_NETWORK} {_SYSCTL}", "networkctl reload", *gone, defaults


def _prefix(vip: str) -> str:
    return f"{vip}/{128 if ':' in vip else 32}"


def powershell(text: str) -> str:
    """`text` as a single-quoted string of PowerShell, in which all but quotes, typographic ones too, stands for itself."""
    return f"'{_QUOTES.sub(_TWICE, text)}'"
