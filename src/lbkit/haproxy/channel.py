"""One request to HAProxy's command line: connect, send one line, read to the end. Bounded in time and in bytes."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator, Sequence
from time import monotonic

from lbkit.errors import EngineError, Misuse, NotAllowed, NotRunning

MOST_BYTES = 1 << 30  # of one answer: a table of seven million entries
MOST_SECONDS = 60.0  # for one answer as a whole
LINE = 16_000  # bytes; HAProxy takes one byte less than tune.bufsize, which is 16384 by default
CHUNK = 1 << 16

_TCP = re.compile(r"(?:\[([0-9a-fA-F:.%\w]+)\]|([^:/\s]+)):(\d{1,5})")


class Channel:
    """The socket of a process (a path, or host:port), or of a master that hands on to a worker (`worker`: "@1", "@!PID").

    `timeout`: seconds to connect, and of silence. A process closes after one line (management guide, 9.3); a master does not
    until it is told that no more will come (9.4).
    """

    def __init__(self, address: str, timeout: float, *, master: bool = False, worker: str = "") -> None:
        self.address = address
        self.timeout = timeout
        self.worker = worker
        self.where = f"worker {worker} behind {address}" if worker else f"HAProxy at {address}"
        self._half_close = master or bool(worker)
        self._tcp = _tcp(address)

    def batches(self, commands: Sequence[str]) -> Iterator[list[str]]:
        """The commands in their order, as many at a time as HAProxy takes in one line."""
        batch: list[str] = []
        size = 0
        for command in commands:
            length = len(self._addressed(command).encode()) + 1
            if batch and size + length > LINE:
                yield batch
                batch, size = [], 0
            batch.append(command)
            size += length
        if batch:
            yield batch

    def exchange(self, commands: Sequence[str], payload: bytes = b"") -> Iterator[bytes]:
        """Send commands in one line and give what comes until HAProxy closes; a payload goes with the last of them.

        Raises NotRunning (nobody there, or silent), NotAllowed (the socket's file), EngineError (more than it may be).
        """
        sent = ";".join(map(self._addressed, commands)).encode()
        sent += b" <<\n" + payload + b"\n\n" if payload else b"\n"
        left, deadline = MOST_BYTES, monotonic() + max(MOST_SECONDS, self.timeout)
        with self._connected() as connection:
            try:
                connection.sendall(sent)
                if self._half_close:
                    connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(CHUNK):
                    left -= len(chunk)
                    if left < 0 or monotonic() > deadline:
                        raise EngineError(
                            f"{self.where}: the answer is more than {MOST_BYTES >> 20} MiB, or took longer than "
                            f"{MOST_SECONDS:g} s. Ask for less (one backend, one key)."
                        )
                    yield chunk
                if left == MOST_BYTES:  # even to say nothing, HAProxy sends an empty line
                    raise self._lost("no answer", len(sent))
            except TimeoutError:
                raise NotRunning(
                    f"{self.where} took the command and stayed silent for {self.timeout:g} s: it hangs, or is overloaded. "
                    "See its load (top), then its log."
                ) from None
            except OSError as e:
                raise self._lost(e.strerror or str(e), len(sent)) from None

    def _addressed(self, command: str) -> str:
        """A master wants each command to name its worker: the prefix of the first holds for no other."""
        return f"{self.worker} {command}" if self.worker else command

    def _connected(self) -> socket.socket:
        try:
            if self._tcp is not None:
                return socket.create_connection(self._tcp, self.timeout)
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(self.timeout)
                connection.connect(self.address)
            except BaseException:
                connection.close()
                raise
        except OSError as e:
            raise self._unreachable(e) from None
        return connection

    def _unreachable(self, error: OSError) -> EngineError:
        if isinstance(error, PermissionError):
            return NotAllowed(
                f"{self.address} may not be opened by this user: {error.strerror}. Run as root, or as the user or group "
                "that its `stats socket` line (or -S of the master) names."
            )
        silent = isinstance(error, TimeoutError) and not error.errno
        why = f"no answer within {self.timeout:g} s" if silent else error.strerror or str(error)
        hint = "Is HAProxy running (systemctl status haproxy)"
        if error.errno == errno.ENOENT:
            hint += ", and is this the path of its `stats socket` line"
        return NotRunning(f"nobody answers at {self.address}: {why}. {hint}?")

    def _lost(self, why: str, sent: int) -> EngineError:
        if sent > LINE:
            return EngineError(
                f"{self.where} hung up on {sent} bytes: it takes no more than tune.bufsize (16384 by default) at once. "
                "Raise tune.bufsize in its configuration, or reload with the new file in place."
            )
        return NotRunning(f"{self.where} hung up before it answered: {why}. It was stopped or reloaded; try again.")


def _tcp(address: str) -> tuple[str, int] | None:
    """Host and port; None: a path."""
    if address.startswith("/"):
        return None
    found = _TCP.fullmatch(address)
    if found is None or int(found[3]) > 65535:
        raise Misuse(f"{address!r} is no runtime API. Give the path of a socket, host:port, or [IPv6]:port.")
    return found[1] or found[2], int(found[3])
