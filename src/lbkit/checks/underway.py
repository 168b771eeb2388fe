"""One check under way, on a socket that never blocks: connect, converse, end. `Checker` tells it what epoll saw."""

from __future__ import annotations

import asyncio
from _socket import IPPROTO_TCP, SO_ERROR, SOCK_NONBLOCK, SOL_SOCKET, socket
from errno import ECONNRESET, EINPROGRESS
from os import strerror
from select import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from lbkit.checks import words
from lbkit.checks.blocking import QUICKACK, READ_SIZE, connect_outcome, deadline_passed, open_socket, part, was_reset
from lbkit.checks.conversation import Conversation

if TYPE_CHECKING:
    from lbkit.checks.conversation import Outcome, Talk
    from lbkit.checks.kind import Check
    from lbkit.checks.names import Address
    from lbkit.checks.result import Result
    from lbkit.checks.target import Target

EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET  # edges: no epoll_ctl between connecting and talking
_READS = 16  # at most, before others have their turn
_READABLE = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR
_ENDED = EPOLLRDHUP | EPOLLHUP | EPOLLERR


class Driver(Protocol):
    """What a run asks of whoever runs it (`lbkit.checks.many.Checker`)."""

    def watch(self, run: UnderWay, sock: socket, share: float) -> None:
        """Tell it what happens on this socket; after `share` seconds, if not 0, that its address has had its time."""

    def watch_again(self, sock: socket) -> None:
        """Tell it anew what was left to read."""

    def drop(self, run: UnderWay) -> None:
        """Forget its socket, and close it."""

    def post(self, run: UnderWay) -> None:
        """It has something to send."""

    def finish(self, run: UnderWay, outcome: Outcome) -> None:
        """It has ended."""


class UnderWay:
    """From `begin` until `Driver.finish`, which gets its outcome."""

    __slots__ = (
        "_broken",
        "_driver",
        "_left",
        "_since",
        "_talk",
        "_unsent",
        "address",
        "check",
        "deadline",
        "futures",
        "over",
        "queue",
        "sock",
        "started",
        "steps",
        "target",
    )

    def __init__(self, driver: Driver, check: Check, target: Target, future: asyncio.Future[Result]) -> None:
        self._driver = driver
        self.check = check
        self.target = target
        self.futures = [future]  # one for each who asked for this check of this target
        self.over = False
        self.queue: list[UnderWay] | None = None  # other checks that wait for this target to be free
        self.started = self.deadline = self._since = 0.0
        self.steps: dict[str, float] = {}
        self.address = ""
        self.sock: socket | None = None
        self._left: list[Address] = []  # addresses not yet tried
        self._talk: Talk | None = None
        self._unsent = b""
        self._broken = False  # sending has failed; what the remote said before is still to be read

    def begin(self) -> None:
        """The clock runs from here."""
        self.started = self._since = monotonic()
        self.deadline = self.started + self.check.timeout

    def looked_up(self) -> None:
        """The name service has answered."""
        now = monotonic()
        self.steps["dns"] = now - self._since
        self._since = now

    def connect(self, addresses: list[Address], failure: OSError | None = None) -> None:
        """Connect to the first of these addresses that lets us try; it gets its share of the time that is left."""
        self._driver.drop(self)
        while addresses:
            family, address = addresses.pop(0)
            try:
                sock = open_socket(family, SOCK_NONBLOCK)
            except OSError as e:
                failure = e
                continue
            number = sock.connect_ex(address)
            if number in (0, EINPROGRESS):
                self.sock = sock
                self.address = address[0]
                self._left = addresses
                share = (self.deadline - monotonic()) / (len(addresses) + 1) if addresses else 0.0
                self._driver.watch(self, sock, share)
                return
            sock.close()
            failure = OSError(number, strerror(number))
        self.steps["connect"] = monotonic() - self._since
        error = failure or TimeoutError()
        self._driver.finish(self, connect_outcome(error, self.target.host, self.target.port, self.check.timeout))

    def give_up(self, sock: socket) -> None:
        """This address has had its share of the time: on to the next, unless the connection stands by now."""
        if self.sock is sock and self._talk is None and self._left:
            self.connect(self._left)

    def advance(self, sock: socket, events: int) -> None:
        """Act on what epoll saw."""
        talk = self._talk
        if talk is None:
            if events & (EPOLLERR | EPOLLHUP):
                number = sock.getsockopt(SOL_SOCKET, SO_ERROR)
                if number == ECONNRESET:  # the connection stood, and was reset before we looked
                    self._broken = True
                elif number:
                    self.connect(self._left, OSError(number, strerror(number)))
                    return
            if not events & EPOLLOUT:
                return
            talk = self._connected()
        elif self._unsent and events & EPOLLOUT:
            self._driver.post(self)
        if events & _READABLE and self.sock is not None:
            self._read(talk, sock, events)

    def send(self, sock: socket) -> None:
        """Send what waits to be sent."""
        data = self._unsent
        try:
            sent = sock.send(data)
            if QUICKACK is not None:  # after the send, so that our data carries the acknowledgement
                sock.setsockopt(IPPROTO_TCP, QUICKACK, 1)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._broken = True
            sent = len(data)
        self._unsent = data[sent:]

    def time_out(self) -> None:
        """The deadline has passed."""
        now = monotonic()
        if self._talk is not None:
            self._talk.lose(deadline_passed(self.check.timeout), now)
            self._end(self._talk)
        elif self.sock is None:
            self.steps["dns"] = now - self._since
            self._driver.finish(self, words.timed_out_at_dns(self.target.host, self.check.timeout))
        else:
            self.steps["connect"] = now - self._since
            self._driver.finish(self, words.timed_out_at_connect(str(self.target), self.check.timeout))

    def _connected(self) -> Talk:
        now = monotonic()
        self.steps["connect"] = now - self._since
        check = self.check
        conversation = Conversation(check.protocol(self.target), self.steps)
        talk = self._talk = conversation if check.tls is None else check.tls(conversation, self.target.host)
        to_send = talk.begin(now)
        if to_send is None:
            self._end(talk)
        elif to_send:
            self._post(to_send)
        return talk

    def _read(self, talk: Talk, sock: socket, events: int) -> None:
        """Read until nothing is left, because an edge is reported once; a flood leaves the others their turn."""
        for _ in range(_READS):
            try:
                data = sock.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                talk.lose(was_reset(), monotonic())
                self._end(talk)
                return
            if data or not self._broken:
                to_send = talk.receive(data, monotonic())
            else:
                talk.lose(was_reset(), monotonic())
                to_send = None
            if to_send is None:
                self._end(talk)
                return
            if to_send:
                self._post(to_send)
            elif QUICKACK is not None:
                sock.setsockopt(IPPROTO_TCP, QUICKACK, 1)
            if len(data) < READ_SIZE and not events & _ENDED:
                return
        self._driver.watch_again(sock)

    def _post(self, data: bytes) -> None:
        if not self._broken:
            if not self._unsent:
                self._driver.post(self)
            self._unsent += data

    def _end(self, talk: Talk) -> None:
        if talk.outcome is None:
            return
        last_words = talk.farewell()
        if last_words and self.sock is not None:
            part(self.sock, self._unsent + last_words)
        if self.address != self.target.host:
            talk.outcome.details["address"] = self.address
        self._driver.finish(self, talk.outcome)
