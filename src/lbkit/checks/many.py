"""The driver for many checks at once, on asyncio: one epoll object of our own, which the event loop sees as a single file.

Measured against an asyncio.Protocol per check, this costs about a third of the CPU (docs/performance.md). All of it runs in
the loop's thread. Linux only (epoll).
"""

from __future__ import annotations

import asyncio
import resource
from _socket import IPPROTO_TCP, SO_ERROR, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, socket
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from errno import EINPROGRESS
from os import strerror
from select import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from lbkit.checks import words
from lbkit.checks.blocking import QUICKACK, READ_SIZE, connect_outcome, deadline_passed, part, was_reset
from lbkit.checks.conversation import Conversation, Outcome
from lbkit.checks.names import NameFailed, literal, look_up_aside
from lbkit.errors import CannotRun

if TYPE_CHECKING:
    from lbkit.checks.conversation import Talk
    from lbkit.checks.kind import Check
    from lbkit.checks.names import Address
    from lbkit.checks.result import Result
    from lbkit.checks.target import Target

_SPARE_FILES = 64  # descriptors left to the rest of the program
_LOOK_UPS = 32  # threads that may wait for the name service at once
_EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET  # edges: no epoll_ctl between connecting and talking


class _Flight:
    """One check under way."""

    __slots__ = (
        "address",
        "broken",
        "check",
        "deadline",
        "future",
        "left",
        "queue",
        "since",
        "sock",
        "started",
        "steps",
        "talk",
        "target",
        "unsent",
    )

    def __init__(self, check: Check, target: Target, future: asyncio.Future[Result]) -> None:
        self.check = check
        self.target = target
        self.future = future
        self.started = self.since = self.deadline = 0.0
        self.left: list[Address] | None = None  # addresses not yet tried
        self.address = ""
        self.sock: socket | None = None
        self.talk: Talk | None = None
        self.unsent = b""
        self.broken = False  # sending has failed; what the remote said before is still to be read
        self.steps: dict[str, float] = {}
        self.queue: list[_Flight] | None = None  # other checks that wait for this target to be free


class Checker:
    """Runs checks side by side: at most `at_once`, one at a time per target, equal ones once.

    `async with Checker() as checker: result = await checker.start(check, target)`. Leaving it cancels what is under way.
    """

    def __init__(self, at_once: int = 1000) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._places = max(1, min(at_once, files - _SPARE_FILES))
        self._by_target: dict[tuple[str, int], _Flight] = {}
        self._by_file: dict[int, _Flight] = {}
        self._by_timeout: dict[float, dict[_Flight, None]] = {}  # in the order of their deadlines, since all are equal
        self._ready: deque[_Flight] = deque()  # wait for a place
        self._look_ups = 0
        self._look_up_queue: deque[_Flight] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Checker:
        self._loop = asyncio.get_running_loop()
        self._epoll = epoll()
        self._loop.add_reader(self._epoll.fileno(), self._on_events)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        if self._timer is not None:
            self._timer.cancel()
        self._ready.clear()
        for flight in list(self._by_target.values()):
            for waiting in flight.queue or ():
                waiting.future.cancel()
            flight.queue = None
            flight.future.cancel()
            self._land(flight)

    def start(self, check: Check, target: Target) -> asyncio.Future[Result]:
        """Run a check as soon as there is a place; the future holds its Result, or CannotRun."""
        place = (target.host, target.port)
        current = self._by_target.get(place)
        if current is None:
            flight = _Flight(check, target, self._loop.create_future())
            self._by_target[place] = flight
            self._ready.append(flight)
            self._fill()
            return flight.future
        if current.queue is None:
            current.queue = []
        for known in (current, *current.queue):
            if known.check == check and known.target == target and not known.future.done():
                return known.future
        flight = _Flight(check, target, self._loop.create_future())
        current.queue.append(flight)
        return flight.future

    # --- places ---

    def _fill(self) -> None:
        while self._places and self._ready:
            flight = self._ready.popleft()
            self._places -= 1
            try:
                self._launch(flight)
            except Exception as e:
                self._fail(flight, e)

    def _land(self, flight: _Flight) -> None:
        """Take a flight out of everything, and let the next one for its target get ready."""
        if flight.sock is not None:
            self._by_file.pop(flight.sock.fileno(), None)
            flight.sock.close()
            flight.sock = None
        if flight.started:
            self._places += 1
            self._by_timeout[flight.check.timeout].pop(flight, None)
        place = (flight.target.host, flight.target.port)
        if flight.queue:
            following = flight.queue.pop(0)
            following.queue = flight.queue
            self._by_target[place] = following
            self._ready.append(following)
        else:
            del self._by_target[place]

    def _fail(self, flight: _Flight, error: Exception) -> None:
        """What this machine or the check's own code got wrong belongs to whoever awaits this check."""
        if not flight.future.done():
            flight.future.set_exception(error)
        self._land(flight)

    def _finish(self, flight: _Flight, outcome: Outcome) -> None:
        if flight.talk is not None and flight.sock is not None:
            last_words = flight.talk.farewell()
            if last_words:
                part(flight.sock, last_words)
        if flight.address and flight.address != flight.target.host:
            outcome.details["address"] = flight.address
        self._land(flight)
        if not flight.future.done():
            duration = monotonic() - flight.started
            flight.future.set_result(flight.check.result(flight.target, outcome, duration, flight.steps))

    # --- from name to connection ---

    def _launch(self, flight: _Flight) -> None:
        now = monotonic()
        timeout = flight.check.timeout
        flight.started = flight.since = now
        flight.deadline = now + timeout
        self._by_timeout.setdefault(timeout, {})[flight] = None
        if self._timer is None or flight.deadline < self._timer.when():
            self._set_timer(flight.deadline)
        address = literal(flight.target.host, flight.target.port)
        if address is not None:
            self._connect(flight, [address])
        elif self._look_ups < _LOOK_UPS:
            self._look_up(flight)
        else:
            self._look_up_queue.append(flight)

    def _look_up(self, flight: _Flight) -> None:
        self._look_ups += 1

        def done(found: list[Address] | NameFailed) -> None:
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                self._loop.call_soon_threadsafe(self._looked_up, flight, found)

        look_up_aside(flight.target.host, flight.target.port, done)

    def _looked_up(self, flight: _Flight, found: list[Address] | NameFailed) -> None:
        self._look_ups -= 1
        while self._look_up_queue:
            waiting = self._look_up_queue.popleft()
            if not waiting.future.done():
                self._look_up(waiting)
                break
        if flight.future.done():
            return
        now = monotonic()
        flight.steps["dns"] = now - flight.since
        flight.since = now
        if isinstance(found, NameFailed):
            self._finish(flight, words.name_failed(flight.target.host, found.known_absent))
            self._fill()
            return
        try:
            self._connect(flight, found)
        except Exception as e:
            self._fail(flight, e)
        self._fill()

    def _connect(self, flight: _Flight, addresses: list[Address], failure: OSError | None = None) -> None:
        """Connect to the first of these addresses that lets us try; it gets its share of the time that is left."""
        if flight.sock is not None:
            self._by_file.pop(flight.sock.fileno(), None)
            flight.sock.close()
            flight.sock = None
        while addresses:
            family, address = addresses.pop(0)
            sock = _open(family)
            number = sock.connect_ex(address)
            if number in (0, EINPROGRESS):
                file = sock.fileno()
                flight.sock = sock
                flight.address = address[0]
                flight.left = addresses
                self._by_file[file] = flight
                self._epoll.register(file, _EVENTS)
                if addresses:
                    share = (flight.deadline - monotonic()) / (len(addresses) + 1)
                    self._loop.call_later(share, self._give_up, flight, sock)
                return
            sock.close()
            failure = OSError(number, strerror(number))
        flight.steps["connect"] = monotonic() - flight.since
        error = failure or TimeoutError()
        self._finish(flight, connect_outcome(error, flight.target.host, flight.target.port, flight.check.timeout))

    def _give_up(self, flight: _Flight, sock: socket) -> None:
        """This address has had its share of the time: on to the next, unless the connection stands by now."""
        if flight.sock is sock and flight.talk is None and flight.left:
            self._connect(flight, flight.left)

    # --- what epoll reports ---

    def _on_events(self) -> None:
        for file, events in self._epoll.poll(0, 512):
            flight = self._by_file.get(file)
            if flight is not None and flight.sock is not None:
                try:
                    self._advance(flight, flight.sock, events)
                except Exception as e:
                    self._fail(flight, e)
        self._fill()

    def _advance(self, flight: _Flight, sock: socket, events: int) -> None:
        talk = flight.talk
        if talk is None:
            if events & (EPOLLERR | EPOLLHUP):
                number = sock.getsockopt(SOL_SOCKET, SO_ERROR)
                if number:
                    self._connect(flight, flight.left or [], OSError(number, strerror(number)))
                    return
            if not events & EPOLLOUT:
                return
            talk = self._begin(flight)
            if flight.sock is None:
                return
        elif flight.unsent and events & EPOLLOUT:
            self._send(flight, flight.unsent)
        if events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            self._read(flight, talk, sock, events)

    def _begin(self, flight: _Flight) -> Talk:
        now = monotonic()
        flight.steps["connect"] = now - flight.since
        check = flight.check
        conversation = Conversation(check.protocol(flight.target), flight.steps)
        talk = conversation if check.tls is None else check.tls(conversation, flight.target.host)
        to_send = talk.begin(now)
        flight.talk = talk
        if to_send is None:
            self._end(flight)
        elif to_send:
            self._send(flight, to_send)
        return talk

    def _read(self, flight: _Flight, talk: Talk, sock: socket, events: int) -> None:
        """Read until nothing is left: an edge is reported once."""
        more = True
        while more:
            try:
                data = sock.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                talk.lose(was_reset(), monotonic())
                self._end(flight)
                return
            if data or not flight.broken:
                to_send = talk.receive(data, monotonic())
            else:
                talk.lose(was_reset(), monotonic())
                to_send = None
            if to_send is None:
                self._end(flight)
                return
            if QUICKACK is not None:
                sock.setsockopt(IPPROTO_TCP, QUICKACK, 1)
            if to_send:
                self._send(flight, flight.unsent + to_send)
            more = len(data) == READ_SIZE or bool(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))

    def _send(self, flight: _Flight, data: bytes) -> None:
        if flight.broken or flight.sock is None:
            return
        try:
            sent = flight.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            flight.broken = True
            sent = len(data)
        flight.unsent = data[sent:]

    def _end(self, flight: _Flight) -> None:
        if flight.talk is not None and flight.talk.outcome is not None:
            self._finish(flight, flight.talk.outcome)

    # --- deadlines ---

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = monotonic()
        earliest: list[float] = []
        for flights in self._by_timeout.values():
            for flight in list(flights):
                if flight.deadline > now:
                    earliest.append(flight.deadline)
                    break
                try:
                    self._time_out(flight)
                except Exception as e:
                    self._fail(flight, e)
        if earliest:
            self._set_timer(min(earliest))
        self._fill()

    def _time_out(self, flight: _Flight) -> None:
        now = monotonic()
        timeout = flight.check.timeout
        if flight.talk is not None:
            flight.talk.lose(deadline_passed(timeout), now)
            self._end(flight)
        elif flight.sock is None:
            flight.steps["dns"] = now - flight.since
            self._finish(flight, words.timed_out_at_dns(flight.target.host, timeout))
        else:
            flight.steps["connect"] = now - flight.since
            self._finish(flight, words.timed_out_at_connect(str(flight.target), timeout))


def _open(family: int) -> socket:
    try:
        sock = socket(family, SOCK_STREAM | SOCK_NONBLOCK)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    except OSError as e:
        raise CannotRun(f"a socket can't be opened: {e.strerror}. See `ulimit -n`.") from e
    return sock


async def run_many(requests: Iterable[tuple[Check, Target]], at_once: int = 1000) -> AsyncIterator[Result]:
    """Run all, and yield each Result as it is found. Raises what the first check that can't be run raises."""
    ended: deque[asyncio.Future[Result]] = deque()
    wake = asyncio.Event()

    def on_end(future: asyncio.Future[Result]) -> None:
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
