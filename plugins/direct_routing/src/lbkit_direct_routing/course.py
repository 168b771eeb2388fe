"""The course of one check: who has the VIP, where are the real servers, does each take a packet for the VIP.

Nobody learns anything wrong from it. A question of ARP carries this machine's own address and MAC, or no address; a SYN
comes from that address and is taken back by a reset, so that no service sees a connection. Its time to live is 1: a real
server that does not take it can't pass it on to the balancer, whose IPVS would open a connection for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack, closing
from time import monotonic

from lbkit.errors import CannotRun
from lbkit_direct_routing import frames
from lbkit_direct_routing.frames import Arp, Frame, Rejection, Segment
from lbkit_direct_routing.observed import Answer, Asked, Named, Observed, Seen
from lbkit_direct_routing.routes import Route, own_addresses, route
from lbkit_direct_routing.wire import HeldPort, Wire, listen

WINDOW = 1.0  # seconds that an answer is waited for; and from one SYN to the next


def observe(asked: Asked, deadline: float, steps: dict[str, float], abandoned: Callable[[], bool]) -> Observed:
    """Ask, until `deadline` (monotonic clock) at the latest. Raises CannotRun where this machine is in the way."""
    with ExitStack() as ended:
        course = _Course(asked, deadline, abandoned, ended)
        for step, act in (("arp", course.ask_who_has), ("syn", course.knock_at_all)):
            start = monotonic()
            act()
            steps[step] = monotonic() - start
        return course.observed


class _Course:
    def __init__(self, asked: Asked, deadline: float, abandoned: Callable[[], bool], ended: ExitStack) -> None:
        self._asked = asked
        self._deadline = deadline
        self._abandoned = abandoned
        self._ended = ended
        self._own = own_addresses()
        self._next_syn = 0.0
        self._wires: dict[str, Wire] = {}
        self._places: dict[str, tuple[Wire, list[str]]] = {}  # by address: where it is, the MACs that answer for it
        on = {own.interface for own in self._own if own.address == asked.vip}
        self.observed = Observed(asked, held=bool(on - {"lo"}))
        for server in asked.servers:
            self.observed.servers.append(self._find(server))
        for interface in {asked.interface} if asked.interface else on - {"lo"}:
            self._wire(interface)
        way = None if on else route(asked.vip, asked.interface)
        if way is not None and not way.router:
            self.observed.looked_for = True
            self._wire(way.interface)
        for node in asked.nodes:
            way = route(node.address, asked.interface)
            if way is not None and not way.local and not way.router and way.interface in self._wires:
                self._places.setdefault(node.address, (self._wires[way.interface], []))

    def ask_who_has(self) -> None:
        """Twice, for an answer may be lost; what was answered, but for the VIP, is not asked again."""
        for _ in range(2):
            for wire in self._wires.values():
                self._who_has(wire, self._asked.vip)
            for address, (wire, macs) in self._places.items():
                if not macs:
                    self._who_has(wire, address)
            self._hear(monotonic() + WINDOW / 2)
        for node in self._asked.nodes:
            for mac in self._places[node.address][1] if node.address in self._places else ():
                self.observed.nodes[mac] = node

    def knock_at_all(self) -> None:
        """A SYN for the VIP to each real server; to one that is silent another, then one for its own address."""
        for seen in self.observed.servers:
            if not seen.macs:
                continue
            seen.of_vip, seen.icmp = self._knock(seen, self._asked.vip)
            if seen.of_vip == "silent":
                again, seen.icmp = self._knock(seen, self._asked.vip)
                seen.of_vip = "silent" if again == "not-asked" else again
            if seen.of_vip == "silent":
                seen.of_rip, _ = self._knock(seen, seen.server.address)

    def _find(self, one: Named) -> Seen:
        way = route(one.address, self._asked.interface)
        if way is None:
            return Seen(one, "none")
        if way.local:
            return Seen(one, "this-machine")
        if way.router:
            return Seen(one, "router", way.router)
        _, macs = self._places.setdefault(one.address, (self._wire(way.interface), []))
        return Seen(one, macs=macs)

    def _wire(self, interface: str) -> Wire:
        if interface not in self._wires:
            self._wires[interface] = self._ended.enter_context(closing(Wire(interface)))
        return self._wires[interface]

    def _own_address(self, wire: Wire, towards: Route | None = None) -> str:
        """One of this machine's on that interface, never the VIP: it is the sender of what is asked. NOBODY: none."""
        on = [own.address for own in self._own if own.interface == wire.interface and own.address != self._asked.vip]
        if towards is not None and towards.source in on:
            return towards.source
        return on[0] if on else frames.NOBODY

    # --- ARP ---

    def _who_has(self, wire: Wire, address: str) -> None:
        sender = self._own_address(wire, route(address, wire.interface))
        wire.send(frames.who_has(address, wire.mac, sender))

    def _hear(self, until: float) -> None:
        for wire, frame in listen(self._wires.values(), until, self._abandoned):
            if isinstance(frame, Arp):
                self._learn(wire, frame)

    def _learn(self, wire: Wire, told: Arp) -> None:
        """Whoever says that an address is its own, in an answer or beside a question."""
        if told.address == self._asked.vip:
            self.observed.claims.setdefault(told.mac, wire.interface)
        elif told.address in self._places:
            _, macs = self._places[told.address]
            if told.mac not in macs:
                macs.append(told.mac)

    # --- SYN ---

    def _knock(self, seen: Seen, address: str) -> tuple[Answer, tuple[int, int]]:
        """What the real server answers to a SYN for that address, and the type and code if it is an error of ICMP."""
        self._hear(self._next_syn)
        if self._abandoned() or monotonic() + WINDOW > self._deadline:
            return "not-asked", (0, 0)
        self._next_syn = monotonic() + WINDOW
        wire, _ = self._places[seen.server.address]
        own = self._own_address(wire, route(seen.server.address, wire.interface))
        if own == frames.NOBODY:
            raise CannotRun(
                f"{wire.interface} has no address but the VIP {self._asked.vip}, and what comes from the VIP itself no real "
                "server answers. Give this machine an address of its own there."
            )
        with closing(HeldPort(own)) as held:
            syn = Segment(wire.mac, own, held.number, address, self._asked.port, secrets.randbits(32), 0, frames.SYN)
            return self._answer_to(syn, wire, seen.macs[0])

    def _answer_to(self, syn: Segment, wire: Wire, mac: str) -> tuple[Answer, tuple[int, int]]:
        wire.watch(syn.source_port)
        try:
            wire.send(frames.segment(syn, mac))
            for _, frame in listen([wire], self._next_syn, self._abandoned):
                if (answer := answer_in(frame, syn)) is not None:
                    return answer
            return "silent", (0, 0)
        finally:  # whatever came, and whatever comes late: nothing stays half open there
            reset = syn._replace(sequence=_after(syn), flags=frames.RST)
            wire.send(frames.segment(reset, mac))
            wire.ignore()


def answer_in(frame: Frame, syn: Segment) -> tuple[Answer, tuple[int, int]] | None:
    """What a frame answers to that SYN; None: nothing, it is about something else."""
    between = (syn.source, syn.source_port, syn.destination, syn.destination_port)
    if isinstance(frame, Rejection):
        if (frame.source, frame.source_port, frame.destination, frame.destination_port) != between:
            return None
        return "expired" if frame.type == frames.TIME_EXCEEDED else "rejected", (frame.type, frame.code)
    if not isinstance(frame, Segment):
        return None
    if (frame.destination, frame.destination_port, frame.source, frame.source_port) != between:
        return None
    if not frame.flags & frames.ACK or frame.acknowledged != _after(syn):
        return None
    if frame.flags & frames.RST:
        return "refused", (0, 0)
    return ("accepted", (0, 0)) if frame.flags & frames.SYN else None


def _after(syn: Segment) -> int:
    return (syn.sequence + 1) & 0xFFFFFFFF
