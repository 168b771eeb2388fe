"""While an old node drains after a planned switch: the agent of the new one keeps the rule alive that hands its sessions on,
watches the old node, and ends it all; the agent of the old one ends what nobody has ended.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from lbkit.agent.one_thread import OneThread
from lbkit.errors import CannotRun, EngineError, LbkitError
from lbkit.operate import handover
from lbkit.pair import addresses, second_chance, switch
from lbkit.pair.link import Link
from lbkit.pair.switch import Switch
from lbkit.site.model import Node, Site
from lbkit.state.node import node_of, peer_of

log = logging.getLogger("lbkit.agent")

_EVERY = 1.0  # seconds between two ticks
_ALIVE = 3.0  # seconds since its last answer
_ASKS_EVERY = 2.0  # seconds
_ANSWERS_WITHIN = 10.0  # seconds: the first question starts ssh, and lbkit there
_GRACE = 15.0  # seconds that the old node gives the new one to end it
_KNOCKS_FOR = 0.7


def knock(peer: Node, port: int) -> bool:
    """Whether the machine lives: its kernel answers at this port, be it with a refusal."""
    try:
        socket.create_connection((peer.address, port), _KNOCKS_FOR).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


class Handover:
    """Of this node of `site`. `until`: sessions are kept for the peer until then (seconds since the epoch), None: none are.

    `link`, `lives`: how the peer is asked, and tried; both take seconds where it is silent.
    """

    def __init__(self, site: Site, link: Link | None = None, lives: Callable[[], bool] | None = None) -> None:
        node, peer = node_of(site), peer_of(site)
        assert node is not None and peer is not None and site.pair is not None  # noqa: S101, PT018
        port = site.pair.ssh.port
        self._site = site
        self._node = node
        self._peer = Peer(link or Link(site, peer, _ANSWERS_WITHIN), lives or (lambda: knock(peer, port)))
        self._clean = False
        self.until: float | None = None

    async def run(self, peer_age: Callable[[], float | None]) -> None:
        """A tick each second, in a thread of its own, until cancelled. `peer_age`: seconds since the peer answered."""
        thread = OneThread("lbkit-handover")
        try:
            while True:
                age = peer_age()
                await thread.run(partial(self.tick, age is not None and age <= _ALIVE))
                await asyncio.sleep(_EVERY)
        finally:
            self._peer.close()
            thread.end()

    def tick(self, peer_alive: bool) -> None:
        """What is due, each second: it waits for nobody, or the rule would end meanwhile. What fails is logged.

        `peer_alive`: the peer's agent has answered of late.
        """
        try:
            self._tick(peer_alive)
        except Exception as e:  # the next tick comes in time, whatever this one ran into
            log.error("sessions of the planned switch: %s", e, exc_info=not isinstance(e, LbkitError))

    def _tick(self, peer_alive: bool) -> None:
        found = switch.read(self._site)
        if found is None:
            self._clear_up()
            return
        self._clean = False
        if found.new == self._node.name:
            self.until = found.until
            self._as_new(found, peer_alive)
        elif found.old == self._node.name:
            self.until = None
            self._as_old(found)
        else:  # another site's
            switch.clear(self._site)

    def _clear_up(self) -> None:
        """Once, after whatever there was: an agent that was killed may have left it."""
        self.until = None
        if not self._clean:
            self._clean = True
            self._peer.close()
            second_chance.leave()
            second_chance.stop()

    def _as_new(self, found: Switch, peer_alive: bool) -> None:
        try:
            second_chance.renew(found.over)
        except EngineError:  # somebody has flushed the ruleset
            second_chance.start(found.over)
        self._peer.about(found.ident)
        if addresses.held(self._site):
            is_up = time.time() > found.until
            why = self._peer.over or ("its time is up" if is_up else "")
            if why and self._peer.told:
                self._end(found, why)
            else:
                self._peer.ask(peer_alive, is_up)
        elif time.time() > found.until:
            self._end(found, "the VIPs never came")

    def _end(self, found: Switch, why: str) -> None:
        second_chance.stop()
        switch.clear(self._site)
        self.until = None
        self._peer.close()
        log.warning("sessions on %s are no longer kept: %s", found.old, why)

    def _as_old(self, found: Switch) -> None:
        if found.done and addresses.held(self._site):
            second_chance.leave()
            switch.clear(self._site)
            log.warning("the VIPs are back: sessions that were kept here are as all others")
        elif not found.done and found.before is not None and found.before.new == self._node.name:
            second_chance.renew(found.before.over)
        elif time.time() > found.until + _GRACE:
            log.warning("nobody has ended what was kept here: %d sessions are ended", handover.end(self._site))


class Peer:
    """The old node, asked in a thread of its own, one question at a time.

    `over`: why there is nothing left to keep, "": there is. `told`: it need not be told, or has been.
    """

    def __init__(self, link: Link, lives: Callable[[], bool]) -> None:
        self._link = link
        self._lives = lives
        self._ident = ""
        self._asked = 0.0
        self._asking: threading.Thread | None = None
        self.over = ""
        self.told = False

    def about(self, ident: str) -> None:
        """Which switch is meant."""
        if ident != self._ident:
            self._ident, self._asked, self.over, self.told = ident, 0.0, "", False

    def ask(self, alive: bool, is_up: bool) -> None:
        """See how it is, unless that is under way; `alive`: it is known to be. `is_up`: its time."""
        busy = self._asking is not None and self._asking.is_alive()
        if busy or (alive and not is_up and not self.over and time.monotonic() - self._asked < _ASKS_EVERY):
            return
        self._asked = time.monotonic()
        self._asking = threading.Thread(target=self._ask, args=(self._ident, alive, is_up), daemon=True)
        self._asking.start()

    def close(self) -> None:
        """Hang up, once what is under way has ended."""
        if self._asking is None or not self._asking.is_alive():
            self._link.close()

    def _ask(self, ident: str, alive: bool, is_up: bool) -> None:
        over, told = self._found(ident, alive, is_up)
        if ident == self._ident:
            self.over, self.told = over, told

    def _found(self, ident: str, alive: bool, is_up: bool) -> tuple[str, bool]:
        if not alive and not self._lives():
            return "that node is dead", True
        try:
            if not is_up and self._link.ask("handover.left", ident=ident)["connections"]:
                return "", False
            self._link.ask("handover.over", ident=ident)
        except (EngineError, CannotRun) as e:
            log.info("it is not known how many sessions are left: %s", e)
            return "", is_up  # it ends them by itself
        except LbkitError as e:
            return f"that node says: {e}", True
        return "its time is up" if is_up else "none is left", True
