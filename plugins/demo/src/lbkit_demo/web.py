"""The CCW application's web servers: the acts of HTTPS, and a row for each way of being broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbkit_demo import authority
from lbkit_demo.acts import EVERY_BYTE, close, hear_first_bytes, in_pieces, pause, reset, say
from lbkit_demo.fault import AT_CONNECT, HEALTHY, Verdict
from lbkit_demo.fault import plays as _plays

if TYPE_CHECKING:
    from lbkit_demo.remote import Act, Client

HEALTH = "/api/health/"
OPERATIVE = b"allServicesOperative"
IMPAIRED = b"notificationServiceNotOperative"
LONGEST_HEAD = 16384
SERVED_BY = "X-Served-By"
REQUEST = "request"  # the name under which a client's last request is kept


def secure(identity: str) -> Act:
    """TLS, with an identity of `authority`."""
    return lambda client: client.secure(identity)


def hear_get(client: Client) -> None:
    """Read the head of one request (RFC 9112 section 2); a body does not belong to a GET."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.read_some()
        if len(head) > LONGEST_HEAD:
            raise ConnectionError("the request's head is too long")
    client.heard[REQUEST] = head


def answer(status: str, body: bytes, *headers: str) -> bytes:
    """One response, whole (RFC 9112 section 4)."""
    fields = ("Server: lbkit-demo", "Content-Type: text/plain", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode() + body


def serve(client: Client) -> None:
    """Answer each request, and say who does: the health of all services on its page, nothing on any other."""
    while True:
        hear_get(client)
        asked = client.heard[REQUEST].split(b" ", 2)[:2]
        if asked == [b"GET", HEALTH.encode()]:
            client.say(answer("200 OK", OPERATIVE, f"{SERVED_BY}: {client.name}"))
        else:
            client.say(answer("404 Not Found", b"there is no such page"))


def answer_by_half(client: Client) -> None:
    """A response that ends within its body."""
    client.say(answer("200 OK", OPERATIVE)[:-5])


CLOSED = Verdict("down", "request", "closed")
RESET = Verdict("down", "request", "reset")
LATE = Verdict("down", "request", "timed-out")
STATUS = Verdict("down", "status", "http-status")
PLAIN_REPLY = answer("400 Bad Request", b"")
ON_TLS: tuple[Act, ...] = (secure(authority.OWN),)
ASKED: tuple[Act, ...] = (*ON_TLS, hear_get)

# One fault is one row.
# fmt: off
AT_TLS = (
    _plays("plain-http", "it speaks plain HTTP on its TLS port", Verdict("down", "tls", "not-tls"),
           hear_first_bytes, say(PLAIN_REPLY), close),
    _plays("silent-at-tls", "it hangs: it takes the connection and says nothing", Verdict("down", "tls", "timed-out")),
    _plays("closed-at-tls", "it closes each connection at the first bytes", Verdict("down", "tls", "closed"),
           hear_first_bytes, close),
    _plays("reset-at-tls", "it resets each connection at the first bytes", Verdict("down", "tls", "reset"),
           hear_first_bytes, pause(0.01), reset),
    _plays("expired-certificate", "its certificate has expired", Verdict("down", "tls", "certificate-expired"),
           secure(authority.EXPIRED), serve),
    _plays("foreign-certificate", "its certificate is of another CA", Verdict("down", "tls", "certificate-untrusted"),
           secure(authority.OF_ANOTHER_CA), serve),
    _plays("misnamed-certificate", "its certificate is for another server", Verdict("down", "tls", "certificate-name"),
           secure(authority.OF_ANOTHER_NAME), serve),
)

AT_HTTP = (
    _plays("client-refused", "it refuses our client certificate: it expects another CA",
           Verdict("down", "tls", "client-certificate-refused"), secure(authority.FOR_OTHER_CLIENTS), serve),
    _plays("silent-after-request", "it hangs: it reads the request and does not answer", LATE, *ASKED),
    _plays("closed-after-request", "it reads the request and closes", CLOSED, *ASKED, close),
    _plays("reset-after-request", "it reads the request and resets", RESET, *ASKED, reset),
    _plays("dripping", "it answers, a byte every 300 ms", LATE,
           *ASKED, in_pieces(EVERY_BYTE, 0.3), say(answer("200 OK", OPERATIVE))),
    _plays("not-http", "another service answers inside TLS", Verdict("down", "request", "not-http"),
           *ON_TLS, say(b"220 mail.hospital.example ESMTP\r\n")),
    _plays("unavailable", "it says 503, though with the right body", STATUS,
           *ASKED, say(answer("503 Service Unavailable", OPERATIVE))),
    _plays("no-such-page", "its health page is gone", STATUS,
           *ASKED, say(answer("404 Not Found", b"there is no such page"))),
    _plays("redirected", "it sends us to a login page", Verdict("down", "status", "redirected"),
           *ASKED, say(answer("302 Found", b"", "Location: /login"))),
    _plays("wrong-body", "its health page says that a service is not operative", Verdict("down", "body", "body"),
           *ASKED, say(answer("200 OK", IMPAIRED))),
    _plays("half-a-body", "it breaks off in the middle of its health page", Verdict("down", "body", "closed"),
           *ASKED, answer_by_half, close),
    _plays("stalled-body", "it hangs in the middle of its health page", Verdict("down", "body", "timed-out"),
           *ASKED, answer_by_half),
)

# What `https-get` says of a server of VIP 5, and what `connect` in TLS says of those of VIPs 1 to 3, which asks for no page.
# A client that is refused shows there neither: in TLS 1.3 that comes after the handshake.
HTTPS = (
    _plays(HEALTHY, "nothing: a web server in TLS that is in good health", Verdict("up", "body", "ok"), *ON_TLS, serve),
    *AT_CONNECT, *AT_TLS, *AT_HTTP,
)
TLS = (
    _plays(HEALTHY, "nothing: a web server in TLS", Verdict("up", "tls", "ok"), *ON_TLS, serve),
    *AT_CONNECT, *AT_TLS,
)
# fmt: on
