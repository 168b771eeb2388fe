"""What the listener of lbkit.testing plays, and a port that does not even take connections."""

import socket
import struct
import time
from contextlib import contextmanager


def replies(*answers):
    """A remote that reads once before each answer, then waits until its client has left."""

    def script(client):
        for answer in answers:
            if not client.recv(65536):
                return
            client.sendall(answer)
        while client.recv(65536):
            pass

    return script


def silent(client):
    """A remote that takes connections and says nothing."""
    replies()(client)


def hang_up(client):
    """A remote that resets the connection at once."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(client):
    """A remote that hears something, then resets the connection."""
    client.recv(100)
    hang_up(client)


def drip(client):
    """A remote that sends a byte now and then."""
    while True:
        client.sendall(b".")
        time.sleep(0.02)


def flood(client):
    """A remote that sends as much as it can, for long enough."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        client.sendall(b"." * 65536)


@contextmanager
def black_hole():
    """A port that answers no connection request: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.settimeout(0.05)
            fillers.append(filler)
            try:
                filler.connect(server.getsockname())
            except TimeoutError:
                break
        yield server.getsockname()[1]
        for filler in fillers:
            filler.close()
