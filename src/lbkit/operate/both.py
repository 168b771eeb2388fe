"""The other node of the pair, as every verb meets it: what is done here is done there, or it is said that it is not yet."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbkit.errors import LbkitError, Misuse
from lbkit.operate.both_tables import finish
from lbkit.operate.outcome import PeerOutcome
from lbkit.operate.replicate import differing
from lbkit.pair.link import Link
from lbkit.site.model import Site
from lbkit.state.node import peer_of

log = logging.getLogger("lbkit.pair")

NOT_MET = "the nodes of the pair have not met: the other one is not told. Have them meet: lbkit pair setup"


def have_met(site: Site) -> bool:
    """Whether this node has what it takes to ask the other one (`lbkit pair setup`)."""
    if site.pair is None:
        return False
    way = site.pair.ssh
    return os.path.exists(way.key_file) and os.path.exists(way.known_hosts_file)


def on_peer(site: Site, work: Callable[[Link], str], state: Path | None = None) -> PeerOutcome:
    """Have `work` done over a link to the other node, after what was left undone there; nothing is raised.

    `work` returns why the other node has not got all of it, "": it has. Not while this process holds the lock of the
    intents: the other node may ask this one at the same moment. `state`: the folder of intents.
    """
    if site.pair is None:
        return PeerOutcome()
    if not have_met(site):
        return PeerOutcome(why=NOT_MET)
    try:
        peer = peer_of(site)
    except Misuse as e:
        return PeerOutcome(why=str(e))
    assert peer is not None  # noqa: S101
    try:
        with Link(site, peer) as link:
            try:
                finish(site, link, state)
            except LbkitError as e:
                log.warning("what was left undone on node %s is still so: %s", peer.name, e)
            why = work(link)
    except LbkitError as e:
        why = str(e)
    return PeerOutcome("pending" if why else "done", peer.name, why)


@dataclass(frozen=True, slots=True)
class PeerIntents:
    """Whether the other `node` has the intents of this one, "": there is none to ask.

    `differs`: real servers whose intents differ, as VIP/SERVER. `why`: why it can't be asked, "": it was.
    """

    node: str = ""
    differs: tuple[str, ...] = ()
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable. `same` is null where that is not known."""
        same = None if self.why else not self.differs
        return {"node": self.node, "same": same, "differs": list(self.differs), "why": self.why}


def peer_intents(site: Site, state: Path | None = None) -> PeerIntents:
    """What the other node has, beside this one; nothing is given or taken."""
    if not have_met(site):
        return PeerIntents()
    try:
        peer = peer_of(site)
    except Misuse:
        return PeerIntents()
    assert peer is not None  # noqa: S101
    try:
        with Link(site, peer) as link:
            return PeerIntents(peer.name, tuple(differing(site, link, state)))
    except LbkitError as e:
        return PeerIntents(peer.name, why=str(e))


def tell_peer(site: Site, question: str, state: Path | None = None, **values: Any) -> PeerOutcome:
    """Ask the other node one thing, as `on_peer`."""

    def work(link: Link) -> str:
        link.ask(question, **values)
        return ""

    return on_peer(site, work, state)
