"""Which node of the pair this machine is."""

from __future__ import annotations

import os
import socket

from lbkit.checks.here import is_of_this_machine
from lbkit.errors import Misuse
from lbkit.site.model import Node, Site

NODE = "LBKIT_NODE"
_HOW = f"{NODE}=NAME, or --node where the command has it"


def peer_of(site: Site, given: str | None = None) -> Node | None:
    """The other one; None without a pair. Raises Misuse as `node_of`."""
    here = node_of(site, given)
    if site.pair is None or here is None:
        return None
    return next(node for node in site.pair.nodes if node != here)


def node_of(site: Site, given: str | None = None) -> Node | None:
    """`given`, else LBKIT_NODE, else by host name, else by address; None without a pair. Raises Misuse if it is neither."""
    if site.pair is None:
        return None
    names = {node.name: node for node in site.pair.nodes}
    there = " and ".join(names)
    asked = given or os.environ.get(NODE)
    if asked:
        if asked not in names:
            raise Misuse(f"no node of site {site.name} is called {asked!r}. There are {there}: give one ({_HOW}).")
        return names[asked]
    host = socket.gethostname()
    for name in (host, host.partition(".")[0]):
        if name in names:
            return names[name]
    for node in names.values():
        if is_of_this_machine(node.address):
            return node
    raise Misuse(f"this machine ({host}) is no node of site {site.name}: that has {there}. Say which it is ({_HOW}).")
