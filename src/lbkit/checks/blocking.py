"""The driver for one check at a time: `lbkit-probe`, `lbkit check` with one target, `lbkit.check`. C modules only.

One absolute deadline stands over name lookup, connect, TLS and protocol, however slowly the remote drips.
"""

import _socket
from time import monotonic

from lbkit.checks.conversation import Conversation, Lost, Outcome, down
from lbkit.checks.names import NameFailed, literal, look_up_aside
from lbkit.errors import CannotRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from lbkit.checks.conversation import Protocol, Talk
    from lbkit.checks.names import Address

    Tls: TypeAlias = Callable[[Conversation, str], Talk]  # wraps a conversation for a host name

READ_SIZE = 8192
# Without it every answer that comes in two writes, as dcmtk's and Orthanc's do, waits 40 ms for our delayed ACK. Linux only.
QUICKACK = getattr(_socket, "TCP_QUICKACK", None)


class Run:
    """What one run found: the outcome, seconds for each step and altogether, the address that was spoken to."""

    __slots__ = ("address", "duration", "outcome", "steps")

    def __init__(self, outcome: Outcome, steps: dict[str, float], duration: float, address: str) -> None:
        self.outcome = outcome
        self.steps = steps
        self.duration = duration
        self.address = address


def run(host: str, port: int, timeout: float, protocol: "Protocol", tls: "Tls | None" = None) -> Run:
    """Run one protocol against `host`:`port` within `timeout` seconds.

    Raises CannotRun when this machine, not the remote, is in the way.
    """
    start = monotonic()
    deadline = start + timeout
    steps: dict[str, float] = {}
    address = ""
    try:
        addresses = _addresses(host, port, deadline, timeout, steps)
        sock, address, broken = _connected(addresses, host, port, deadline, timeout, steps)
        conversation = Conversation(protocol, steps)
        talk = conversation if tls is None else tls(conversation, host)
        outcome = _converse(sock, talk, deadline, timeout, broken)
    except _Ended as ended:
        protocol.close()
        outcome = ended.outcome
    return Run(outcome, steps, monotonic() - start, address)


class _Ended(Exception):
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def _addresses(host: str, port: int, deadline: float, timeout: float, steps: dict[str, float]) -> "list[Address]":
    known = literal(host, port)
    if known is not None:
        return [known]
    from _thread import allocate_lock

    start = monotonic()
    answer: list[list[Address] | NameFailed] = []
    answered = allocate_lock()
    answered.acquire()

    def done(found: "list[Address] | NameFailed") -> None:
        answer.append(found)
        answered.release()

    look_up_aside(host, port, done)
    in_time = answered.acquire(timeout=max(deadline - monotonic(), 0))
    steps["dns"] = monotonic() - start
    from lbkit.checks import words

    if not in_time:
        raise _Ended(words.timed_out_at_dns(host, timeout))
    if isinstance(answer[0], NameFailed):
        raise _Ended(words.name_failed(host, answer[0].known_absent))
    return answer[0]


def _connected(
    addresses: "list[Address]", host: str, port: int, deadline: float, timeout: float, steps: dict[str, float]
) -> "tuple[_socket.socket, str, bool]":
    """Try one address after the other, each with its share of the time that is left.

    The third value: the connection stood, and was reset before we looked.
    """
    start = monotonic()
    left = len(addresses)
    failure: OSError = TimeoutError()
    for family, address in addresses:
        broken = False
        try:
            sock = open_socket(family)
        except OSError as e:
            failure = e
            left -= 1
            continue
        try:
            sock.settimeout(max((deadline - monotonic()) / left, 0.001))
            sock.connect(address)
        except ConnectionResetError:
            broken = True
        except OSError as e:
            sock.close()
            failure = e
            left -= 1
            continue
        steps["connect"] = monotonic() - start
        return sock, address[0], broken
    steps["connect"] = monotonic() - start
    raise _Ended(connect_outcome(failure, host, port, timeout))


def open_socket(family: int, flags: int = 0) -> "_socket.socket":
    """A TCP socket. Raises CannotRun where none can be had, OSError where this machine lacks the address family."""
    try:
        sock = _socket.socket(family, _socket.SOCK_STREAM | flags)
    except OSError as e:
        from errno import EAFNOSUPPORT

        if e.errno == EAFNOSUPPORT:
            raise
        raise CannotRun(f"a socket can't be opened: {e.strerror}. See `ulimit -n`.") from e
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    return sock


def connect_outcome(failure: OSError, host: str, port: int, timeout: float) -> Outcome:
    """The verdict on a connect that failed. Raises CannotRun where it speaks of this machine."""
    from lbkit.checks import words

    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(failure, TimeoutError) and failure.errno is None:
        return words.timed_out_at_connect(where, timeout)
    outcome = words.connect_failed(failure.errno or 0, failure.strerror or "", where, timeout)
    if outcome is None:
        raise CannotRun(f"{where} can't be tried from this machine: {failure.strerror}.") from failure
    return outcome


def _converse(sock: "_socket.socket", talk: "Talk", deadline: float, timeout: float, broken: bool) -> Outcome:
    try:
        to_send = talk.begin(monotonic())
        while to_send is not None:
            if to_send and not broken:
                broken = not _send(sock, to_send, deadline)
            if QUICKACK is not None:  # after the send, so that our data carries the acknowledgement of what came before
                sock.setsockopt(_socket.IPPROTO_TCP, QUICKACK, 1)
            try:
                left = deadline - monotonic()
                if left <= 0:  # a flood would always have something to read
                    raise TimeoutError
                sock.settimeout(left)
                data = sock.recv(READ_SIZE)
            except TimeoutError:
                talk.lose(deadline_passed(timeout), monotonic())
                break
            except OSError:
                talk.lose(was_reset(), monotonic())
                break
            if not data and broken:
                talk.lose(was_reset(), monotonic())
                break
            to_send = talk.receive(data, monotonic())
        part(sock, talk.farewell())
    finally:
        sock.close()
    return talk.outcome or down("closed", "the conversation ended without an outcome")


def _send(sock: "_socket.socket", data: bytes, deadline: float) -> bool:
    """Send all; False, not an error, when it can't be: what the remote said before it went is still to be read."""
    try:
        sock.settimeout(max(deadline - monotonic(), 0.000001))
        sock.sendall(data)
    except TimeoutError:
        return True  # the read that follows meets the same deadline
    except OSError:
        return False
    return True


def part(sock: "_socket.socket", last_words: bytes) -> None:
    """Say the last words, then end with FIN: bytes left unread would make it RST, which SCPs log as an error."""
    if not last_words:
        return
    sock.setblocking(False)
    try:
        sock.send(last_words)
        sock.shutdown(_socket.SHUT_WR)
        for _ in range(16):
            if not sock.recv(READ_SIZE):
                break
    except OSError:
        pass  # the remote is gone already, or has nothing more to say


def deadline_passed(timeout: float) -> Lost:
    """The news that the deadline has passed while bytes were awaited."""
    return Lost("timed-out", f"no answer within {timeout:g} s")


def was_reset() -> Lost:
    """The news that the remote has reset the connection."""
    return Lost("reset", "the remote reset the connection")
