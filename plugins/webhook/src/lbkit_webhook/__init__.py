"""The receiver `webhook`: each event is sent as JSON by HTTP POST. It is also the example for receivers of your own.

    [alerts.receivers.webhook]
    url = "https://events.hospital.example/lbkit"
    secret_file = "webhook.secret"      # its first line is the key; readable by the agent's user, and nobody else
    ca_file = "hospital-ca.pem"         # absent: the system's CAs
    timeout = "5s"
    level = "info"                      # or warning, alarm; the ends of what is wrong (server-up, …) are info
    only_active = true                  # false: both nodes of a pair send what they see

The body is what `lbkit log --json` prints, and `level`. Three headers come with it:

    X-Lbkit-Event: server-down          its kind
    X-Lbkit-Delivery: 5bd6…             the event's ident: one that comes twice has it twice
    X-Lbkit-Signature: sha256=HEX       HMAC-SHA256 (RFC 2104) of the body's bytes with the key

Answer 2xx once you have it. It comes again after 408, 429, 5xx, a redirect (none is followed), or none at all; any other 4xx
ends it, since the same would be refused again.

A receiver is this much: a distribution with an entry point in the group `lbkit.receivers`, called as in the site file, that
leads to a module with the two hooks at its end.
"""

from __future__ import annotations

import hmac
import json
import logging
import ssl
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR
from threading import Timer
from typing import Annotated, get_args
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field

from lbkit.errors import CannotRun
from lbkit.hookspecs import hookimpl
from lbkit.site.values import Duration, File, Flag, Table
from lbkit.state.events import Event, Level
from lbkit.tls import files

log = logging.getLogger("lbkit.webhook")

_AGAIN = (408, 429)  # of those that say that the client is wrong


def _url(text: str) -> str:
    parts = urlsplit(text)
    plain = text.isascii() and text.isprintable() and " " not in text
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("this is no URL, such as https://events.hospital.example/lbkit")
    if "@" in parts.netloc:
        raise ValueError("a URL holds no user and password here; the signature says who sends")
    return text


class Settings(Table):
    """Every event as JSON by HTTP POST, signed."""

    url: Annotated[str, AfterValidator(_url)] = Field(description="Where events are sent, http or https.")
    secret_file: File = Field(description="Its first line is the key of the signature.")
    ca_file: File | None = Field(None, description="CAs that the receiver's certificate may be of, PEM.")
    timeout: Duration = Field(5.0, description="It has answered within this time, or the event comes again.")
    level: Level = Field("info", description="Events of this level and above are sent.")
    only_active: Flag = Field(True, description="Of a pair, only the node that has the VIPs sends.")


def _post(settings: Settings, body: bytes, headers: dict[str, str]) -> int:
    """The answer's status."""
    url = urlsplit(settings.url)
    host, port, timeout = url.hostname or "", url.port, settings.timeout
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=settings.ca_file)
        connection: HTTPConnection = HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = HTTPConnection(host, port, timeout=timeout)
    end = Timer(timeout, _hang_up, [connection])  # the other one is for each read alone
    end.start()
    try:
        connection.request("POST", (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
        return connection.getresponse().status  # what comes behind it is not read
    finally:
        end.cancel()
        connection.close()


def _hang_up(connection: HTTPConnection) -> None:
    with suppress(OSError, AttributeError):  # it is not connected yet, or not any more
        connection.sock.shutdown(SHUT_RDWR)


@hookimpl
def lbkit_event_settings() -> type[Settings]:
    """What stands in `[alerts.receivers.webhook]`."""
    return Settings


@hookimpl
def lbkit_event(event: Event, settings: Settings, active: bool) -> None:
    """Send one. Raises CannotRun where it is to come again, Misuse where the key can't be read."""
    levels = get_args(Level)
    too_low = levels.index(event.level) < levels.index(settings.level) and event.kind != "test"
    if too_low or (settings.only_active and not active):
        return
    body = json.dumps({**event.as_dict(), "level": event.level}, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "lbkit",
        "X-Lbkit-Event": event.kind,
        "X-Lbkit-Delivery": quote(event.ident, safe=""),
        "X-Lbkit-Signature": "sha256=" + hmac.new(files.password(settings.secret_file), body, "sha256").hexdigest(),
    }
    host = urlsplit(settings.url).netloc  # no more of it is shown: a path may be a secret
    try:
        status = _post(settings, body, headers)
    except (OSError, HTTPException) as e:
        why = getattr(e, "verify_message", "") or getattr(e, "strerror", "") or str(e) or type(e).__name__
        raise CannotRun(f"{host} has not taken an event: {why}. Check it, and [alerts.receivers.webhook].") from None
    if 400 <= status < 500 and status not in _AGAIN:
        log.warning("%s refuses event %s for good: HTTP status %d", host, event.ident, status)
    elif not 200 <= status < 300:
        raise CannotRun(f"{host} has not taken an event: HTTP status {status}. See its log.")
