"""What the kernel of a node has to do (sysctl(8)): let HAProxy listen at addresses that the other node has, and stay silent
about them while sessions drain here (`second_chance`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lbkit.errors import CannotRun, Misuse, NotDone
from lbkit.pair import second_chance
from lbkit.pair.addresses import floating
from lbkit.site.model import Site
from lbkit.state.node import node_of

NONLOCAL = {False: Path("/proc/sys/net/ipv4/ip_nonlocal_bind"), True: Path("/proc/sys/net/ipv6/ip_nonlocal_bind")}
_LISTENS = "HAProxy may listen at VIPs that the other node has"
_SILENT = "addresses that have moved away are not answered for while their sessions drain"


def differing(site: Site) -> dict[Path, tuple[str, str]]:
    """Those that are not as they have to be: what they are, and have to be. None without a pair, or a VIP of layer 7."""
    return {path: (now, wanted) for path, wanted, _ in _of(site) if (now := _read(path)) != wanted}


def set_all(site: Site) -> list[str]:
    """Set these, read back; sentences that say so. For a boot packaging/sysctl.d has them. Raises CannotRun, NotDone."""
    said = []
    for path, wanted, why in _of(site):
        if _read(path) == wanted:
            continue
        try:
            path.write_text(f"{wanted}\n")
        except OSError as e:
            raise CannotRun(
                f"{name(path)} can't be set: {e.strerror}. It is to be {wanted}, so that {why}. Set it as root: "
                f"sysctl {name(path)}={wanted}"
            ) from None
        if _read(path) != wanted:
            raise NotDone(f"{name(path)} was set to {wanted}, and is {_read(path)}. What else sets it (/etc/sysctl.d)?")
        said.append(f"{name(path)} = {wanted}: {why}")
    return said


def name(path: Path) -> str:
    """As sysctl calls it."""
    return ".".join(part.replace(".", "/") for part in path.parts[3:])


def _of(site: Site) -> Iterator[tuple[Path, str, str]]:
    """Each with what it is to be, and why."""
    if site.pair is None or not any(vip.mode == "l7-snat" for vip in site.vips):
        return
    for family in sorted({":" in address for address in floating(site)}):
        yield NONLOCAL[family], "1", _LISTENS
    try:
        node = node_of(site)
    except Misuse:  # another machine's site is looked at here
        return
    assert node is not None  # noqa: S101
    interfaces = {node.interface_of(address) for address, _ in second_chance.kept(site) if ":" not in address}
    for path, wanted in second_chance.loud(sorted(interfaces)).items():
        yield path, wanted, _SILENT


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as e:
        raise CannotRun(
            f"{path} can't be read: {e.strerror}. Does this kernel have that family of addresses?"
        ) from None
