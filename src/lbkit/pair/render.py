"""A site as keepalived's file (keepalived.conf(5)): one VRRP instance, with all addresses that move."""

from __future__ import annotations

import os
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from lbkit.errors import Misuse
from lbkit.install.files import File
from lbkit.pair import addresses, asks_haproxy, track, vrrp
from lbkit.site.model import Site
from lbkit.state.node import node_of, peer_of

if TYPE_CHECKING:
    from jinja2 import Template

NAME = "keepalived.conf"
_INTERFACES = 93  # the lowest sum of all that is tracked besides is 94
_WORD = re.compile(r"[A-Za-z0-9_./@%+=:, -]+")


def render(site: Site, node: str | None = None, state: Path | None = None) -> tuple[File, ...]:
    """keepalived.conf of this node (`node`: as `node_of` takes it); nothing without a pair. `state`: the folder of intents.

    Raises Misuse for a path that keepalived can't be told.
    """
    here, peer = node_of(site, node), peer_of(site, node)
    if site.pair is None or here is None or peer is None:
        return ()
    text = _template().render(
        site=site,
        node=here,
        peer=peer,
        fifo=str(vrrp.fifo_path(site)),
        tracked=[
            (name, os.path.abspath(track.path_of(site, name, state)), track.WEIGHTS[name]) for name in track.TRACKED
        ],
        asks=" ".join(asking(site)),
        silent=track.HAPROXY_SILENT,
        instance=vrrp.instance(site),
        base=track.base(site, here.name),
        advert=f"{site.pair.advert_interval:.2f}".rstrip("0").rstrip("."),
        anchor=_placed(addresses.anchor(site), "lo"),
        addresses=[_placed(one, here.interface_of(one)) for one in addresses.floating(site)],
        interface=weight_of_an_interface(site.pair.track_interfaces),
    )
    return (File(Path(site.keepalived.folder, NAME), text.encode()),)


def weight_of_an_interface(tracked: tuple[str, ...]) -> int:
    """What the loss of one costs. No fault: the peer may have lost it too, and one of the two is to serve all the same.

    One of 16 costs 5: more than `holder` and the base count for together.
    """
    return -(_INTERFACES // len(tracked)) if tracked else 0


def asking(site: Site) -> list[str]:
    """What finds that HAProxy is silent; nothing where the site has no layer 7.

    The interpreter itself, not that of a virtual environment: as root, keepalived runs no program in a folder that others
    may write, and this one needs none of lbkit's packages.
    """
    if not any(vip.mode == "l7-snat" for vip in site.vips):
        return []
    socket = Path(site.haproxy.runtime, "admin.sock")
    return [os.path.realpath(sys.executable), "-I", "-S", asks_haproxy.__file__, os.path.abspath(socket)]


def _placed(address: str, interface: str) -> str:
    """As `virtual_ipaddress` has it. No connection is to begin at an IPv6 address that moves (preferred_lft 0)."""
    length, more = (128, " preferred_lft 0") if ":" in address else (32, "")
    return f"{address}/{length} dev {interface}{more}"


def _template() -> Template:
    from jinja2 import Environment, StrictUndefined  # the agent loads this module, and never comes here

    environment = Environment(  # noqa: S701  (keepalived's language is quoted below)
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    environment.filters["quoted"] = _quoted
    return environment.from_string((files("lbkit.pair") / f"{NAME}.j2").read_text())


def _quoted(text: str) -> str:
    """keepalived has no way to write a quote, and takes $, @, ! and # for its own (2.2)."""
    if not _WORD.fullmatch(text):
        raise Misuse(
            f"keepalived can't be told of {text!r}: give paths of letters, digits, spaces and _ . / @ % + = : , - ."
        )
    return f'"{text}"'
