"""A mail server (aiosmtpd) on loopback, that takes what it is given or answers as it is told; and a DNS that names it."""

from __future__ import annotations

import email
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import dns.message
import dns.rrset
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from interop.remotes import HOST, free_port


class MailServer:
    """`mails`: what it has taken. `answers`: by recipient, or "": to the mail itself, such as `550 5.1.1 unknown`."""

    def __init__(self, port: int | None = None, host: str = HOST, **settings: Any) -> None:
        self.host = host
        self.port = port or free_port()
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []
        self.answers: dict[str, str] = {}
        self._settings = settings
        self._controller: Controller | None = None

    def __enter__(self) -> MailServer:
        self._controller = Controller(self, hostname=self.host, port=self.port, **self._settings)
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._controller is not None
        self._controller.stop()

    @property
    def subjects(self) -> list[str]:
        return [str(one["Subject"]) for one in self.mails]

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "" in self.answers:
            return self.answers[""]
        content = cast("bytes", envelope.content)
        self.mails.append(cast("EmailMessage", email.message_from_bytes(content, policy=default)))
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return "250 taken"


def who_knows(user: str, word: str) -> Any:
    """An authenticator that lets this one in."""

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), word.encode())
        return AuthResult(success=right, handled=False)

    return authenticate


def server_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    return context


@contextmanager
def dns_server(records: dict[str, list[str]]) -> Iterator[int]:
    """A DNS that knows the MX of these domains, `PREFERENCE HOST` each; [] where there is none. Gives its UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.bind((HOST, 0))
        served.settimeout(0.1)
        ending = threading.Event()
        thread = threading.Thread(target=_answer, args=(served, records, ending))
        thread.start()
        try:
            yield served.getsockname()[1]
        finally:
            ending.set()
            thread.join()


def _answer(served: socket.socket, records: dict[str, list[str]], ending: threading.Event) -> None:
    while not ending.is_set():
        try:
            raw, asker = served.recvfrom(4096)
        except TimeoutError:
            continue
        question = dns.message.from_wire(raw)
        answer = dns.message.make_response(question)
        name = question.question[0].name
        known = records.get(name.to_text(omit_final_dot=True))
        if known:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "MX", *known))
        elif known is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        served.sendto(answer.to_wire(), asker)
