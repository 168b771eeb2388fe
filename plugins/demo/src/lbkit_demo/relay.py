"""What stands at the address of a layer-4 VIP: each connection goes to the first real server that takes it."""

from __future__ import annotations

import socket
from contextlib import suppress
from select import POLLIN, poll
from typing import TYPE_CHECKING

from lbkit_demo.remote import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lbkit_demo.place import Address
    from lbkit_demo.remote import Act, Client

TAKES_WITHIN = 0.25  # seconds for a server on this machine to take a connection
LAST_WORDS = 0.5  # seconds that one side may still talk when the other has ended
BLOCK = 65536  # bytes


def relay(servers: Sequence[Address]) -> Act:
    """Pass on what either side says, bytes as they are."""

    def act(client: Client) -> None:
        server = _first_that_takes(servers)
        if server is None:
            client.close()
            return
        with server:
            server.settimeout(PATIENCE)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                _pass_on(client.connection, server)
            except ConnectionResetError:
                client.reset()

    return act


def _first_that_takes(servers: Sequence[Address]) -> socket.socket | None:
    for address in servers:
        with suppress(OSError):
            return socket.create_connection(address, TAKES_WITHIN)
    return None


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    onward = {client.fileno(): (client, server), server.fileno(): (server, client)}
    watched = poll()
    for file in onward:
        watched.register(file, POLLIN)
    patience = PATIENCE
    while onward and (ready := watched.poll(patience * 1000)):
        for file, _ in ready:
            source, sink = onward[file]
            data = source.recv(BLOCK)
            if data:
                sink.sendall(data)
            else:
                watched.unregister(file)
                del onward[file]
                sink.shutdown(socket.SHUT_WR)
                patience = LAST_WORDS
