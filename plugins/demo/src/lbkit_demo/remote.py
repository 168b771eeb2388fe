"""A remote that plays a script: a listening socket, and for each connection a thread that plays the script on it.

A script is a sequence of acts (module `acts`). When it has run out the remote stays silent until its client leaves.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from lbkit_demo import pdus

LOOPBACK = "127.0.0.1"
MOST_CLIENTS = 64
LONGEST_REQUEST = 65536
PATIENCE = 60.0  # seconds in which a client must do something; beyond any timeout that a check is tried with
ACCEPT_POLL = 0.25  # seconds; only for systems where shutdown() does not wake accept()

Address = tuple[str, int]


class Client:
    """One connection, as the acts of a script see it."""

    def __init__(self, connection: socket.socket, stopping: threading.Event) -> None:
        self.heard: dict[int, bytes] = {}  # the last PDU of each type that the client sent
        self.pieces = 1  # into how many writes each message is cut
        self.pause_between = 0.0
        self._connection = connection
        self._stopping = stopping

    def hear(self, kind: int) -> None:
        """Read one PDU, and keep it; a client that sends another kind of PDU has left the script."""
        header = self._read(pdus.HEADER.size)
        got, length = pdus.HEADER.unpack(header)
        if got != kind or length > LONGEST_REQUEST:
            raise ConnectionError(f"PDU of type {got} and length {length} where type {kind} was due")
        self.heard[kind] = header + self._read(length)

    def hear_first_bytes(self) -> None:
        """Wait until the client has sent something, and leave it unread."""
        self._connection.recv(1, socket.MSG_PEEK)

    def say(self, message: bytes) -> None:
        """Send a message, in as many pieces and with the pauses that the script asked for."""
        size = -(-len(message) // min(self.pieces, len(message)))
        for start in range(0, len(message), size):
            if start and self.pause_between:
                self.pause(self.pause_between)
            self._connection.sendall(message[start : start + size])

    def pause(self, seconds: float) -> None:
        """Do nothing for a while; the end of the remote ends the script."""
        if self._stopping.wait(seconds):
            raise ConnectionAbortedError("the remote was stopped")

    def close(self) -> None:
        """Send FIN. What the client still sends is read later: unread bytes would turn the FIN into an RST."""
        self._connection.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST, by closing without lingering."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def hang_up(self) -> None:
        """End whatever an act waits for in another thread."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def play(self, script: Sequence[Act]) -> None:
        """Act by act, then silence; a client that leaves, or sends what no DICOM client sends, ends it."""
        with self._connection, suppress(OSError, ValueError, IndexError):
            self._connection.settimeout(PATIENCE)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for act in script:
                act(self)
            while self._connection.recv(4096):
                pass

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._connection.recv(size - len(data))
            if not more:
                raise ConnectionError("the client left")
            data += more
        return data


Act = Callable[[Client], None]


class Remote:
    """Plays one script to every client, until it is stopped."""

    def __init__(self, script: Sequence[Act], port: int = 0) -> None:
        self._script = script
        self._stopping = threading.Event()
        self._clients: dict[threading.Thread, Client] = {}
        self._listener = socket.create_server((LOOPBACK, port), backlog=socket.SOMAXCONN)
        self._listener.settimeout(ACCEPT_POLL)
        self.address: Address = self._listener.getsockname()
        self._acceptor = threading.Thread(target=self._accept, name=f"remote:{self.address[1]}", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Free the port and end every conversation; no thread is left when this returns."""
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for thread, client in self._clients.items():
            client.hang_up()
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._clients = {thread: client for thread, client in self._clients.items() if thread.is_alive()}
            if len(self._clients) >= MOST_CLIENTS:
                connection.close()
                continue
            client = Client(connection, self._stopping)
            thread = threading.Thread(target=client.play, args=[self._script], name="remote:client", daemon=True)
            self._clients[thread] = client
            thread.start()


@contextmanager
def scripted(script: Sequence[Act], port: int = 0) -> Iterator[Address]:
    """Play the script on a port of the loopback while the block runs."""
    remote = Remote(script, port)
    try:
        yield remote.address
    finally:
        remote.stop()
