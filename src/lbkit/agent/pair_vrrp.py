"""keepalived as the pair's watchman sees it: its processes, and this node's role.

Roles come from its FIFO; from its own word where that may be asked for; else from the adverts that pass.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from lbkit.agent.one_thread import OneThread
from lbkit.agent.pair_keepalived import Processes, look
from lbkit.agent.pair_network import Network
from lbkit.errors import CannotRun, NotAllowed
from lbkit.pair import vrrp
from lbkit.pair.fifo import Fifo
from lbkit.site.model import Site
from lbkit.state.pair import Keepalived, Role

log = logging.getLogger("lbkit.agent")

_ASKS_EVERY = 10.0  # seconds between two questions to keepalived itself
_NOT_SOONER = 0.25  # however much in doubt


class VrrpWatch:
    """`reads`: the FIFO is this process's to read. `changed`: called when the FIFO has told something.

    `role` since `since`, `state` since `state_since`, on the loop's clock. `trouble`: why the FIFO can't be read.
    """

    def __init__(self, site: Site, network: Network, reads: bool, changed: Callable[[], None]) -> None:
        assert site.pair is not None  # noqa: S101
        self._site = site
        self._interval = site.pair.advert_interval
        self._network = network
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._fifo = Fifo(vrrp.fifo_path(site)) if reads else None
        self._mute: int | None = None  # the keepalived that did not answer
        self._doubt = asyncio.Event()
        self.processes: Processes = look(site)
        self.state: Keepalived = self.processes.state
        self.role: Role = "unknown"
        self.since = self.state_since = self._loop.time()
        self.trouble = ""

    def close(self) -> None:
        """Read the FIFO no more."""
        if self._fifo is not None and self._fifo.fd is not None:
            self._loop.remove_reader(self._fifo.fd)
            self._fifo.close()

    def tick(self, holds: bool) -> None:
        """Look at what tells nothing by itself. `holds`: addresses of the pair are on this machine."""
        self._open_fifo()
        now = self._loop.time()
        found = self.processes = look(self._site)
        state = "frozen" if found.state == "running" and self._mute == found.parent else found.state
        if state != self.state:
            self.state, self.state_since = state, now
            self._doubt.set()
        if state == "dead":
            self._turn("unknown", now)
        elif state == "running" and (self.role == "unknown" or (self._is_blind and self.role != "fault")):
            self._guess(now, holds)
        elif state == "running" and self.role == "master" and self._network.sees:
            sent = max(self._network.sent or self.since, self.since)
            if now - sent > 3 * self._interval + 1:
                self._doubt.set()

    async def ask(self) -> None:
        """For keepalived's own word, now and then and when in doubt, until cancelled; ends where it may not be asked."""
        thread = OneThread("lbkit-keepalived")
        try:
            while True:
                self._doubt.clear()
                begun = self._loop.time()
                try:
                    said = await thread.run(lambda: vrrp.look(self._site))
                except NotAllowed as e:
                    log.info("%s Until it tells of a change, this node's role is taken from the adverts that pass.", e)
                    return
                self._take(said, begun)
                await asyncio.sleep(_NOT_SOONER)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_ASKS_EVERY):
                        await self._doubt.wait()
        finally:
            thread.end()

    @property
    def _is_blind(self) -> bool:
        """The FIFO tells nothing of a change."""
        return self._fifo is None or bool(self.trouble)

    def _take(self, said: vrrp.Vrrp, begun: float) -> None:
        self._mute = said.pid if said.state == "frozen" else None
        if said.state == "running" and said.role != "unknown" and self.since <= begun:  # else the FIFO knows better
            self._turn(said.role, self._loop.time() - max(0.0, time.time() - said.since))
            self._changed()

    def _open_fifo(self) -> None:
        if self._fifo is None:
            return
        before = self._fifo.fd
        try:
            opened = self._fifo.open()
            self.trouble = ""
        except CannotRun as e:
            opened, self.trouble = True, str(e)
        if opened and before is not None:
            self._loop.remove_reader(before)  # it is closed, and its number soon another file's
        if opened and self._fifo.fd is not None:
            self._loop.add_reader(self._fifo.fd, self._read_fifo, self._fifo)

    def _read_fifo(self, fifo: Fifo) -> None:
        name = vrrp.instance(self._site)
        for one in fifo.read():
            if one.instance == name and one.role is not None:
                self._turn(one.role, self._loop.time())
        self._changed()

    def _turn(self, role: Role, since: float) -> None:
        if role != self.role:
            log.info("this node's role: %s", role)
            self.role, self.since = role, since

    def _guess(self, now: float, holds: bool) -> None:
        """By the adverts that pass."""
        fresh = 3 * self._interval
        sent, heard = self._network.sent, self._network.heard
        if holds and sent is not None and now - sent <= fresh:
            self._turn("master", now)
        elif not holds and heard is not None and now - heard <= fresh:
            self._turn("backup", now)
