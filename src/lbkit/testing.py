"""For authors of checks: a protocol driven by bytes alone, a real listener, a throw-away CA.

    from lbkit.testing import listener, play, throwaway_ca

    def test_a_greeting_is_up():
        outcome, sent = play(banner(), b"220 ready")
        assert outcome.up

    def test_it_does_so_over_tcp(listener):
        remote = listener(lambda client: client.sendall(b"220 ready"))
        assert check("banner", remote.target).status == "up"

pytest finds the fixtures in whatever module imports them; a `conftest.py` that imports them gives them to its folder, and
`pytest_plugins = ["lbkit.testing"]` does the same. Needs the extra `testing` of lbkit-core.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Literal, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID

from lbkit.checks.conversation import Conversation, Lost, Outcome
from lbkit.checks.kind import Protocol

__all__ = ["Identity", "Listener", "Script", "ThrowawayCA", "listener", "play", "splits", "throwaway_ca"]

Script: TypeAlias = Callable[[socket.socket], object]


def play(protocol: Protocol, *chunks: bytes | Lost) -> tuple[Outcome | None, list[bytes]]:
    """Drive a protocol without sockets; returns its outcome, and what it sent, write by write, last words included.

    Each chunk is what one read brings. `b""`: the remote has closed. A `Lost`: what ends a connection from below, such as
    `Lost("timed-out", "no answer within 5 s")`. The outcome is None where the protocol waits for more; chunks that come
    after the outcome are left unread.
    """
    conversation = Conversation(protocol, {})
    sent = []
    waiting = iter(chunks)
    to_send = conversation.begin(0.0)
    while to_send is not None:
        if to_send:
            sent.append(to_send)
        chunk = next(waiting, None)
        if chunk is None:
            return None, sent
        if isinstance(chunk, Lost):
            conversation.lose(chunk, 0.0)
            break
        to_send = conversation.receive(chunk, 0.0)
    if conversation.farewell():
        sent.append(conversation.farewell())
    return conversation.outcome, sent


def splits(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """What a network may make of `data`: whole, byte by byte, and cut in two at every place."""
    yield (data,)
    yield tuple(data[i : i + 1] for i in range(len(data)))
    for i in range(1, len(data)):
        yield data[:i], data[i:]


class Listener:
    """A TCP server on 127.0.0.1 that plays a script on each connection, each in a thread of its own.

    The connection is closed when the script returns. That the client leaves early (OSError) ends a script quietly;
    anything else that it raises, a failed assertion too, is raised when the listener is closed.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads: list[Thread] = []
        self._clients: list[socket.socket] = []
        self._errors: list[BaseException] = []
        self.host, self.port = self._socket.getsockname()
        self.target = f"{self.host}:{self.port}"
        self._start(self._accept)

    @property
    def accepted(self) -> int:
        """How many connections came so far."""
        return len(self._clients)

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, end what is open, and raise what a script raised."""
        for sock in (self._socket, *self._clients):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._socket.close()
        if self._errors:
            raise self._errors[0]

    def _start(self, work: Callable[..., object], *args: object) -> None:
        thread = Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listening socket was shut down
            while True:
                client, _ = self._socket.accept()
                self._clients.append(client)
                self._start(self._play, client)

    def _play(self, client: socket.socket) -> None:
        with client:
            try:
                self._script(client)
            except OSError:
                pass  # the client has left
            except BaseException as e:  # those of pytest.fail and pytest.skip are no Exceptions
                self._errors.append(e)


@pytest.fixture
def listener() -> Iterator[Callable[[Script], Listener]]:
    """`listener(script)` starts a `Listener`; the end of the test closes it. `script` takes the connected socket."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(Listener(script))


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its chain, and its key: paths of PEM files."""

    cert_file: str
    key_file: str


class ThrowawayCA:
    """A CA that nobody trusts; everything it makes is a file in a new folder below `folder`, PEM unless it says so."""

    def __init__(self, folder: Path) -> None:
        import trustme

        self._ca = trustme.CA()
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._made = 0
        self.ca_file = str(self._folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    @cached_property
    def server(self) -> Identity:
        """The identity of a server at 127.0.0.1 and localhost."""
        return self.issue("127.0.0.1", "localhost")

    @cached_property
    def client(self) -> Identity:
        """The identity of a client."""
        return self.issue("client.lbkit.test")

    def issue(
        self, *names: str, not_after: datetime | None = None, usage: Literal["server", "client"] | None = None
    ) -> Identity:
        """A certificate for these names and addresses; `not_after` in the past makes an expired one.

        `usage`: it is good for that side of TLS only; else for both.
        """
        issued = self._ca.issue_cert(*names, not_after=not_after)
        first, *rest = [pem.bytes() for pem in issued.cert_chain_pems]
        certificate = self._limited(first, usage) if usage else first
        key_file = self._write("key", issued.private_key_pem.bytes())
        return Identity(self._write("pem", b"".join((certificate, *rest))), key_file)

    def revocation_list(self, *revoked: Identity, next_update: datetime | None = None) -> str:
        """A new list (CRL) with these on it; `next_update` in the past makes an outdated one."""
        now = datetime.now(UTC)
        until = next_update or now + timedelta(days=1)
        issuer = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes()).subject
        made = x509.CertificateRevocationListBuilder(issuer, min(now, until) - timedelta(days=1), until)
        for identity in revoked:
            serial = x509.load_pem_x509_certificate(Path(identity.cert_file).read_bytes()).serial_number
            made = made.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now).build())
        return self._write("crl", self._signed(made))

    def locked(self, identity: Identity, password: bytes) -> Identity:
        """The same, its key encrypted with this password."""
        key = load_pem_private_key(Path(identity.key_file).read_bytes(), None)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
        return Identity(identity.cert_file, self._write("key", text))

    def pfx(self, identity: Identity, password: bytes | None) -> str:
        """The same as one PFX (PKCS #12, binary); without a password, nothing in it is encrypted."""
        key = load_pem_private_key(Path(identity.key_file).read_bytes(), None)
        first, *rest = x509.load_pem_x509_certificates(Path(identity.cert_file).read_bytes())
        locked = BestAvailableEncryption(password) if password else NoEncryption()
        # it takes fewer kinds of keys than can be loaded; those that are made here are among them
        return self._write("pfx", serialize_key_and_certificates(None, key, first, rest, locked))  # type: ignore[arg-type]

    def _limited(self, certificate: bytes, usage: Literal["server", "client"]) -> bytes:
        """The same certificate, good for one side only."""
        made = x509.load_pem_x509_certificate(certificate)
        side = ExtendedKeyUsageOID.SERVER_AUTH if usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
        limits = x509.ExtendedKeyUsage([side])
        builder = x509.CertificateBuilder(
            issuer_name=made.issuer,
            subject_name=made.subject,
            public_key=made.public_key(),
            serial_number=made.serial_number,
            not_valid_before=made.not_valid_before_utc,
            not_valid_after=made.not_valid_after_utc,
        )
        for extension in made.extensions:
            value = limits if extension.oid == limits.oid else extension.value
            builder = builder.add_extension(value, extension.critical)
        return self._signed(builder)

    def _signed(self, made: x509.CertificateBuilder | x509.CertificateRevocationListBuilder) -> bytes:
        key = load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)  # noqa: S101  (what trustme makes by default)
        return made.sign(key, SHA256()).public_bytes(Encoding.PEM)

    def _write(self, suffix: str, content: bytes) -> str:
        self._made += 1
        path = self._folder / f"{self._made}.{suffix}"
        path.write_bytes(content)
        return str(path)

    def server_context(self, identity: Identity | None = None, *, wants_client: bool = False) -> ssl.SSLContext:
        """What a server wraps its connections with; `wants_client`: only clients with a certificate of this CA."""
        identity = identity or self.server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.cert_file, identity.key_file)
        if wants_client:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def throwaway_ca(tmp_path: Path) -> ThrowawayCA:
    """A `ThrowawayCA` whose files end with the test."""
    return ThrowawayCA(tmp_path)
