"""The node's watchman in a pair: sees keepalived, HAProxy and the other node, and tells keepalived how fit this node is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from lbkit.agent.exchange import Exchange
from lbkit.agent.handover import Handover
from lbkit.agent.pair_haproxy import HaproxyWatch
from lbkit.agent.pair_keepalived import end
from lbkit.agent.pair_network import Network
from lbkit.agent.pair_orders import Judge, Orders, Peer, Situation
from lbkit.agent.pair_peer import Conversation
from lbkit.agent.pair_troubles import Troubles
from lbkit.agent.pair_vrrp import VrrpWatch
from lbkit.errors import CannotRun
from lbkit.pair import addresses, track
from lbkit.pair.link import Link
from lbkit.pair.taking_off import take_off
from lbkit.site.model import Site
from lbkit.state.agent import AgentState
from lbkit.state.node import node_of, peer_of
from lbkit.state.pair import IN_MAINTENANCE, PairSeen, PeerSeen, Role

log = logging.getLogger("lbkit.agent")

_EVERY = 0.25  # seconds between two looks at everything
_HELD_EVERY = 1.0  # seconds between two looks at this machine's addresses
_FIRST_CHECKS = 10.0  # seconds in which real servers may be unknown after the start
_AGAIN = 10.0  # seconds until a part that has failed begins anew
_TABLES = 8.0  # seconds without a word of the other HAProxy


class Watchman:
    """`servers_up`: whether a real server is up by the agent's own checks, None: not known yet. `state`: the folder of
    intents. `before`: the one whose place it takes, whose role is known.
    """

    def __init__(
        self,
        site: Site,
        state: Path | None,
        observe: bool,
        servers_up: Callable[[], bool | None],
        before: Watchman | None = None,
    ) -> None:
        """Raises Misuse where this machine is no node of the pair."""
        node, peer = node_of(site), peer_of(site)
        assert site.pair is not None  # noqa: S101
        assert node is not None and peer is not None  # noqa: S101, PT018
        self.site, self._pair, self._node, self._peer = site, site.pair, node, peer
        self._state = state
        self._observe = observe
        self._servers_up_here = servers_up
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._judge: Judge = before._judge if before else Judge()
        self._orders = Orders({})
        self._troubles = Troubles()
        self._cannot: dict[str, str] = {}  # what this process could not do, in words
        self._held: tuple[str, ...] = ()
        self._held_at = 0.0
        self._haproxy = HaproxyWatch(site, peer.name, self._on_haproxy)
        self._exchange = Exchange(site, state)
        self._handover = Handover(site)
        self._conversation = Conversation(site, peer, self._decide, self._tell_peer)
        self._network = Network(site, node, peer, self._on_advert)
        self._vrrp = VrrpWatch(site, self._network, not observe, self._on_vrrp)
        if before is not None:
            self._vrrp.role, self._vrrp.since = before._vrrp.role, before._vrrp.since
            self._haproxy.servers_up = before._haproxy.servers_up
            self._conversation.goes_on(before._conversation)
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._network.start()
        works: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._haproxy.run,
            self._conversation.run,
            self._vrrp.ask,
        ]
        if not self._observe:
            works.append(lambda: self._handover.run(lambda: self._conversation.age))
        self._tasks = [asyncio.create_task(_for_ever(work)) for work in works]
        self._tick()

    def stop(self) -> None:
        """End; what keepalived was told stays."""
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._vrrp.close()
        self._network.stop()

    # --- what is seen ---

    def _tick(self) -> None:
        try:
            self._vrrp.tick(bool(self._held))
            self._network.tick(self._vrrp.role == "master" or bool(self._held))
            self._decide()
        except Exception:  # the next look comes, whatever this one ran into
            log.exception("the pair can't be looked at")
        self._timer = self._loop.call_later(_EVERY, self._tick)

    def _on_vrrp(self) -> None:
        self._held_at = 0.0
        self._decide()

    def _on_haproxy(self) -> None:
        self._decide()
        self._conversation.hurry()  # what the other node can do counts now

    def _on_advert(self) -> None:
        if self._vrrp.state != "running":
            self._decide()

    # --- what is done ---

    def _decide(self) -> None:
        now = self._loop.time()
        if now - self._held_at >= _HELD_EVERY or self._vrrp.state != "running":
            self._look_at_addresses(now)
        self._orders = self._judge.orders(self._situation(now))
        if not self._observe:
            self._carry_out()
        self._troubles.tell(dict(self._found_wrong(now)))

    def _look_at_addresses(self, now: float) -> None:
        try:
            self._held, self._held_at = addresses.held(self.site), now
        except CannotRun as e:
            self._cannot["addresses"] = str(e)
        else:
            self._cannot.pop("addresses", None)

    def _situation(self, now: float) -> Situation:
        said, talk = self._conversation.said, self._conversation
        peer = Peer()
        rank: tuple[float, ...] = ()
        if said is not None and talk.answered_at is not None:
            both = said.role == self._vrrp.role == "master"
            rank = self._rank(self._node.name, self._why_not() == "", self._tracked()) if both else ()
            theirs = self._rank(self._peer.name, said.can_serve, said.tracked) if both else ()
            since = talk.answered_at - said.since
            peer = Peer(talk.asked_at, talk.answered_at, said.role, since, said.can_serve, theirs)
        return Situation(
            now,
            self._vrrp.role,
            self._vrrp.since,
            self._vrrp.state,
            self._vrrp.state_since,
            self._haproxy.state,
            self._servers_up(now),
            bool(self._held),
            peer,
            self._network.heard,
            self._network.heard_since,
            self._network.double,
            self._pair.advert_interval,
            self._pair.preempt,
            self._vrrp.processes.parent_only,
            rank,
        )

    def _servers_up(self, now: float) -> bool | None:
        found = (self._haproxy.servers_up, self._servers_up_here())
        if True in found:
            return True
        return None if None in found and now - self._begun < _FIRST_CHECKS else False

    def _rank(self, name: str, can_serve: bool, tracked: Mapping[str, bool]) -> tuple[float, ...]:
        number = [node.name for node in self._pair.nodes].index(name)
        counted = {one: tracked.get(one, False) for one in track.TRACKED if one not in ("holder", "fault")}
        return can_serve, track.priority(track.BASES[number], counted)

    def _carry_out(self) -> None:
        orders = self._orders
        self._cannot.pop("orders", None)
        try:
            for name in ("fault", "haproxy_down", "servers_down", "holder"):  # the first is the one that hurries
                if name in orders.tracked and track.write(self.site, name, orders.tracked[name], self._state):
                    log.info("keepalived is told: %s %d", name, orders.tracked[name])
            if orders.take_off:
                taken = take_off(self.site)
                log.warning("taken off this node, for the other one is master: %s", ", ".join(taken))
                self._look_at_addresses(self._loop.time())
            if orders.end:
                end(self._vrrp.processes)
                log.warning("keepalived (pid %s) was frozen, and is ended", self._vrrp.processes.parent)
        except CannotRun as e:
            self._cannot["orders"] = str(e)

    def _tell_peer(self, link: Link, state: AgentState) -> None:
        """What waits for the other node; in the conversation's thread."""
        if not self._observe and self._exchange.is_due(state.generation):
            self._exchange.once(link)

    # --- what is said ---

    def seen(self) -> PairSeen:
        """This node in its pair, now."""
        now = self._loop.time()
        self._look_at_addresses(now)
        why_not = self._why_not()
        said, network = self._conversation.said, self._network
        heard = self._haproxy.heard
        peer = PeerSeen(
            _age(now, network.heard),
            _rounded(self._conversation.age),
            _age(now, heard),
            said.role if said else "unknown",
            said.can_serve if said else False,
            said.why_not if said else "",
            self._conversation.trouble,
        )
        return PairSeen(
            self._node.name,
            self.role,
            round(now - max(self._vrrp.since, self._vrrp.state_since if self._vrrp.state != "running" else 0.0), 3),
            self._vrrp.state,
            self._haproxy.state or "dead",
            self._held,
            not why_not,
            why_not,
            self._tracked(),
            self._orders.split_brain,
            self._handover.until,
            peer,
        )

    @property
    def trouble(self) -> str:
        """What is wrong with the pair, in words; "": nothing."""
        return self._troubles.all

    @property
    def role(self) -> Role:
        """Who does not run has no role."""
        return self._vrrp.role if self._vrrp.state == "running" or self._vrrp.processes.parent_only else "unknown"

    def _tracked(self) -> dict[str, bool]:
        return {name: track.read(self.site, name, self._state) for name in track.TRACKED}

    def _why_not(self) -> str:
        """Why this node could not serve, "": it can."""
        haproxy = self._haproxy.state
        if self._vrrp.state != "running":
            return f"keepalived is {self._vrrp.state}"
        if haproxy not in ("up", "none"):
            return f"HAProxy is {haproxy or 'not known yet'}"
        if self._observe:
            return "its agent only observes"
        if track.read(self.site, "maintenance", self._state):
            return IN_MAINTENANCE
        if not self._servers_up(self._loop.time()):
            return "no real server is up"
        if self._vrrp.role == "fault" and not self._judge.fenced and not self._judge.impaired:
            return "keepalived is in fault: see its log (journalctl -u keepalived)"
        return ""

    def _found_wrong(self, now: float) -> Iterator[tuple[str, str]]:
        """What it is about, and what is wrong with it."""
        name, haproxy, orders = self._peer.name, self._haproxy.state, self._orders
        if self._vrrp.state != "running":
            parent = " (its parent process alone: VRRP goes on)" if self._vrrp.processes.parent_only else ""
            here = f" Still here: {', '.join(self._held)}." if self._held else ""
            yield "keepalived", f"keepalived is {self._vrrp.state}{parent}.{here} systemctl restart keepalived"
        if haproxy in ("dead", "hung"):
            able = "can" if orders.tracked.get("fault") else "has not confirmed that it can"
            yield "haproxy", f"HAProxy is {haproxy}; {name} {able} serve. systemctl restart haproxy"
        if self._servers_up(now) is False:
            yield "servers", "no real server is up as seen from here."
        if self._conversation.trouble:
            yield "peer", self._conversation.trouble
        if haproxy == "up" and now - max(self._begun, self._haproxy.heard or 0.0) > _TABLES:
            yield "tables", f"tables are not replicated: HAProxy does not hear that of {name}."
        if orders.split_brain:
            yield "split brain", f"SPLIT BRAIN: {orders.split_brain}. lbkit pair status"
        if self._judge.fenced:
            yield (
                "fence",
                f"this node steps aside: {name} is master and can serve, and its adverts do not get here. Does a "
                "firewall drop IP protocol 112?",
            )
        yield from self._cannot.items()
        for part in (self._haproxy, self._vrrp, self._network):
            if part.trouble:
                yield type(part).__name__, part.trouble


async def _for_ever(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await work()
        except Exception:  # the rest goes on, whatever one part runs into
            log.exception("a part of the pair can't be watched")
        await asyncio.sleep(_AGAIN)


def _age(now: float, moment: float | None) -> float | None:
    return None if moment is None else round(now - moment, 3)


def _rounded(age: float | None) -> float | None:
    return None if age is None else round(age, 3)
