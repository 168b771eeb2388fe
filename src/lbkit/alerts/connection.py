"""A connection to a mail server, on which nothing is waited for without end."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import Timer

STEP = 10.0  # seconds for each answer, but for that to a mail
ALTOGETHER = 120.0  # seconds for a server, from its first word to its last
_ADDRESSES = 4  # of a host that are tried


@contextmanager
def greeted(host: str, port: int) -> Iterator[smtplib.SMTP]:
    """A connection after EHLO. Raises OSError, of which smtplib's errors are, and UnicodeError for what is no host name."""
    client = _Client(host, port, local_hostname="localhost", timeout=STEP)
    try:
        client.local_hostname = _own_name() or client.own_address
        client.ehlo_or_helo_if_needed()
        yield client
        with suppress(OSError):  # it has the mail, whatever it says now
            client.quit()
    finally:
        client.close()


class _Client(smtplib.SMTP):
    """One whose connection is cut after ALTOGETHER, whatever the server does: each of its bytes could come just in time."""

    _cutter: Timer | None = None
    own_address = ""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = _connected(host, port, timeout)
        name = connected.getsockname()[0]
        self.own_address = f"[IPv6:{name}]" if ":" in name else f"[{name}]"  # RFC 5321 section 4.1.3
        self._same = connected.dup()  # whatever TLS makes of the other one
        self._cutter = Timer(ALTOGETHER, _cut, [self._same])
        self._cutter.daemon = True
        self._cutter.start()
        return connected

    def data(self, msg: bytes) -> tuple[int, bytes]:  # type: ignore[override]
        """Filters may read it before the answer comes, and who hangs up meanwhile sends it twice (RFC 5321 4.5.3.2.6)."""
        if self.sock is not None:
            self.sock.settimeout(ALTOGETHER)
        return super().data(msg)

    def close(self) -> None:
        if self._cutter is not None:
            self._cutter.cancel()
            self._same.close()
        super().close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _connected(host: str, port: int, timeout: float) -> socket.socket:
    error: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:_ADDRESSES]:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            connection.connect(address)
        except OSError as e:
            connection.close()
            error = e
        else:
            return connection
    raise error


@cache
def _own_name() -> str:
    """The full name of this machine, "": it has none."""
    name = socket.getfqdn()
    return name if "." in name and name.isascii() else ""
