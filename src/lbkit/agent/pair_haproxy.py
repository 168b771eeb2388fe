"""HAProxy as the pair's watchman sees it: does it serve, are real servers up, does it hear the other node's.

Its worker's end is seen by its pidfd, in the moment it happens; the worker ends by itself when its master does. That it
hangs shows when its socket is silent. Another worker after a reload is no end: it answers in the place of the old one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from lbkit.agent.one_thread import OneThread
from lbkit.errors import LbkitError
from lbkit.haproxy import peers
from lbkit.haproxy.checked import COLUMNS, health
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.rows import Row
from lbkit.haproxy.sections import FALLBACK
from lbkit.site.model import Site
from lbkit.state.pair import HaproxyIs

log = logging.getLogger("lbkit.agent")

EVERY = 0.2  # seconds between two questions
SILENT = 0.5  # seconds without an answer: it hangs
_LOOKS_EVERY = 1.0  # seconds between two looks at its real servers and peers
_TIMEOUT = 2.0  # seconds for each request of these
_MOST = 1 << 16  # bytes of `show info`
_COLUMNS = ("pxname", "svname", "status", *COLUMNS)
_NOT_CHECKED_YET = ("INI", "UNK")


def any_up(rows: Iterable[Row], labels: Collection[str]) -> bool | None:
    """Whether a real server of these VIPs is up, by HAProxy's own checks. None: none is known to be, and one has not been
    checked yet, as in a worker that somebody else has just started; HAProxy sends it clients meanwhile.
    """
    found: bool | None = False
    for row in rows:
        if row["pxname"] not in labels or row["svname"] in ("FRONTEND", "BACKEND", FALLBACK):
            continue
        if health(row, row.text("status").startswith("DOWN")) == "up":
            return True
        if row.text("check_status") in _NOT_CHECKED_YET:
            found = None
    return found


class HaproxyWatch:
    """`changed`: called when something is other than before. `state`: None: not known yet. `servers_up`: at least one real
    server is, by its own checks; None: not known. `heard`: when it heard the other node's HAProxy last, on the loop's clock.
    """

    def __init__(self, site: Site, peer: str, changed: Callable[[], None]) -> None:
        self._haproxy = Haproxy(site, _TIMEOUT)
        self._labels = {vip.label for vip in self._haproxy.vips}
        self._socket = os.path.join(site.haproxy.runtime, "admin.sock")
        self._peer = peer
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._pidfd: int | None = None
        self._pid: int | None = None
        self._now = asyncio.Event()
        self.state: HaproxyIs | None = None if self._labels else "none"
        self.servers_up: bool | None = None if self._labels else False
        self.heard: float | None = None
        self.trouble = ""

    async def run(self) -> None:
        """Until cancelled; ends at once where HAProxy has nothing to do."""
        if not self._labels:
            return
        looking = asyncio.create_task(self._look_each_second())
        try:
            while True:
                self._now.clear()
                self._turn(await self._ask())
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._now.wait()
        finally:
            looking.cancel()
            self._forget()

    # --- does it serve ---

    async def _ask(self) -> HaproxyIs | None:
        """None: can't be said."""
        begun = self._loop.time()
        late_at = begun + SILENT
        try:
            async with asyncio.timeout_at(late_at):
                pid = await self._pid_of_worker()
        except TimeoutError:
            # if this loop itself was held up, HAProxy may have been as well
            return self.state if self._loop.time() - late_at > SILENT / 2 else "hung"
        except PermissionError as e:
            self.trouble = f"HAProxy can't be watched: {self._socket}: {e.strerror}. Run this as a member of its group."
            return None
        except (FileNotFoundError, ConnectionRefusedError):
            return "dead"
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):  # it hung up: it is just going
            return self.state
        self.trouble = ""
        self._follow(pid)
        return "up"

    async def _pid_of_worker(self) -> int:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=_MOST)
        try:
            writer.write(b"show info\n")
            await reader.readuntil(b"\nPid: ")
            return int(await reader.readline())
        finally:
            writer.close()

    def _follow(self, pid: int) -> None:
        """Be told when this worker ends."""
        if pid == self._pid:
            return
        self._forget()
        with suppress(OSError):  # it has ended: the next question shows it
            self._pidfd = os.pidfd_open(pid)
            self._loop.add_reader(self._pidfd, self._ended)
        self._pid = pid

    def _ended(self) -> None:
        """The worker has: unless another one listens at this moment, that is all."""
        self._forget()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asked:
                asked.connect(self._socket)
        except (FileNotFoundError, ConnectionRefusedError):
            self._turn("dead")
        except OSError:
            pass
        self._now.set()

    def _forget(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        self._pidfd = self._pid = None

    def _turn(self, state: HaproxyIs | None) -> None:
        if state not in (None, self.state):
            known, self.state = self.state is not None, state
            if known or state != "up":  # else it goes on as the watch before this one has seen it
                self.servers_up = None if state == "up" else False
            self._changed()

    # --- what it sees ---

    async def _look_each_second(self) -> None:
        thread = OneThread("lbkit-haproxy-seen")
        try:
            while True:
                if self.state == "up":
                    await self._look(thread)
                await asyncio.sleep(_LOOKS_EVERY if self.servers_up else _LOOKS_EVERY / 4)
        finally:
            thread.end()

    async def _look(self, thread: OneThread) -> None:
        try:
            up = await thread.run(self._any_up)
            session = await thread.run(self._session)
        except LbkitError as e:
            log.debug("HAProxy can't be looked at: %s", e)
            return
        except Exception:  # the next look comes, whatever this one ran into
            log.exception("HAProxy can't be looked at")
            return
        if session is not None and session.established:
            self.heard = self._loop.time() - (session.heard or 0.0)
        if self.state == "up" and up not in (None, self.servers_up):  # None: they are as the worker before left them
            self.servers_up = up
            self._changed()

    def _any_up(self) -> bool | None:
        return any_up(self._haproxy.runtime.stats(columns=_COLUMNS), self._labels)

    def _session(self) -> peers.PeerSession | None:
        found = peers.sessions(self._haproxy.runtime)
        return next((one for one in found if one.name == self._peer and not one.local), None)
