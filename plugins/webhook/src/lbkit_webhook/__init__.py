"""The receiver `webhook`: each event is sent as JSON by HTTP POST. It is also the example for receivers of your own.

    [alerts.receivers.webhook]
    url = "https://events.hospital.example/lbkit"
    secret_file = "webhook.secret"      # its first line is the key: openssl rand -hex 32; chmod 640, chown root:lbkit
    ca_file = "hospital-ca.pem"         # absent: the system's CAs
    timeout = "5s"
    level = "info"                      # or warning, alarm; the ends of what is wrong (server-up, …) are info
    only_active = true                  # false: both nodes of a pair send what they see; a test is sent by either

The body is what `lbkit log --json` prints, and `level`. Three headers come with it:

    X-Lbkit-Event: server-down          its kind
    X-Lbkit-Delivery: 5bd6…             the event's ident: one that comes twice has it twice
    X-Lbkit-Signature: sha256=HEX       HMAC-SHA256 (RFC 2104) of the body's bytes with the key

Whoever receives it compares that with the same of the bytes as they came, in a time that tells nothing:

    mine = "sha256=" + hmac.new(key, body, "sha256").hexdigest()
    hmac.compare_digest(mine, signature) or refuse()

Whoever overhears a request can send it again, but no other: leave out an ident that you have, and answer 2xx.

Answer 2xx once you have it. After anything else, a redirect (none is followed), or nothing within `timeout`, it comes again,
later and later, and the next ones wait behind it. One that is a day old and refused by a 4xx (not 408, 429) is given up, and
said in the agent's log. No proxy is used, whatever the environment says.

A receiver is this much: a distribution with an entry point in the group `lbkit.receivers`, called as in the site file, that
leads to a module with the two hooks at its end.
"""

from __future__ import annotations

import hmac
import json
import logging
import ssl
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR
from typing import Annotated, get_args
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field

from lbkit.errors import CannotRun
from lbkit.hookspecs import hookimpl
from lbkit.site.values import Duration, File, Flag, Table
from lbkit.state.events import Event, Level
from lbkit.tls import files

log = logging.getLogger("lbkit.webhook")

_NOT_NOW = (408, 429)  # of those that say that the client is wrong
_GIVEN_UP = 86_400.0  # seconds; a key that is wrong, or a receiver that is not there, is repaired by then


def _url(text: str) -> str:
    plain = text.isascii() and text.isprintable() and " " not in text and "#" not in text
    if not plain or not _leads_somewhere(text):
        raise ValueError("this is no URL, such as https://events.hospital.example/lbkit")
    if "@" in urlsplit(text).netloc:
        raise ValueError("a URL holds no user and password here; the signature says who sends")
    return text


def _leads_somewhere(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # as `socket` will
        return parts.scheme in ("http", "https") and host != b"" and parts.port != 0
    except ValueError:  # its words may quote a password
        return False


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
        connection: HTTPConnection = HTTPSConnection(host, port, timeout=timeout, context=_context(settings.ca_file))
    else:
        connection = HTTPConnection(host, port, timeout=timeout)
    ended = threading.Event()  # the connection's own timeout is for each read alone
    threading.Thread(target=_hang_up, args=(connection, timeout, ended), daemon=True).start()
    try:
        connection.request("POST", (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
        return connection.getresponse().status  # what comes behind it is not read
    finally:
        ended.set()
        connection.close()


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as e:
        why = "it holds no certificate" if isinstance(e, ssl.SSLError) else e.strerror
        raise CannotRun(
            f"{ca_file} can't be used as ca_file in [alerts.receivers.webhook]: {why}. Put the CAs there, PEM."
        ) from None


def _hang_up(connection: HTTPConnection, timeout: float, ended: threading.Event) -> None:
    """When its time is over, and as often as it is connected anew after that."""
    while not ended.wait(timeout):
        timeout = 0.1
        with suppress(OSError, AttributeError):  # it is not connected
            connection.sock.shutdown(SHUT_RDWR)


@hookimpl
def lbkit_event_settings() -> type[Settings]:
    """What stands in `[alerts.receivers.webhook]`."""
    return Settings


@hookimpl
def lbkit_event(event: Event, settings: Settings, active: bool) -> None:
    """Send one. Raises CannotRun where it is to come again, Misuse where the key can't be read."""
    levels = get_args(Level)
    too_low = levels.index(event.level) < levels.index(settings.level)
    if event.kind != "test" and (too_low or (settings.only_active and not active)):
        return
    body = json.dumps({**event.as_dict(), "level": event.level}).encode()
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
    refused = 400 <= status < 500 and status not in _NOT_NOW
    if refused and time.time() - event.when > _GIVEN_UP:
        log.warning("%s has refused event %s for a day, and does not get it: HTTP status %d", host, event.ident, status)
    elif not 200 <= status < 300:
        raise CannotRun(f"{host} has not taken an event: HTTP status {status}. See its log.")
