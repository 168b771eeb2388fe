"""A client of a layer-7 VIP: it asks for what the VIP is for, and is told which real server answered."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from itertools import cycle
from typing import TYPE_CHECKING

from lbkit_demo.hl7 import END, frame
from lbkit_demo.kinds import kind_of
from lbkit_demo.web import HEALTH, SERVED_BY

if TYPE_CHECKING:
    from lbkit import Site
    from lbkit.site.services import Vip

WITHIN = 5.0  # seconds for each step of a request
MESSAGE = frame(b"MSH|^~\\&|EMR|WARD 3|CCW|CARDIOLOGY|20240131||ADT^A01|ID77|P|2.5\rPID|1\r")
LONGEST_ANSWER = 65536

_ACCEPTED = re.compile(rb"\rMSA\|AA\|ID77\|([0-9.:]+)\r")


@dataclass(frozen=True, slots=True)
class Request:
    """What became of one request. `began`: by the monotonic clock. `server`: who answered, or "" and the `failure`."""

    vip: str
    client: str
    began: float
    server: str = ""
    failure: str = ""


class VipClient:
    """It comes from an address of its own, shows a certificate where the VIP wants one, and keeps its cookie."""

    def __init__(self, site: Site, vip: Vip, source: str) -> None:
        self.vip = vip
        self.source = source
        self._context = _context(site, vip)
        self._ports = cycle(vip.ports)
        self._speaks_hl7 = kind_of(vip, vip.servers[0]) == "hl7"
        self._labels = {server.address: server.label for server in vip.servers}
        self._cookie = ""

    def request(self) -> Request:
        """One request on a connection of its own."""
        began = time.monotonic()
        try:
            with self.connect() as connection:
                return Request(self.vip.label, self.source, began, self.ask(connection))
        except (OSError, HTTPException) as e:
            return Request(self.vip.label, self.source, began, failure=f"{type(e).__name__}: {e}")

    def connect(self) -> socket.socket:
        """A connection to the VIP, in TLS where it wants that; at each of its ports in turn. Raises OSError."""
        connection = socket.create_connection((self.vip.address, next(self._ports)), WITHIN, (self.source, 0))
        if self._context is None or self.vip.termination is None:
            return connection
        try:
            return self._context.wrap_socket(connection, server_hostname=self.vip.termination.server_name)
        except OSError:
            connection.close()
            raise

    def ask(self, connection: socket.socket) -> str:
        """The label of the real server that answers one request, or its address where it is none of the VIP's.

        Raises OSError and HTTPException where none answers well.
        """
        named = self._acknowledged(connection) if self._speaks_hl7 else self._page(connection)
        return self._labels.get(named.partition(":")[0], named)

    def _acknowledged(self, connection: socket.socket) -> str:
        connection.sendall(MESSAGE)
        answer = b""
        while not answer.endswith(END) and len(answer) < LONGEST_ANSWER:
            received = connection.recv(4096)
            if not received:
                raise ConnectionError("closed without an acknowledgement")
            answer += received
        found = _ACCEPTED.search(answer)
        if found is None:
            raise ConnectionError("the message was not accepted")
        return found[1].decode()

    def _page(self, connection: socket.socket) -> str:
        host = self.vip.termination.server_name if self.vip.termination else self.vip.address
        cookie = f"Cookie: {self._cookie}\r\n" if self._cookie else ""
        connection.sendall(f"GET {HEALTH} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n".encode())
        with HTTPResponse(connection) as response:
            response.begin()
            response.read(LONGEST_ANSWER)
            served_by, given = response.getheader(SERVED_BY), response.getheader("Set-Cookie")
        if response.status != 200 or served_by is None:
            raise ConnectionError(f"answers {response.status} {response.reason}")
        if given is not None:
            self._cookie = given.partition(";")[0]
        return served_by


def _context(site: Site, vip: Vip) -> ssl.SSLContext | None:
    ends = vip.termination
    if ends is None or ends.ca is None or ends.check_certificate is None:
        return None
    context = ssl.create_default_context(cafile=site.ca_families[ends.ca].ca_file)
    context.load_cert_chain(site.certificates[ends.check_certificate].file)
    return context
