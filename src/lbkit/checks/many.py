"""The driver for many checks at once, on asyncio: one epoll object of our own, which the event loop sees as a single file.

That costs about a third of the CPU of an asyncio.Protocol per check, and half as much again as a C program that replays the
same bytes (docs/performance.md). All of it runs in the loop's thread. Linux only.
"""

from __future__ import annotations

import asyncio
import resource
from _thread import start_new_thread
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from select import epoll
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from lbkit.checks import words
from lbkit.checks.names import NameFailed, literal, look_up_aside
from lbkit.checks.underway import EVENTS, UnderWay
from lbkit.errors import CannotRun

if TYPE_CHECKING:
    from _socket import socket

    from lbkit.checks.conversation import Outcome
    from lbkit.checks.kind import Aside, Check
    from lbkit.checks.names import Address
    from lbkit.checks.result import Result
    from lbkit.checks.target import Target

_SPARE_FILES = 64  # descriptors left to the rest of the program
_LOOK_UPS = 32  # threads that may wait for the name service at once
_ASIDES = 32  # threads that may run checks that are no conversation


class Checker:
    """Runs checks side by side: at most `at_once`, one at a time per target, equal ones once.

    `async with Checker() as checker: result = await checker.start(check, target)`. Leaving it cancels what is under way.
    """

    def __init__(self, at_once: int = 1000) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._places = max(1, min(at_once, files - _SPARE_FILES))
        self._by_target: dict[tuple[str, int], UnderWay] = {}
        self._by_file: dict[int, UnderWay] = {}
        self._by_timeout: dict[float, dict[UnderWay, None]] = {}  # in the order of their deadlines, since all are equal
        self._ready: deque[UnderWay] = deque()  # wait for a place
        self._outbox: list[UnderWay] = []  # have something to send
        self._closing: list[socket] = []
        self._look_ups = 0
        self._look_up_queue: deque[UnderWay] = deque()
        self._asides = 0
        self._aside_queue: deque[tuple[UnderWay, Aside]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Checker:
        self._loop = asyncio.get_running_loop()
        try:
            self._epoll = epoll()
        except OSError as e:
            raise CannotRun(f"checks can't be watched: {e.strerror}. See `ulimit -n`.") from e
        self._loop.add_reader(self._epoll.fileno(), self._on_events)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._ready.clear()
        self._aside_queue.clear()
        for run in list(self._by_target.values()):
            for waiting in (run, *(run.queue or ())):
                for future in waiting.futures:
                    future.cancel()
            run.queue = None
            self._leave(run)
        self._settle()
        if self._timer is not None:
            self._timer.cancel()

    def start(self, check: Check, target: Target) -> asyncio.Future[Result]:
        """Run a check as soon as there is a place; the future holds its Result, or CannotRun."""
        future: asyncio.Future[Result] = self._loop.create_future()
        place = (target.host, target.port)
        current = self._by_target.get(place)
        if current is None:
            run = UnderWay(self, check, target, future)
            self._by_target[place] = run
            self._ready.append(run)
            self._fill()
            return future
        if current.queue is None:
            current.queue = []
        for known in (current, *current.queue):
            if known.check == check and known.target == target:
                known.futures.append(future)
                return future
        current.queue.append(UnderWay(self, check, target, future))
        return future

    # --- what a run asks for ---

    def watch(self, run: UnderWay, sock: socket, share: float) -> None:
        """See `Driver.watch`."""
        file = sock.fileno()
        self._by_file[file] = run
        self._epoll.register(file, EVENTS)
        if share:
            self._loop.call_later(share, self._give_up, run, sock)

    def watch_again(self, sock: socket) -> None:
        """See `Driver.watch_again`."""
        self._epoll.modify(sock.fileno(), EVENTS)

    def drop(self, run: UnderWay) -> None:
        """See `Driver.drop`."""
        if run.sock is not None:
            del self._by_file[run.sock.fileno()]
            self._closing.append(run.sock)
            run.sock = None

    def post(self, run: UnderWay) -> None:
        """See `Driver.post`."""
        self._outbox.append(run)

    def finish(self, run: UnderWay, outcome: Outcome) -> None:
        """See `Driver.finish`."""
        duration = monotonic() - run.started
        self._tell(run, run.check.result(run.target, outcome, duration, run.steps))

    def _tell(self, run: UnderWay, result: Result) -> None:
        self._leave(run)
        for future in run.futures:
            if not future.done():
                future.set_result(result)

    # --- places ---

    def _fill(self) -> None:
        while self._places and self._ready:
            run = self._ready.popleft()
            self._places -= 1
            try:
                self._begin_run(run)
            except Exception as e:
                self._fail(run, e)

    def _leave(self, run: UnderWay) -> None:
        """Take a run out of everything, and let the next one for its target get ready."""
        run.over = True
        self.drop(run)
        if run.started:
            self._places += 1
            if run.check.aside is None:
                del self._by_timeout[run.check.timeout][run]
        place = (run.target.host, run.target.port)
        if run.queue:
            following = run.queue.pop(0)
            following.queue = run.queue
            self._by_target[place] = following
            self._ready.append(following)
        else:
            del self._by_target[place]

    def _fail(self, run: UnderWay, error: Exception) -> None:
        """What this machine or the check's own code got wrong belongs to whoever awaits this check."""
        self._leave(run)
        for future in run.futures:
            if not future.done():
                future.set_exception(error)

    def _settle(self) -> None:
        """What a batch of events has left to do: send, close, start the next.

        Done for the batch together, because every byte sent while a remote on this machine sleeps pays for waking it.
        """
        sending, self._outbox = self._outbox, []
        for run in sending:
            if run.sock is not None:
                run.send(run.sock)
        closing, self._closing = self._closing, []
        for sock in closing:
            sock.close()
        self._fill()

    # --- from name to address ---

    def _begin_run(self, run: UnderWay) -> None:
        run.begin()
        if run.check.aside is not None:
            self._begin_aside(run, run.check.aside)
            return
        self._by_timeout.setdefault(run.check.timeout, {})[run] = None
        if self._timer is None or run.deadline < self._timer.when():
            self._set_timer(run.deadline)
        address = literal(run.target.host, run.target.port)
        if address is not None:
            run.connect([address])
        elif self._look_ups < _LOOK_UPS:
            self._look_up(run)
        else:
            self._look_up_queue.append(run)

    def _look_up(self, run: UnderWay) -> None:
        self._look_ups += 1

        def done(found: list[Address] | NameFailed) -> None:
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                self._loop.call_soon_threadsafe(self._looked_up, run, found)

        look_up_aside(run.target.host, run.target.port, done)

    def _looked_up(self, run: UnderWay, found: list[Address] | NameFailed) -> None:
        self._look_ups -= 1
        while self._look_up_queue:
            waiting = self._look_up_queue.popleft()
            if not waiting.over:
                self._look_up(waiting)
                break
        if not run.over:
            run.looked_up()
            try:
                if isinstance(found, NameFailed):
                    self.finish(run, words.name_failed(run.target.host, found.known_absent))
                else:
                    run.connect(found)
            except Exception as e:
                self._fail(run, e)
        self._settle()

    # --- checks that are no conversation: each keeps its own deadline ---

    def _begin_aside(self, run: UnderWay, aside: Aside) -> None:
        if self._asides >= _ASIDES:
            self._aside_queue.append((run, aside))
            return
        self._asides += 1

        def work() -> None:
            found: Result | Exception
            try:
                found = run.check.run_aside(aside, run.target, lambda: run.over)
            except Exception as e:
                found = e
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                self._loop.call_soon_threadsafe(self._ran_aside, run, found)

        try:
            start_new_thread(work, ())
        except RuntimeError:
            self._asides -= 1
            self._fail(run, CannotRun(f"{run.check.kind} needs a thread, and none can be had. See `ulimit -u`."))

    def _ran_aside(self, run: UnderWay, found: Result | Exception) -> None:
        self._asides -= 1
        while self._aside_queue and self._asides < _ASIDES:
            self._begin_aside(*self._aside_queue.popleft())
        if not run.over:
            if isinstance(found, Exception):
                self._fail(run, found)
            else:
                self._tell(run, found)
        self._settle()

    # --- events and deadlines ---

    def _give_up(self, run: UnderWay, sock: socket) -> None:
        try:
            run.give_up(sock)
        except Exception as e:
            self._fail(run, e)
        self._settle()

    def _on_events(self) -> None:
        for file, events in self._epoll.poll(0, 512):
            run = self._by_file.get(file)
            if run is not None and run.sock is not None:
                try:
                    run.advance(run.sock, events)
                except Exception as e:
                    self._fail(run, e)
        self._settle()

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = monotonic()
        earliest: list[float] = []
        for runs in self._by_timeout.values():
            for run in list(runs):
                if run.deadline > now:
                    earliest.append(run.deadline)
                    break
                try:
                    run.time_out()
                except Exception as e:
                    self._fail(run, e)
        if earliest:
            self._set_timer(min(earliest))
        self._settle()


async def run_many(requests: Iterable[tuple[Check, Target]], at_once: int = 1000) -> AsyncIterator[Result]:
    """Run all, and yield each Result as it is found. Raises what the first check that can't be run raises."""
    ended: deque[asyncio.Future[Result]] = deque()
    wake = asyncio.Event()

    def on_end(future: asyncio.Future[Result]) -> None:
        if not future.cancelled():
            future.exception()  # seen: after the first that is raised, asyncio need not complain of the others
        ended.append(future)
        wake.set()

    waiting = iter(requests)
    open_requests = 0
    async with Checker(at_once) as checker:
        while True:
            for check, target in waiting:
                checker.start(check, target).add_done_callback(on_end)
                open_requests += 1
                if open_requests >= 2 * at_once:
                    break
            if not open_requests:
                return
            await wake.wait()
            wake.clear()
            while ended:
                open_requests -= 1
                yield ended.popleft().result()
