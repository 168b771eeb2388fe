"""A remote that plays a script: a listening socket, and for each connection a thread that plays the script on it.

A script is a sequence of acts (modules `acts`, `web`, `hl7`, `relay`). When it has run out the remote stays silent until its
client leaves.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from lbkit_demo.acceptor import ACCEPTOR
from lbkit_demo.place import ANYWHERE, Address, Contexts, Place

MOST_CLIENTS = 64
PATIENCE = 60.0  # seconds in which a client must do something; beyond any timeout that a check is tried with


class Client:
    """One connection, as the acts of a script see it. `heard`: what the acts have read, by what they call it."""

    def __init__(self, connection: socket.socket, contexts: Contexts, stopping: threading.Event) -> None:
        self.heard: dict[object, bytes] = {}
        self.pieces = 1  # into how many writes each message is cut
        self.pause_between = 0.0
        self.connection = connection
        self._contexts = contexts
        self._stopping = stopping

    @property
    def name(self) -> str:
        """What the server calls itself: its address and port."""
        host, port = self.connection.getsockname()
        return f"{host}:{port}"

    def secure(self, identity: str) -> None:
        """Speak TLS from here on, with the identity of that name."""
        context = self._contexts[identity]
        # wrapped before the handshake, so that `hang_up` can end that too
        secured = context.wrap_socket(self.connection, server_side=True, do_handshake_on_connect=False)
        self.connection = secured
        self.pause(0)
        secured.do_handshake()

    def read(self, size: int) -> bytes:
        """So many bytes; a client that leaves before ends the script."""
        data = b""
        while len(data) < size:
            data += self.read_some(size - len(data))
        return data

    def read_some(self, most: int = 4096) -> bytes:
        """At least one byte; a client that leaves ends the script."""
        data = self.connection.recv(most)
        if not data:
            raise ConnectionError("the client left")
        return data

    def hear_first_bytes(self) -> None:
        """Wait until the client has sent something, and leave it unread."""
        self.connection.recv(1, socket.MSG_PEEK)

    def say(self, message: bytes) -> None:
        """Send a message, in as many pieces and with the pauses that the script asked for."""
        size = -(-len(message) // min(self.pieces, len(message)))
        for start in range(0, len(message), size):
            if start and self.pause_between:
                self.pause(self.pause_between)
            self.connection.sendall(message[start : start + size])

    def pause(self, seconds: float) -> None:
        """Do nothing for a while; the end of the remote ends the script."""
        if self._stopping.wait(seconds):
            raise ConnectionAbortedError("the remote was stopped")

    def close(self) -> None:
        """Send FIN. What the client still sends is read later: unread bytes would turn the FIN into an RST."""
        self.connection.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST, by closing without lingering."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def hang_up(self) -> None:
        """End whatever an act waits for in another thread."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def play(self, script: Sequence[Act]) -> None:
        """Act by act, then silence; a client that leaves, or sends what does not belong there, ends it."""
        try:
            with suppress(OSError, ValueError, IndexError):
                self.connection.settimeout(PATIENCE)
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for act in script:
                    act(self)
                while self.connection.recv(4096):
                    pass
        finally:
            self.connection.close()


Act = Callable[[Client], None]


class Remote:
    """Plays one script to every client, until it is stopped."""

    def __init__(self, script: Sequence[Act], place: Place = ANYWHERE) -> None:
        self._script = script
        self._contexts = place.contexts
        self._stopping = threading.Event()
        self._clients: dict[threading.Thread, Client] = {}
        self._listener = socket.create_server(place.address, backlog=socket.SOMAXCONN)
        self._listener.setblocking(False)
        self.address: Address = self._listener.getsockname()
        ACCEPTOR.watch(self._listener, self._accept)

    def stop(self) -> None:
        """Free the port and end every conversation; no thread is left when this returns."""
        self._stopping.set()
        ACCEPTOR.forget(self._listener)
        self._listener.close()
        for client in self._clients.values():
            client.hang_up()
        for thread in self._clients:
            thread.join()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        self._clients = {thread: client for thread, client in self._clients.items() if thread.is_alive()}
        if len(self._clients) >= MOST_CLIENTS:
            connection.close()
            return
        client = Client(connection, self._contexts, self._stopping)
        thread = threading.Thread(target=client.play, args=[self._script], name="remote:client", daemon=True)
        self._clients[thread] = client
        thread.start()


@contextmanager
def scripted(script: Sequence[Act], place: Place = ANYWHERE) -> Iterator[Address]:
    """Play the script on a port of the loopback while the block runs."""
    remote = Remote(script, place)
    try:
        yield remote.address
    finally:
        remote.stop()
