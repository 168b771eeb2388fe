"""What `lbkit doctor` looks at on a node of a pair: which one it is, its keepalived and kernel, the way to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lbkit.errors import Misuse, NotDone, NotRunning

if TYPE_CHECKING:
    from lbkit.site.model import Node, Site

_ANSWERS_WITHIN = 5.0  # seconds


def looks(site: Site) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each by its name: what says how it is. That raises NotRunning for what is absent, LbkitError for what is wrong."""
    from lbkit.operate.apply_keepalived import concerns
    from lbkit.state.node import node_of, peer_of

    if site.pair is None or not concerns(site):
        return
    try:
        here, peer = node_of(site), peer_of(site)
    except Misuse as e:
        trouble = str(e)
        yield "node of the pair", lambda: _absent(trouble)
        return
    assert here is not None and peer is not None  # noqa: S101, PT018
    yield "node of the pair", lambda: f"{here.name} at {here.address}; the other one is {peer.name} at {peer.address}"
    yield "keepalived of the site", lambda: _keepalived(site)
    yield "kernel", lambda: _kernel(site)
    yield f"way to {peer.name}", lambda: _way(site, peer)


def _absent(why: str) -> str:
    raise NotRunning(why)


def _keepalived(site: Site) -> str:
    from lbkit.pair import vrrp

    seen = vrrp.look(site)
    if seen.state == "dead":
        raise NotRunning("it does not run. Start it: lbkit apply")
    if seen.state == "frozen":
        raise NotDone(f"it (pid {seen.pid}) is there and does nothing: lbkit pair status says what to do.")
    if seen.role == "unknown":
        raise NotDone(f"it (pid {seen.pid}) runs with another file than this site's: lbkit apply")
    return f"pid {seen.pid} is {seen.role}, with priority {seen.priority}"


def _kernel(site: Site) -> str:
    from lbkit.pair import settings

    differing = settings.differing(site)
    if differing:
        said = ", ".join(
            f"{settings.name(path)} is {now}, and has to be {wanted}" for path, (now, wanted) in differing.items()
        )
        raise NotDone(f"{said}. lbkit apply sets it, packaging/sysctl.d at a boot.")
    return "set as a node of a pair has to have it"


def _way(site: Site, peer: Node) -> str:
    from importlib.metadata import version

    from lbkit.operate.both import have_met
    from lbkit.pair.link import Link

    if not have_met(site):
        raise NotRunning("the nodes have not met. Have them meet: lbkit pair setup")
    try:
        with Link(site, peer) as link:
            there = str(link.ask("hello", _ANSWERS_WITHIN).get("lbkit"))
    except NotRunning as e:
        raise NotDone(str(e)) from None
    if there != version("lbkit-core"):
        raise NotDone(f"it answers with lbkit {there}, and this is {version('lbkit-core')}. Install the same on both.")
    return f"it answers over ssh, with lbkit {there}"
