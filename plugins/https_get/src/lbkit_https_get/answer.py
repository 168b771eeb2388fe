"""One answer as it comes: h11 reads it, this bounds it. No sockets, no clock.

HTTP/1.1 as of RFC 9112; what the fields mean, RFC 9110.
"""

from h11 import Connection, Data, EndOfMessage, InformationalResponse, RemoteProtocolError, Response

from lbkit.checks.conversation import Lost, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit_https_get.terms import Terms

MAX_HEAD = 16384  # bytes of one head, or of a chunk's line; what common servers take themselves
MAX_INFORMATIONAL = 8  # answers 1xx before the final one
QUOTABLE = 4096  # bytes of the body behind a status that is not expected; enough to say what page it is
FRAMING = 8  # bytes read for one byte of body, at most: a chunk of one byte takes 6
REDIRECTS = (301, 302, 303, 307, 308)
MAX_TEXT = 64  # characters of a header that we keep


class NotHttp(Exception):
    """What answers does not speak HTTP/1; how it began stands in `Answer.start`."""


class Answer:
    """The answer to one request, as far as it has come.

    `step`: where it counts; "request" until the head is there, then "body", or "status" where that is not the one expected.
    """

    __slots__ = ("_terms", "body", "complete", "encoding", "head", "informational", "location", "read", "start", "step")

    def __init__(self, terms: "Terms") -> None:
        self._terms = terms
        self.step = "request"
        self.start = b""
        self.read = 0  # bytes, the head and what frames the body among them
        self.informational = 0
        self.head: Response | None = None
        self.location: bytes | None = None
        self.encoding = b""
        self.body = bytearray()
        self.complete = False

    def add(self, connection: Connection, received: bytes) -> bool:
        """Take what was read; whether enough has come for a verdict.

        Raises Lost where the connection ends too early, NotHttp, and RemoteProtocolError for what breaks the standard.
        """
        if not received:
            return self._end(connection)
        if len(self.start) < 5 and not self._begins_as_http(received):
            raise NotHttp
        self.read += len(received)
        connection.receive_data(received)
        while True:
            event = connection.next_event()
            if isinstance(event, Data):
                self.body += event.data
                if len(self.body) > self._most:
                    return True
            elif isinstance(event, EndOfMessage):
                self.complete = True
                return True
            elif isinstance(event, Response):
                self._take_head(event)
            elif isinstance(event, InformationalResponse):
                self.informational += 1
                if self.informational > MAX_INFORMATIONAL:
                    raise RemoteProtocolError(f"more than {MAX_INFORMATIONAL} answers 1xx and no final one")
            else:
                break
        if self.read > FRAMING * (self._terms.max_body + 2 * MAX_HEAD):
            raise RemoteProtocolError("far more bytes frame the body than there are in it")
        return False

    @property
    def readable(self) -> bool:
        """Whether the body is all there, and can be compared; where anything will do, it may be encoded too."""
        return self.complete and (not self.encoding or not self.body or self._terms.match == "anything")

    @property
    def is_redirect(self) -> bool:
        """Whether it sends us elsewhere, and says where (RFC 9110 section 15.4)."""
        return self.status in REDIRECTS and self.location is not None

    @property
    def status(self) -> int:
        """The status code; 0 while there is no head."""
        return 0 if self.head is None else self.head.status_code

    @property
    def details(self) -> "dict[str, Any]":
        """What is known of it, for a Result."""
        found: dict[str, Any] = {}
        if self.head is not None:
            found |= {"status": self.status, "bytes": len(self.body)}
            for name, value in self.head.headers:
                if name in (b"content-type", b"server", b"location"):
                    found[name.decode().replace("-", "_")] = plain(value, MAX_TEXT)
        return found

    @property
    def _most(self) -> int:
        """Bytes of the body after which no more are read."""
        return QUOTABLE if self.step == "status" and not self.is_redirect else self._terms.max_body

    def _begins_as_http(self, received: bytes) -> bool:
        self.start = (self.start + received[:MAX_TEXT])[:MAX_TEXT]
        return self.start[:5] == b"HTTP/"[: len(self.start)]

    def _take_head(self, head: Response) -> None:
        self.head = head
        self.step = "body" if head.status_code in self._terms.statuses else "status"
        for name, value in head.headers:
            if name == b"location":
                self.location = value
            elif name == b"content-encoding" and value.lower() != b"identity":
                self.encoding = value

    def _end(self, connection: Connection) -> bool:
        """The remote has closed: the end of a body that nothing else delimits (RFC 9112 section 6.3, rule 8)."""
        connection.receive_data(b"")
        try:
            event = connection.next_event()
        except RemoteProtocolError:  # its words for a body or a head that is cut off
            event = None
        if not isinstance(event, EndOfMessage):
            raise Lost("closed", "the remote closed the connection")
        self.complete = True
        return True


def plain(raw: bytes, most: int) -> str:
    """Bytes of a head, the first `most`, as text on one line that is safe on a terminal."""
    return printable(raw[:most].decode("latin-1"))
