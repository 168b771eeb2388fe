"""Failover and failback: the VIPs move to the other node, which has them before this one lets go, and sessions live on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lbkit.errors import LbkitError, Misuse, NotAllowed, NotAnswering, NotDone, NotRunning, Refused
from lbkit.operate import audit, fitness
from lbkit.operate.both import have_met
from lbkit.operate.fitness import Look
from lbkit.operate.outcome import Progress
from lbkit.operate.receive import Here
from lbkit.operate.sides import Sides
from lbkit.operate.unasked import move_unasked
from lbkit.pair.addresses import floating, held
from lbkit.pair.link import Link
from lbkit.state.node import peer_of
from lbkit.state.who import who_asks

SessionsAre = Literal["keep", "cut"]
DRAIN = 600.0  # seconds
_ADVERTS, _MORE = 5, 5.0  # a switch takes 3 to 4 adverts; seconds beyond
_SETTLES_WITHIN = 5.0
_POLL = 0.05


@dataclass(slots=True)
class Moved:
    """What came of it. `took`: seconds from the order until `new` had all addresses; `nobody`: seconds in which no node had
    them all. `kept`, `cut`: sessions of layer 7. `drains_for`: seconds, at most. `unconfirmed`: why the other node could not
    say what became of it, "": it did. `already`: there was nothing to do.
    """

    old: str
    new: str
    sessions: SessionsAre
    dry_run: bool = False
    already: bool = False
    took: float | None = None
    nobody: float | None = None
    kept: int = 0
    cut: int = 0
    drains_for: float = 0.0
    unconfirmed: str = ""
    steps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        return {
            "from": self.old,
            "to": self.new,
            "sessions": self.sessions,
            "dry_run": self.dry_run,
            "already": self.already,
            "took_ms": None if self.took is None else round(self.took * 1000),
            "nobody_ms": None if self.nobody is None else round(self.nobody * 1000),
            "kept": self.kept,
            "cut": self.cut,
            "drains_for_s": self.drains_for,
            "unconfirmed": self.unconfirmed,
            "steps": self.steps,
            "warnings": self.warnings,
        }


@dataclass(frozen=True, slots=True)
class Order:
    """`to`: a node's name; None: the one that does not have the VIPs. `drain_timeout`: seconds. `why`: for the log."""

    to: str | None = None
    sessions: SessionsAre = "keep"
    drain_timeout: float = DRAIN
    force: bool = False
    dry_run: bool = False
    why: str = ""


def failover(here: Here, order: Order, progress: Progress = lambda text: None, link: Link | None = None) -> Moved:
    """Move the VIPs. `progress`: told what happens, before it does. `link`: instead of one of its own.

    Raises Misuse; Refused where the other node is not fit, unless it is forced; NotDone where it did not take them: then all
    is as it was; EngineError.
    """
    site = here.site
    peer = peer_of(site)
    if peer is None:
        raise Misuse(f"{here.site_file} has no [pair]: there is no other node.")
    names = (here.node.name, peer.name)
    if order.to not in (None, *names):
        raise Misuse(f"{order.to!r} is none of the pair's nodes. Give {' or '.join(names)}.")
    with link or Link(site, peer) as used:
        sides = Sides(here, used)
        try:
            if not have_met(site) and link is None:
                raise NotAllowed("the nodes of the pair have not met: lbkit pair setup.")
            looks = sides.looks()
        except (NotRunning, NotAllowed, NotAnswering) as e:
            if not order.force:
                raise Refused(
                    f"{peer.name} can't be asked whether it is fit: {e} With --force VRRP alone moves the VIPs, and open "
                    "sessions are cut."
                ) from None
            return _unasked(here, order, peer.name, str(e), progress)
        return _between(sides, looks, order, progress)


def failback(here: Here, order: Order, progress: Progress = lambda text: None, link: Link | None = None) -> Moved:
    """Move the VIPs home, to the first node of the site, and forget that they were preferred elsewhere. As `failover`."""
    if here.site.pair is None:
        raise Misuse(f"{here.site_file} has no [pair]: there is no other node.")
    home = here.site.pair.nodes[0].name
    peer = peer_of(here.site)
    assert peer is not None  # noqa: S101
    with link or Link(here.site, peer) as used:
        moved = failover(here, replace(order, to=home), progress, used)
        if (moved.already or here.site.pair.preempt) and not order.dry_run and not moved.unconfirmed:
            _forget_preference(Sides(here, used), moved)
    return moved


def _between(sides: Sides, looks: Mapping[str, Look], order: Order, progress: Progress) -> Moved:
    site = sides.here.site
    old = _master(looks)
    new = order.to or sides.other(old)
    moved = Moved(old, new, order.sessions, order.dry_run)
    if new == old:
        moved.already = True
        moved.steps.append(f"{new} has the VIPs already")
        return moved
    against = fitness.against(site, looks[old], looks[new])
    if against and not order.force:
        raise Refused(f"{' '.join(against)} Mend that, or give --force.")
    moved.warnings += against
    keep = order.sessions == "keep"
    for text in fitness.what_happens(site, looks[old], looks[new], keep, order.drain_timeout):
        moved.steps.append(text)
        progress(text)
    if not order.dry_run:
        audit.failover(old, new, moved.sessions, sides.here.state, order.why)
        _Switching(sides, moved, order, progress).run()
        assert site.pair is not None  # noqa: S101
        if not site.pair.preempt and not moved.unconfirmed:
            _forget_preference(sides, moved)
    return moved


def _master(looks: Mapping[str, Look]) -> str:
    masters = [node for node, look in looks.items() if look.status.is_master]
    if len(masters) == 2:
        raise Refused("both nodes are master. Mend that first: lbkit pair status says how.")
    if not masters:
        said = ", ".join(
            f"{node}: keepalived {look.status.keepalived}, {look.status.role}" for node, look in looks.items()
        )
        raise Refused(f"no node is master ({said}): nobody has the VIPs. lbkit pair status says what to do.")
    return masters[0]


def _unasked(here: Here, order: Order, peer: str, why: str, progress: Progress) -> Moved:
    name = here.node.name
    away = bool(held(here.site))
    moved = Moved(name if away else peer, peer if away else name, "cut", order.dry_run, unconfirmed=why)
    moved.warnings.append(f"{peer} can't be asked: {why}")
    if order.to == moved.old:
        moved.old, moved.new, moved.already = moved.new, moved.old, True
        moved.steps.append(f"{name} has the VIPs already" if away else f"{name} does not have the VIPs")
        return moved
    if not order.dry_run:
        audit.failover(moved.old, moved.new, moved.sessions, here.state, order.why)
        moved.took, moved.cut = move_unasked(here, away, _within(here), progress)
        if away:
            audit.maintenance(name, True, here.state, order.why or "failover")
            moved.steps.append(
                f"{name} gave the VIPs up, and stays in maintenance until: lbkit pair maintenance off {name}"
            )
        else:
            moved.steps.append(f"{name} has the VIPs, and stays preferred until: lbkit failback")
    return moved


def _within(here: Here) -> float:
    assert here.site.pair is not None  # noqa: S101
    return _ADVERTS * here.site.pair.advert_interval + _MORE


class _Switching:
    """One switch, from the rule that keeps sessions to what both nodes say in the end."""

    def __init__(self, sides: Sides, moved: Moved, order: Order, progress: Progress) -> None:
        self._sides = sides
        self._moved = moved
        self._order = order
        self._progress = progress
        self._ident = uuid.uuid4().hex[:12]
        self._preferred: dict[str, bool] = {}

    def run(self) -> None:
        moved = self._moved
        try:
            if moved.sessions == "keep":
                self._keep_sessions()
            self._switch()
        except BaseException as e:
            what = self._take_back()
            self._progress(what)
            if isinstance(e, LbkitError):
                raise type(e)(f"{str(e).rstrip('.')}. {what}.") from None
            raise
        try:
            self._end()
            self._confirm()
        except NotDone:
            raise
        except LbkitError as e:
            moved.unconfirmed = str(e)

    def _keep_sessions(self) -> None:
        moved = self._moved
        self._progress(f"{moved.new} hands on to {moved.old} what belongs to its sessions")
        of = {"ident": self._ident, "old": moved.old, "new": moved.new, "for": self._order.drain_timeout}
        try:
            hops = self._sides.ask(moved.old, "prepare", **of)["hops"]
            self._sides.ask(moved.new, "accept", hops=hops, **of)
        except LbkitError as e:
            if not self._order.force:
                raise
            moved.sessions = "cut"
            moved.warnings.append(f"sessions can't be kept: {e}")
            self._refuse()

    def _switch(self) -> None:
        sides, moved, within = self._sides, self._moved, _within(self._sides.here)
        offset = sides.offset()
        self._progress(f"{moved.new} is preferred; waiting until it has the addresses")
        ordered = time.time()
        self._preferred[moved.new] = False  # until it says what it was: the answer may get lost
        asked = {
            "who": who_asks(),
            "why": self._order.why,
            "old": moved.old,
            "new": moved.new,
            "sessions": moved.sessions,
        }
        self._preferred[moved.new] = sides.ask(moved.new, "prefer", value=True, **asked)["before"]
        self._preferred[moved.old] = sides.ask(moved.old, "prefer", value=False, **asked)["before"]
        found = sides.together(
            "wait", {moved.new: {"held": True, "within": within}, moved.old: {"held": False, "within": within}}
        )
        gained, lost = (_local(found[node], offset if node == sides.peer else 0.0) for node in (moved.new, moved.old))
        if gained is None:
            raise NotDone(f"{moved.new} has not taken the addresses within {within:g} s")
        moved.took = gained - ordered
        if lost is not None:
            moved.nobody = max(0.0, gained - lost)

    def _take_back(self) -> str:
        """Bring both to what was before, unless the VIPs have moved meanwhile; what came of it, in words."""
        sides, moved = self._sides, self._moved
        with suppress(LbkitError):
            if self._preferred and len(sides.ask(moved.new, "roles")["held"]) == len(floating(sides.here.site)):
                with suppress(LbkitError):
                    sides.ask(moved.old, "moved", ident=self._ident)
                return f"The VIPs have moved to {moved.new} all the same; sessions of {moved.old} are kept as was asked"
        undone = []
        for node in reversed(self._preferred):
            try:
                sides.ask(node, "prefer", value=self._preferred[node])
            except LbkitError:
                undone.append(node)
        self._refuse()
        if undone:
            return f"{', '.join(undone)} could not be told that it is off: see lbkit pair status there"
        return "Nothing has moved; all is as it was"

    def _refuse(self) -> None:
        """Whom it does not reach ends it by itself: nobody renews the rule there."""
        for node in (self._moved.new, self._moved.old):
            with suppress(LbkitError):
                self._sides.ask(node, "refuse", ident=self._ident)

    def _confirm(self) -> None:
        """By both nodes' own word. Raises NotDone."""
        sides, moved = self._sides, self._moved
        wanted = len(floating(sides.here.site))
        deadline = time.monotonic() + _SETTLES_WITHIN
        while True:
            said = {node: sides.ask(node, "roles") for node in (moved.old, moved.new)}
            new, old = said[moved.new], said[moved.old]
            if new["role"] == "master" and len(new["held"]) == wanted and old["role"] != "master" and not old["held"]:
                return
            if time.monotonic() > deadline:
                told = "; ".join(f"{node}: {one['role']}, {len(one['held'])} addresses" for node, one in said.items())
                raise NotDone(f"{moved.new} has the addresses, and the nodes say otherwise ({told}). lbkit pair status")
            time.sleep(_POLL)

    def _end(self) -> None:
        """What becomes of the sessions on the old node."""
        sides, moved = self._sides, self._moved
        if moved.sessions == "keep":
            moved.kept = sides.ask(moved.old, "moved", ident=self._ident)["connections"]
            moved.drains_for = self._order.drain_timeout
        else:
            moved.cut = sides.ask(moved.old, "cut")["ended"]


def _local(waited: Mapping[str, Any], offset: float) -> float | None:
    """When it came about, by this node's clock."""
    return None if waited["at"] is None else float(waited["at"]) - offset


def _forget_preference(sides: Sides, moved: Moved) -> None:
    """On both nodes: a node that fails later and comes back is to take nothing by it. Not before the new one holds on to the
    VIPs by itself, or they would go back.
    """
    deadline = time.monotonic() + _SETTLES_WITHIN
    try:
        while not _holds_by_itself(sides, moved.new):
            if time.monotonic() > deadline:
                moved.warnings.append(
                    f"{moved.new} stays preferred: the agents do not say that it holds the VIPs, and nobody else. Are they "
                    "well?"
                )
                return
            time.sleep(_POLL)
        for node in (sides.other(moved.new), moved.new):
            sides.ask(node, "prefer", value=False)
    except LbkitError as e:
        moved.unconfirmed = str(e)


def _holds_by_itself(sides: Sides, node: str) -> bool:
    """Whether VRRP leaves the VIPs there without a preference. For the first node of a site it is enough that the other one
    does not hold them.
    """
    pair = sides.here.site.pair
    assert pair is not None  # noqa: S101
    if sides.ask(sides.other(node), "roles")["holder"]:
        return False
    return node == pair.nodes[0].name or bool(sides.ask(node, "roles")["holder"])
