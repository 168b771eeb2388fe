"""The check itself: a TLS handshake (RFC 8446, RFC 5246), what the remote makes of our certificate, and how long all last.

Its protocol is TLS, so the driver has no layer below it. TLS 1.2 judges a client certificate within the handshake, TLS 1.3
after it. So as not to wait for ever for a refusal that does not come, our close_notify follows our part of the handshake at
once: what a refusing remote sends first is its alert; one that lets us in sends a session ticket, which RFC 8446 section
4.6.1 allows only after it has taken our certificate, or ends the session. What to say about failures stands in `words`.
"""

import _ssl

from lbkit.checks.context import outdated, session
from lbkit.checks.conversation import Lost
from lbkit_mtls import certificates
from lbkit_mtls.prepared import Found
from lbkit_mtls.verdict import verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeAlias

    from lbkit.checks.conversation import Protocol
    from lbkit_mtls.prepared import Prepared

    Exchange: TypeAlias = Generator[tuple[str, bytes], bytes, None]

READ_SIZE = 65536


def handshake(prepared: "Prepared", host: str, now: float) -> "Protocol":
    """One handshake with `host`: the protocol that the drivers run. `now`: seconds since 1970."""
    context, ours = prepared.ready.get()
    terms = prepared.terms
    incoming, outgoing, found = _ssl.MemoryBIO(), _ssl.MemoryBIO(), Found()
    tls = session(context, incoming, outgoing, terms.server_name or host, found)
    try:
        yield from _shake_hands(tls, incoming, outgoing)
        found.details = _details(tls, found.asked, terms.verify, ours, now)
        if tls.version() == "TLSv1.3":
            found.step = "client-certificate"
            yield from _await_judgement(tls, incoming, outgoing)
        else:
            _send_close_notify(tls)
        outcome = verdict(prepared, found)
    except _ssl.SSLError as e:
        from lbkit_mtls import words

        outcome = words.failed(e, prepared, found)
    except Lost as lost:
        if found.step == "client-certificate" and lost.reason == "timed-out":
            outcome = verdict(prepared, found, lost.message)
        else:
            from lbkit_mtls import words

            outcome = words.lost(lost, found)
    if warnings := outdated(prepared.ready):
        outcome.details.setdefault("warnings", []).extend(warnings)
    outcome.last_words = outgoing.read()
    return outcome


def _shake_hands(tls: "Any", incoming: "_ssl.MemoryBIO", outgoing: "_ssl.MemoryBIO") -> "Exchange":
    while True:
        try:
            tls.do_handshake()
            return
        except _ssl.SSLWantReadError:
            _take((yield "tls", outgoing.read()), incoming)


def _await_judgement(tls: "Any", incoming: "_ssl.MemoryBIO", outgoing: "_ssl.MemoryBIO") -> "Exchange":
    """Read until the remote has let us in. Raises SSLError for its alert."""
    notified = False
    while True:
        try:
            while tls.read(READ_SIZE):
                pass
            return
        except _ssl.SSLWantReadError:
            if tls.session is not None and tls.session.has_ticket:
                return
        except (_ssl.SSLZeroReturnError, _ssl.SSLEOFError):
            return
        if not notified:
            notified = True
            _send_close_notify(tls)
        _take((yield "client-certificate", outgoing.read()), incoming)


def _send_close_notify(tls: "Any") -> None:
    try:
        tls.shutdown()
    except _ssl.SSLWantReadError:
        return  # it waits for the remote's own close_notify, which may come or not


def _take(received: bytes, incoming: "_ssl.MemoryBIO") -> None:
    if received:
        incoming.write(received)
    else:
        incoming.write_eof()


def _details(tls: "Any", asked: bool, verified: bool, ours: "dict[str, Any] | None", now: float) -> "dict[str, Any]":
    cipher = tls.cipher()
    found = certificates.of_remote(tls, verified, now)
    if ours is not None:
        found.append(certificates.told("client", ours, now))
    return {
        "tls": {"version": tls.version(), "cipher": cipher[0] if cipher else None},
        "client_certificate_requested": asked,
        "certificates": found,
    }
